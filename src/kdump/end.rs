//! How the scenario ends: what the sentinel sees, and the records that close
//! the run.

use alloc::{format, string::String, vec::Vec};

use spin::Once;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{Subject, Verdict},
    kdump::Step,
    record::{Block, CoreState, Fault, Hex, Record},
    syndrome,
};

use super::{Setup, capture, log};
use crate::{
    arch, clock,
    conductor::Run,
    core_local, exit, findings,
    mark::{self, Phase, Seen},
    report, symbols,
    worker::core,
};

/// How much longer than an operation the crashing core may go without a mark:
/// it waits for its watchdog and for the other cores, and prints.
const BETWEEN: u64 = 4;
/// The wait for the other cores, and lines at a slow serial port.
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
    let mut since = arch::cntvct();
    let mut step = log::step();
    loop {
        if crashing.mailbox.0.is_done() {
            settle(setup);
        }
        let seen = mark::read(crashing);
        if seen.sequence != sequence || log::step() != step {
            sequence = seen.sequence;
            step = log::step();
            since = arch::cntvct();
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
pub fn settle(setup: &Setup) -> ! {
    let mut run = Run::new(setup.conductor);
    let Some((verdict, why)) = OUTCOME.get() else {
        exit::end(stalecore_model::exit::ExitCode::Harness);
    };
    let record = findings::blank(&setup.case, *verdict, why.clone());
    run.finish(&setup.case, record);
    run.close(false)
}

/// A routine of the crash path faulted.
pub fn fault(setup: &Setup, subject: Subject, [esr, far, elr]: [u64; 3], returned: i64) {
    report::record(&Record::Fault(Fault {
        n: setup.case.number as u32,
        op: subject,
        initiator: setup.cpu as u32,
        esr: Hex(esr),
        syndrome: syndrome::describe(esr),
        far: Hex(far),
        elr: Hex(elr),
        at: format!("{}", symbols::At(elr)),
        returned,
    }));
}

/// Something did not return: the block report and the end.
fn blocked(setup: &Setup, run: &mut Run<'_>, seen: &Seen, waited_ms: u64) -> ! {
    let step = log::step();
    let site = seen.site;
    let instruction = site.map_or(setup.case.subject, |s| s.instruction);
    let at = match site {
        Some(site) if site.phase == Phase::Step => {
            format!("{}+{}", routine(setup, step), site.offset)
        }
        _ => step.about().into(),
    };
    let symbol = match step {
        Step::BroadcastTlbi => capture::symbol(instruction),
        _ => instruction.symbol(),
    };
    report::record(&Record::Block(Block {
        n: setup.case.number as u32,
        op: setup.case.subject,
        initiator: setup.cpu as u32,
        instruction: symbol.into(),
        at,
        address: (instruction.takes_line() && seen.address != 0).then_some(Hex(seen.address)),
        waited_ms,
        returned: seen.returned,
        seen_by: "sentinel".into(),
        cores: states(setup, waited_ms),
        ladder: Vec::new(),
    }));
    let why = Some(format!("the log ends at: {}", step.about()));
    let record = findings::blank(&setup.case, Verdict::Blocked, why);
    run.finish(&setup.case, record);
    run.close(false)
}

/// The routine that a step runs.
fn routine(setup: &Setup, step: Step) -> &'static str {
    match step {
        Step::FlushIcache => setup.kernel.icache_routine(),
        Step::BroadcastIc => "capture_ic_ialluis",
        Step::BroadcastTlbi => "capture_tlbi_vaale1is",
        _ => setup.kernel.dcache_routine(),
    }
}

/// What each core was doing, equal ones together.
fn states(setup: &Setup, waited_ms: u64) -> Vec<CoreState> {
    let mut states: Vec<CoreState> = Vec::new();
    for core in core_local::all() {
        let cpu = core.index;
        let (role, doing, proof) = if cpu == setup.cpu {
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
                capture::doing(setup, cpu),
                "asked to stop by interrupt".into(),
            )
        };
        match states
            .iter_mut()
            .find(|s| s.role == role && s.doing == doing)
        {
            Some(known) => {
                known.cpus.insert(cpu);
            }
            None => states.push(CoreState {
                cpus: CpuSet::one(cpu),
                role: role.into(),
                doing,
                proof,
                at: None,
            }),
        }
    }
    states
}
