//! Watches operations in flight by plain loads and its own counter, and writes what it
//! sees to the flight recorder. No maintenance, no DSB, no lock that another core
//! holds.

use alloc::{format, string::String, vec::Vec};
use core::{hint::black_box, sync::atomic::Ordering};

use aarch64_cpu::registers::Readable;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{INHERITED, StaleState},
    plan::{Case, Roles},
    record::{Block, CoreState},
};

use super::witness::Counts;
use crate::{
    cores::{
        mark::{self, Seen},
        percpu::{self, Core, core},
    },
    hal::{arch, clock, registers::ISR_EL1, symbols, watchdog},
    report::{self, recorder},
    stuck::{self, Proof, StaleSet},
};

/// How a watch ended.
pub enum Watched {
    /// Everything returned.
    Returned,
    /// An operation had not returned when its deadline passed.
    Held(Held),
}

/// An operation that has not returned.
pub struct Held {
    /// The initiator.
    pub cpu: usize,
    /// Its mark.
    pub seen: Seen,
    /// How long the mark has not moved, in milliseconds.
    pub waited_ms: u64,
    /// When that was seen, in ticks.
    pub at: u64,
    /// What the interconnect's counters stood at before anything was asked.
    pub before: Counts,
}

impl Held {
    /// Has its operation returned, and the core stopped before the next? What it posted
    /// may hold it up.
    pub const fn is_behind(&self) -> bool {
        !self.seen.in_flight()
    }
}

/// How many deadlines an initiator may spend between two operations: there it only has
/// to run, but an emulator may not let it for a while.
const BETWEEN: u64 = 4;

/// Empty turns between two looks, some tens of microseconds. A look takes the line of the
/// mark away from the initiator, and an emulator's lock with the counter: looking all the
/// time would be in most samples, looking now and then is in one of many.
const TURNS: u32 = 20_000;

/// Watches the initiators until each has done what it was asked, or the mark of one has
/// not moved for the deadline. The recorder is told of that: if the machine is reset
/// before anything is reported, it was a block. Where all cores run `in_turn`, as with
/// instructions counted, a look is in nothing, and empty turns would be everybody's.
pub fn watch(initiators: &CpuSet, deadline_ms: u32, in_turn: bool) -> Watched {
    let mut watched: Vec<(usize, u64, u64)> = initiators
        .iter()
        .map(|cpu| (cpu, core(cpu).mark.read().sequence, clock::now()))
        .collect();
    let turns = if in_turn { 0 } else { TURNS };
    let mut recorded = None;
    let mut case = mark::case();
    loop {
        watchdog::refresh();
        watched.retain(|(cpu, ..)| !core(*cpu).mailbox.is_done());
        if watched.is_empty() {
            return Watched::Returned;
        }
        for (cpu, sequence, since) in &mut watched {
            let seen = core(*cpu).mark.read();
            if seen.sequence != *sequence {
                *sequence = seen.sequence;
                *since = clock::now();
                report::running(mark::case());
                // If the machine is reset now, this is the case that was under way.
                if case != mark::case() {
                    case = mark::case();
                    recorder::set_in_flight(*cpu, seen);
                }
                continue;
            }
            // Only a mark that has stood still for a moment is worth recording.
            if seen.in_flight() && recorded != Some((*cpu, seen.sequence)) {
                recorded = Some((*cpu, seen.sequence));
                recorder::set_in_flight(*cpu, seen);
            }
            let deadline_ms = match u64::from(deadline_ms) {
                ms if seen.in_flight() => ms,
                ms => BETWEEN * ms,
            };
            let waited_ms = clock::ms_since(*since);
            if waited_ms < deadline_ms {
                continue;
            }
            // The mark once more, after the time was read: it may have moved while
            // this core itself did not run.
            if core(*cpu).mark.read().sequence != seen.sequence {
                continue;
            }
            recorder::stood_still(*cpu, seen, waited_ms);
            return Watched::Held(Held {
                cpu: *cpu,
                seen,
                waited_ms,
                at: clock::now(),
                before: Counts::new(),
            });
        }
        arch::pause();
        // A turn is nothing that another core could see.
        for turn in 0..turns {
            black_box(turn);
        }
    }
}

/// The block report, from plain loads alone, before anything is done about the block.
/// `baseline` says that every other core was parked.
pub fn describe(
    case: &Case,
    held: &Held,
    entered: &StaleSet,
    roles: &Roles,
    inherited: &CpuSet,
    baseline: bool,
) -> Block {
    Block {
        cores: states(held, entered, roles, inherited),
        baseline,
        behind: held.is_behind(),
        ..case.block(held.cpu, &held.seen, held.waited_ms, "sentinel")
    }
}

/// What all cores but the sentinel were doing, equal ones together.
fn states(held: &Held, entered: &StaleSet, roles: &Roles, inherited: &CpuSet) -> Vec<CoreState> {
    let mut states: Vec<CoreState> = Vec::new();
    for core in percpu::all() {
        let cpu = core.index;
        let state = if cpu == held.cpu {
            one(
                cpu,
                "initiator",
                "held up".into(),
                format!("its mark last moved {} ms ago", held.waited_ms),
                None,
            )
        } else if roles.initiators.contains(cpu) {
            let doing = if core.mailbox.is_done() {
                "returned"
            } else {
                "running"
            };
            one(
                cpu,
                "initiator",
                doing.into(),
                format!("{} marks", core.mark.read().sequence),
                None,
            )
        } else if roles.sentinel == Some(cpu) {
            one(
                cpu,
                "sentinel",
                "watching".into(),
                "wrote this".into(),
                None,
            )
        } else if entered.cpus.contains(cpu) {
            let at = entered
                .shown_by(cpu)
                // A core that takes no interrupt was not hit by one.
                .filter(|_| entered.state != StaleState::DeviceStuck)
                .map(|at| format!("{}", symbols::At(at)))
                .into_iter()
                .chain(backtrace(core))
                .last();
            one(
                cpu,
                "stale",
                entered.state.name().into(),
                proof(entered.state).into(),
                at,
            )
        } else if inherited.contains(cpu) {
            one(
                cpu,
                INHERITED,
                "stuck since before this boot".into(),
                "PSCI AFFINITY_INFO said on".into(),
                None,
            )
        } else {
            let doing = if core.is_online() {
                "waiting"
            } else {
                "not started"
            };
            one(cpu, "stale", doing.into(), "none asked for".into(), None)
        };
        with_serrors(core, state).join(&mut states);
    }
    states
}

/// Adds the asynchronous aborts that a core has taken; for the core that runs this,
/// also a pending one. The ISR_EL1 of other cores cannot be read.
fn with_serrors(core: &Core, state: CoreState) -> CoreState {
    let mut proof = state.proof;
    let (count, esr) = core.serrors();
    if count > 0 {
        proof += &format!("; {count} SErrors so far, the last with ESR_EL1 {esr:#x}");
    }
    let own = percpu::this().is_some_and(|own| own.index == core.index);
    if own && ISR_EL1.is_set(ISR_EL1::A) {
        proof += "; an SError is pending";
    }
    CoreState { proof, ..state }
}

fn one(cpu: usize, role: &str, doing: String, proof: String, at: Option<String>) -> CoreState {
    CoreState {
        cpus: CpuSet::one(cpu),
        role: role.into(),
        doing,
        proof,
        at,
    }
}

fn proof(state: StaleState) -> &'static str {
    match stuck::row(state).proof {
        Proof::Interrupt if state == StaleState::DeviceStuck => {
            "EL2 held its load up before the case"
        }
        Proof::Interrupt => "took an interrupt there before the case",
        Proof::Answer => "answered there before the case",
        Proof::Gone => "had called firmware and not come back before the case",
        Proof::Unanswered => "had begun its load and not come back before the case",
        Proof::AffinityInfo => "AFFINITY_INFO said OFF before the case",
    }
}

/// Where EL2 found a core when it kicked it, if it did: program counter, link
/// register, and whether EL1 masks interrupts.
fn backtrace(core: &Core) -> Option<String> {
    let kicked = &core.kicked;
    (kicked.count.load(Ordering::Acquire) > 0).then(|| {
        let masked = kicked.spsr.load(Ordering::Relaxed) & (1 << 7) != 0;
        format!(
            "{}, called from {}, {}",
            symbols::At(kicked.pc.load(Ordering::Relaxed)),
            symbols::At(kicked.lr.load(Ordering::Relaxed)),
            if masked {
                "interrupts masked"
            } else {
                "interrupts open"
            },
        )
    })
}
