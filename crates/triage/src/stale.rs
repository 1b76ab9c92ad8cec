//! What the stacks say about the stale cores, and which cores those are.

use serde::Serialize;
use stalecore_model::{cpuset::CpuSet, glossary::StaleState, kdump::Kernel};

use super::{
    cpus::{Cpus, Meaning},
    crash::{Complaint, Crash},
    dump::Dump,
    outcome::Kind,
    step::Step,
    stuck::{self, Place, Stuck},
};

/// One CPU's stack, read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stack {
    /// Whose it is.
    pub cpu: Option<u32>,
    /// Where it was, as printed.
    pub pc: String,
    /// Its caller, as printed.
    pub caller: Option<String>,
    /// The kind of place.
    pub place: Place,
    /// The nearest stale state.
    pub stale_state: StaleState,
    /// Why, in words.
    pub why: &'static str,
    /// Another CPU's dump was open at the same time: it may be that one's.
    pub mixed: bool,
}

impl Stack {
    fn of(dump: &Dump, era: Option<Kernel>) -> Option<Self> {
        let stack = dump.interrupted();
        let (at, callers) = stack.split_first()?;
        let queued = era.is_some_and(|e| e > Kernel::V4_18);
        let Stuck { place, state, why } = stuck::read(at, callers, queued);
        Some(Self {
            cpu: dump.cpu,
            pc: at.to_string(),
            caller: callers.first().map(ToString::to_string),
            place,
            stale_state: state,
            why,
            mixed: dump.mixed,
        })
    }

    /// The stack of the crash itself: the dump of its complaint, else the
    /// trace below the interrupt that led to the panic.
    pub fn of_crash(
        crash: &Crash,
        complaint: Option<&Complaint>,
        cpu: Option<u32>,
        era: Option<Kernel>,
    ) -> Option<Self> {
        let own = complaint
            .and_then(|c| crash.dumps.all.iter().find(|d| d.id == c.dump))
            .filter(|d| cpu.is_none() || d.cpu.is_none() || d.cpu == cpu);
        let same = crash
            .dumps
            .all
            .iter()
            .filter(|d| cpu.is_some() && d.cpu == cpu);
        own.into_iter().chain(same).find_map(|d| Self::of(d, era))
    }
}

/// A CPU other than the one that crashed, of which the log says something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Other {
    /// Which.
    pub cpu: u32,
    /// How long a watchdog saw it stuck.
    pub stuck_s: Option<u32>,
    /// Its task.
    pub comm: Option<String>,
    /// Its task's pid.
    pub pid: Option<u32>,
    /// A watchdog complained of it.
    pub complained: bool,
    /// The complaint came behind the panic: the CPU still took interrupts.
    pub after_panic: bool,
    /// Its stack.
    pub stack: Option<Stack>,
}

/// Collects what the log says of other CPUs, at most one entry a CPU.
pub fn others(crash: &Crash, crashed: Option<u32>, era: Option<Kernel>) -> Vec<Other> {
    let mut found: Vec<Other> = Vec::new();
    let panic_line = crash.steps[Step::Panic as usize].as_ref().map(|m| m.line);
    for complaint in &crash.complaints {
        let Some(cpu) = complaint.cpu.filter(|cpu| Some(*cpu) != crashed) else {
            continue;
        };
        let dump = crash.dumps.all.iter().find(|d| d.id == complaint.dump);
        found.retain(|o| o.cpu != cpu);
        found.push(Other {
            cpu,
            stuck_s: complaint.stuck_s,
            comm: complaint.task.as_ref().map(|t| t.0.clone()),
            pid: complaint.task.as_ref().map(|t| t.1),
            complained: true,
            after_panic: panic_line.is_some_and(|line| complaint.mark.line > line),
            stack: dump.and_then(|d| Stack::of(d, era)),
        });
    }
    for dump in &crash.dumps.all {
        let Some(cpu) = dump.cpu.filter(|cpu| Some(*cpu) != crashed) else {
            continue;
        };
        let stack = Stack::of(dump, era);
        match found.iter_mut().find(|o| o.cpu == cpu) {
            Some(known) => {
                if known.stack.is_none() {
                    known.stack = stack;
                }
            }
            None => found.push(Other {
                cpu,
                stuck_s: None,
                comm: dump.line.as_ref().and_then(|l| l.comm.clone()),
                pid: dump.line.as_ref().and_then(|l| l.pid),
                complained: false,
                after_panic: false,
                stack,
            }),
        }
    }
    found.sort_by_key(|o| o.cpu);
    found
}

/// How a stale state was arrived at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The stack of a core that did not stop, or that a watchdog found.
    StaleCore,
    /// The stack of the core that crashed: the others may be stuck alike.
    CrashedCore,
    /// All took the stop SGI.
    TookSgi,
    /// Nothing in the log: a stand-in.
    Assumed,
}

/// The stale cores to stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stale {
    /// The state.
    pub state: StaleState,
    /// The cores.
    pub cpus: CpuSet,
    /// The state that the stack shows, where the scenario cannot begin with it.
    pub seen: Option<StaleState>,
    /// How the state was arrived at.
    pub basis: Basis,
    /// The CPU whose stack decided, if one did.
    pub from_cpu: Option<u32>,
}

impl Stale {
    /// Decides what to stage; `None` on a machine of one CPU.
    pub fn of(
        crash: &Crash,
        kind: Kind,
        cpus: &Cpus,
        stack: Option<&Stack>,
        others: &[Other],
    ) -> Option<Self> {
        let count = cpus.count?.count as usize;
        if matches!(cpus.meaning, Some(Meaning::Unreadable)) {
            return None;
        }
        let mut rest = cpus.failed.unwrap_or(CpuSet::first(count));
        // Without a list, some CPU has to be the one that crashed.
        let crashed = cpus.crashed.or(cpus.failed.is_none().then_some(0));
        if let Some(cpu) = crashed {
            rest.remove(cpu as usize);
        }
        if rest.is_empty() {
            return None;
        }
        let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye);
        if crash.failed.is_none() && started {
            return Some(Self {
                state: StaleState::Parked,
                cpus: rest,
                seen: None,
                basis: Basis::TookSgi,
                from_cpu: None,
            });
        }
        let seen = |other: &&Other| rest.contains(other.cpu as usize) && other.stack.is_some();
        let busy = |other: &&Other| {
            let place = other.stack.as_ref().map(|s| s.place);
            !matches!(place, Some(Place::Idle | Place::Stopped))
        };
        let telling = others
            .iter()
            .filter(seen)
            .find(|o| o.complained)
            .or_else(|| others.iter().filter(seen).find(busy))
            .or_else(|| others.iter().find(seen));
        let (shown, basis, from_cpu) = match (telling, stack) {
            (Some(other), _) => {
                let stack = other.stack.as_ref()?;
                (stack.stale_state, Basis::StaleCore, Some(other.cpu))
            }
            // Whoever waits for other CPUs shows that they are stuck, not how.
            (None, Some(stack)) if kind.is_lockup() && stack.place != Place::OtherCpus => {
                (stack.stale_state, Basis::CrashedCore, stack.cpu)
            }
            _ if crash.failed.is_some() || kind.is_lockup() && stack.is_some() => {
                (StaleState::Spin, Basis::Assumed, None)
            }
            _ => (StaleState::Parked, Basis::Assumed, None),
        };
        // The scenario powers cores off itself; before that, these are like it.
        let state = match shown {
            StaleState::CrashStopped => StaleState::WfeMasked,
            state if state.powered_off() => StaleState::CpuSuspend,
            state => state,
        };
        Some(Self {
            state,
            cpus: rest,
            seen: (state != shown).then_some(shown),
            basis,
            from_cpu,
        })
    }
}
