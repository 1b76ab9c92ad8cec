//! The crash kernel: comes up where the relocation code jumps to, does the
//! first broadcasts that a capture kernel does, checks what was loaded, and
//! says what each core was doing.

#![expect(unsafe_code, reason = "its first maintenance")]

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{StaleState, Subject, Verdict},
    kdump::{Step, image},
};

use super::{
    SETUP, Setup,
    backtrace::Place,
    end, kexec, log,
    trace::{self, Routine},
};
use crate::{
    arch, clock, core_local,
    core_local::Core,
    exit,
    mark::{self, Phase, Site},
    psci, report,
    routines::PAGE,
    worker::{self, core},
};

/// Enters the crash kernel on its own stack, MMU and caches on again.
pub extern "C" fn crash_kernel_main() -> ! {
    let (Some(setup), Some(own)) = (SETUP.get(), core_local::this()) else {
        exit::end(stalecore_model::exit::ExitCode::Harness);
    };
    // The jump has returned, so to speak.
    own.mark.0.after();
    log::start_again();
    log::reach(Step::CrashKernel, None, None);
    log::say(format_args!(
        "Booting the crash kernel on CPU {}, MPIDR {:#x}",
        own.index, own.cpu.mpidr
    ));
    broadcasts(setup, own);
    let wrong = check_segments(setup);
    report_cores(setup, own);
    let outcome = match wrong {
        Some(name) => (
            Verdict::Incoherent,
            Some(format!("segment {name} is not what was loaded")),
        ),
        None if kexec::has_faulted() => (Verdict::Faulted, None),
        None => (Verdict::Completed, None),
    };
    end::decide(outcome);
    report::hold_still("the crash kernel has reported");
    if setup.sentinel().is_none() {
        end::settle(setup);
    }
    own.mailbox.0.finish();
    worker::serve(own)
}

unsafe extern "C" {
    fn capture_ic_ialluis(unused: usize, too: usize) -> i64;
    fn capture_tlbi_vaale1is(page: usize, unused: usize) -> i64;
}

/// What a capture kernel broadcasts first: when it patches its alternatives,
/// and when it clears a slot of its fixmap.
fn broadcasts(setup: &Setup, own: &Core) {
    log::reach(
        Step::BroadcastIc,
        None,
        Some("patching alternatives".into()),
    );
    timed(setup, own, Subject::IcIalluis, capture_ic_ialluis, 0);
    let page = setup.image.segments.last().map_or(0, |s| s.source) as usize / PAGE;
    log::reach(Step::BroadcastTlbi, None, Some("clearing a fixmap".into()));
    timed(
        setup,
        own,
        Subject::TlbiVaae1is,
        capture_tlbi_vaale1is,
        page,
    );
}

/// Runs a broadcast and its barrier, with the mark saying where it is.
fn timed(setup: &Setup, own: &Core, subject: Subject, routine: Routine, operand: usize) {
    let name = log::step().symbol(subject);
    log::say(format_args!("capture: {name}; dsb ish ..."));
    let start = arch::cntvct();
    own.mark
        .0
        .before(Site::of(subject, Phase::Routine), operand);
    // SAFETY: maintenance of everything, and by page number; it changes no
    // value that a program can read.
    let returned = unsafe { trace::run(routine, operand, 0) };
    own.mark.0.after();
    log::say(format_args!(
        "capture: {name}; dsb ish: returned after {} us",
        clock::us_since(start)
    ));
    kexec::note_fault(setup, own, subject, returned);
}

/// Checks every segment where it now is; the name of one that is wrong.
fn check_segments(setup: &Setup) -> Option<&'static str> {
    log::reach(Step::Segments, None, None);
    let mut wrong = None;
    for (segment, expected) in setup.image.segments.iter().zip(&setup.image.sums) {
        let found = image::crc32(kexec::words(segment.destination, segment.pages));
        let verdict = if found == *expected { "ok" } else { "WRONG" };
        log::say(format_args!(
            "capture: segment {:<6} {:#x}-{:#x} crc32 {found:08x}, loaded {expected:08x}: {verdict}",
            segment.name,
            segment.destination,
            segment.destination + segment.pages * image::PAGE,
        ));
        if found != *expected {
            wrong.get_or_insert(segment.name);
        }
    }
    wrong
}

/// Says what each core was doing, equal ones together.
fn report_cores(setup: &Setup, own: &Core) {
    log::reach(Step::Report, None, None);
    let mut groups: Vec<(String, CpuSet)> = Vec::new();
    for other in core_local::all() {
        let doing = if other.index == own.index {
            format!(
                "crashed; {} marks; last interrupted at {}",
                mark::read(own).sequence / 2,
                Place(own.life.0.at.load(Ordering::Relaxed))
            )
        } else {
            doing(setup, other.index)
        };
        match groups.iter_mut().find(|(known, _)| *known == doing) {
            Some((_, cpus)) => {
                cpus.insert(other.index);
            }
            None => groups.push((doing, CpuSet::one(other.index))),
        }
    }
    for (doing, cpus) in groups {
        log::say(format_args!("capture: CPU {cpus}: {doing}"));
    }
}

/// What another core was doing.
pub fn doing(setup: &Setup, cpu: usize) -> String {
    if setup.sentinel() == Some(cpu) {
        return "sentinel; no part of the kernel that crashed".into();
    }
    let watch = setup.watch(cpu);
    if watch.stopped.load(Ordering::Acquire) {
        let at = Place(watch.stopped_at.load(Ordering::Relaxed));
        let power = if psci::is_off(core(cpu).cpu.mpidr) {
            "off"
        } else {
            "not off yet"
        };
        return format!("stopped at {at}; AFFINITY_INFO: {power}");
    }
    let state = core(cpu)
        .life
        .0
        .state
        .load(Ordering::Acquire)
        .checked_sub(1)
        .and_then(StaleState::from_number)
        .map_or("running".into(), |s| s.to_string());
    let masked = if watch.deaf.load(Ordering::Relaxed) {
        "interrupts masked; took none since"
    } else {
        "interrupts open"
    };
    let at = core(cpu).life.0.at.load(Ordering::Relaxed);
    let last = if watch.deaf.load(Ordering::Relaxed) || at == 0 {
        String::new()
    } else {
        format!("; last interrupted at {}", Place(at))
    };
    format!("stale in {state}, {masked}{last}")
}
