//! The crash kernel: comes up where the relocation code jumps to, does the
//! first broadcasts that a capture kernel does, checks what was loaded, and
//! says what each core was doing.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{Subject, Verdict},
    kdump::{Step, image},
};
use stalecore_routines::{
    area::PAGE,
    kernel::{Routine, capture_ic_ialluis, capture_tlbi_vaale1is},
};

use super::{
    backtrace::SymbolOffset,
    doing::doing,
    end, kexec, log,
    setup::{SETUP, Setup},
    stepped,
};
use crate::{
    cores::{
        mark::{Phase, Site},
        percpu::{self, Core},
    },
    hal::{clock, exit},
    report,
};

/// What the crash kernel does on the core that it came up on. Does not return
/// if nobody else is there to close the run.
pub fn run(own: &Core) {
    let Some(setup) = SETUP.get() else {
        exit::end(ExitCode::Harness);
    };
    // In a way, the jump has returned.
    own.mark.after();
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
    report::pause_for_debugger("the crash kernel has reported");
    if setup.sentinel().is_none() {
        end::close(setup);
    }
}

/// The first broadcasts of a capture kernel: when it patches its alternatives, and when
/// it clears a slot of its fixmap.
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
    let start = clock::now();
    own.mark.before(Site::of(subject, Phase::Routine), operand);
    let returned = stepped::run(routine, operand, 0);
    own.mark.after();
    log::say(format_args!(
        "capture: {name}; dsb ish: returned after {} us",
        clock::us_since(start)
    ));
    kexec::note_fault(setup, own, subject, returned);
}

/// Checks every segment where it now is; returns the name of the first that is wrong.
fn check_segments(setup: &Setup) -> Option<&'static str> {
    log::reach(Step::Segments, None, None);
    let mut wrong = None;
    for (segment, expected) in setup.image.segments.iter().zip(&setup.image.sums) {
        let found = image::crc32(kexec::words(
            &setup.image.own,
            segment.destination,
            segment.pages,
        ));
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
    for other in percpu::all() {
        let doing = if other.index == own.index {
            format!(
                "crashed; {} marks; last interrupted at {}",
                own.mark.read().sequence / 2,
                SymbolOffset(own.status.interrupted_at.load(Ordering::Relaxed))
            )
        } else {
            doing(setup, other.index, true)
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
