//! How the scenario ends: what the sentinel sees, and the records that close
//! the run.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use spin::Once;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::Verdict,
    record::{Block, CaseRecord, CoreState, Record},
};

use super::{doing::doing, log, setup::Setup};
use crate::{
    conductor::Run,
    cores::{
        mark::Seen,
        percpu::{self, core},
    },
    hal::{arch, clock, console, exit},
    report,
};

/// How much longer than an operation the crashing core may go without a mark:
/// it waits for its watchdog and for the other cores, and prints.
const BETWEEN: u64 = 4;
/// For the wait for the other cores, and for lines on a slow serial port.
const BETWEEN_MS: u64 = 10_000;

/// What the crash kernel found.
static OUTCOME: Once<(Verdict, Option<String>)> = Once::new();

/// Notes what the crash kernel found.
pub fn decide(outcome: (Verdict, Option<String>)) {
    OUTCOME.call_once(|| outcome);
}

/// Watches the crash with plain loads until the crash kernel is done, or
/// something is held up.
pub fn watch(setup: &'static Setup, run: &mut Run<'_>) -> ! {
    let deadline = u64::from(setup.conductor.plan.deadline_ms);
    let between = BETWEEN * (deadline + setup.threshold_ms) + BETWEEN_MS;
    let crashing = core(setup.cpu);
    let mut sequence = 0;
    let mut since = clock::now();
    let mut step = log::step();
    loop {
        if crashing.mailbox.is_done() {
            close(setup);
        }
        let seen = crashing.mark.read();
        if seen.sequence != sequence || log::step() != step {
            sequence = seen.sequence;
            step = log::step();
            since = clock::now();
        }
        let waited = clock::ms_since(since);
        if seen.in_flight() && waited >= deadline {
            blocked(setup, run, &seen, waited);
        }
        if waited >= between {
            report::note(format!(
                "harness error: CPU {} has stopped for {waited} ms at: {}",
                setup.cpu,
                step.about()
            ));
            run.close(true);
        }
        arch::pause();
    }
}

/// The records that close a crash that got through.
pub fn close(setup: &Setup) -> ! {
    let mut run = Run::new(setup.conductor);
    let Some((verdict, why)) = OUTCOME.get() else {
        exit::end(stalecore_model::exit::ExitCode::Harness);
    };
    let record = CaseRecord::blank(&setup.case, *verdict, why.clone());
    run.finish(&setup.case, record);
    run.close(false)
}

/// Something did not return: the block report and the end.
fn blocked(setup: &Setup, run: &mut Run<'_>, seen: &Seen, waited_ms: u64) -> ! {
    let step = log::step();
    let case = &setup.case;
    // First of all, as nothing more may come out: nobody executes a barrier, maintenance
    // or a call to firmware before this has.
    report::record(&Record::Block(Block {
        cores: states(setup, waited_ms),
        ..step.block(setup.kernel, case, setup.cpu, seen, waited_ms, "sentinel")
    }));
    console::flush();
    report::pause_for_debugger("the crash path is held up");
    tell_power(setup);
    let why = Some(format!("the log ends at: {}", step.about()));
    let record = CaseRecord::blank(&setup.case, Verdict::Blocked, why);
    run.finish(&setup.case, record);
    run.close(false)
}

/// Reports which of the cores that stopped are off according to firmware, one by one:
/// any question may be the one that is not answered.
fn tell_power(setup: &Setup) {
    for core in percpu::all() {
        let cpu = core.index;
        let stopped = setup.watch(cpu).stopped.load(Ordering::Acquire);
        if stopped && cpu != setup.cpu && setup.sentinel() != Some(cpu) {
            report::note(format!("CPU {cpu}: {}", doing(setup, cpu, true)));
        }
    }
}

/// What each core was doing, equal ones together.
fn states(setup: &Setup, waited_ms: u64) -> Vec<CoreState> {
    let mut states: Vec<CoreState> = Vec::new();
    for core in percpu::all() {
        let cpu = core.index;
        let (role, what, proof) = if cpu == setup.cpu {
            (
                "initiator",
                "held up".into(),
                format!("its mark last moved {waited_ms} ms ago"),
            )
        } else if setup.sentinel() == Some(cpu) {
            ("sentinel", "watching".into(), "wrote this".into())
        } else {
            (
                "stale",
                doing(setup, cpu, false),
                "asked to stop by interrupt".into(),
            )
        };
        CoreState {
            cpus: CpuSet::one(cpu),
            role: role.into(),
            doing: what,
            proof,
            at: None,
        }
        .join(&mut states);
    }
    states
}
