//! Watches operations in flight: plain loads, its own counter, and what it sees
//! written to the flight recorder. No maintenance, no DSB, no lock that another
//! core holds.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    glossary::StaleState,
    plan::{Case, Roles},
    record::{Block, CoreState, Rung},
};

use crate::{
    cores::{
        mark::{self, Seen},
        percpu::{self, Core, core},
    },
    hal::{arch, clock, symbols, watchdog},
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
}

/// Watches the initiators until each has done what it was asked, or the mark
/// of one has not moved for the deadline.
///
/// # Errors
/// An initiator that has nothing in flight and does not go on either: the
/// harness has lost it.
pub fn watch(initiators: &CpuSet, deadline_ms: u32) -> Result<Watched, String> {
    let mut watched: Vec<(usize, u64, u64)> = initiators
        .iter()
        .map(|cpu| (cpu, core(cpu).mark.read().sequence, arch::cntvct()))
        .collect();
    let mut recorded = None;
    loop {
        watchdog::refresh();
        watched.retain(|(cpu, ..)| !core(*cpu).mailbox.is_done());
        if watched.is_empty() {
            return Ok(Watched::Returned);
        }
        for (cpu, sequence, since) in &mut watched {
            let seen = core(*cpu).mark.read();
            if seen.sequence != *sequence {
                *sequence = seen.sequence;
                *since = arch::cntvct();
                report::running(mark::case());
                continue;
            }
            // Only one that has stood still for a moment is worth its time.
            if seen.in_flight() && recorded != Some((*cpu, seen.sequence)) {
                recorded = Some((*cpu, seen.sequence));
                recorder::set_in_flight(*cpu, seen);
            }
            let waited_ms = clock::ms_since(*since);
            if waited_ms < u64::from(deadline_ms) {
                continue;
            }
            if seen.in_flight() {
                return Ok(Watched::Held(Held {
                    cpu: *cpu,
                    seen,
                    waited_ms,
                }));
            }
            // Between operations it needs nothing but to run.
            if waited_ms >= 4 * u64::from(deadline_ms) {
                return Err(format!(
                    "CPU {cpu} has stopped between two operations for {waited_ms} ms"
                ));
            }
        }
        arch::pause();
    }
}

/// Where the held operation is: `flush_icache_range+92`.
pub fn place(case: &Case, held: &Held) -> String {
    case.place(&held.seen)
}

/// The block report, with the rungs that were tried.
pub fn describe(
    case: &Case,
    held: &Held,
    entered: &StaleSet,
    roles: &Roles,
    ladder: Vec<Rung>,
) -> Block {
    Block {
        cores: states(held, entered, roles),
        ladder,
        ..case.block(held.cpu, &held.seen, held.waited_ms, "sentinel")
    }
}

/// What all cores but the sentinel were doing, equal ones together.
fn states(held: &Held, entered: &StaleSet, roles: &Roles) -> Vec<CoreState> {
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
        } else {
            let doing = if core.is_online() {
                "waiting"
            } else {
                "not started"
            };
            one(cpu, "stale", doing.into(), "none asked for".into(), None)
        };
        state.join(&mut states);
    }
    states
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
        Proof::Interrupt => "took an interrupt there before the case",
        Proof::Answer => "answered there before the case",
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
