//! What the stacks say about the stale cores, and which cores those are.

use serde::Serialize;
use stalecore_model::{
    cpuset::{CpuSet, MAX_CPUS},
    glossary::StaleState,
    kdump::Kernel,
};

use super::{
    cpus::{Cpus, Meaning},
    crash::{Complaint, Crash},
    dump::Dump,
    hung::{self, Hung},
    outcome::{Kind, Outcome},
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

/// A CPU other than the one that crashed, about which the log says something.
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
    /// A watchdog complained about it.
    pub complained: bool,
    /// The complaint came after the panic: the CPU had not stopped.
    pub after_panic: bool,
    /// Its stack.
    pub stack: Option<Stack>,
}

/// Collects what the log says about other CPUs, at most one entry for each.
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
    /// The stack of the core that crashed: the others may be stuck in the same way.
    CrashedCore,
    /// They waited for the lock that another core's oops holds.
    DieLock,
    /// All took the stop SGI.
    TookSgi,
    /// Nothing in the log: a stand-in.
    Assumed,
}

/// Where the set of stale cores comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// The list names exactly those that did not stop.
    List,
    /// The list names all others, of which at least one did not stop.
    WholeList,
    /// Those on the list that the log shows to have been stuck.
    Known,
    /// Those that the log shows to have been stuck; there is no list.
    Complaint,
    /// Nothing: all but the core that crashed.
    AllOthers,
}

/// The stale cores to stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stale {
    /// The state.
    pub state: StaleState,
    /// The cores.
    pub cpus: CpuSet,
    /// Where the set comes from.
    pub from: From,
    /// The state that the stack shows, where the scenario cannot begin with it.
    pub seen: Option<StaleState>,
    /// How the state was arrived at.
    pub basis: Basis,
    /// The CPU whose stack decided, if one did.
    pub from_cpu: Option<u32>,
}

/// What the decision is made from.
pub struct Known<'a> {
    /// The crash.
    pub crash: &'a Crash,
    /// Its kind.
    pub kind: Kind,
    /// Its CPUs.
    pub cpus: &'a Cpus,
    /// The core that stands in for the one that crashed, if none is named.
    pub initiator: Option<u32>,
    /// The stack of the crash.
    pub stack: Option<&'a Stack>,
    /// Other CPUs.
    pub others: &'a [Other],
    /// CPUs known to be stuck.
    pub hung: &'a [Hung],
}

impl Stale {
    /// Decides what to stage; `None` where no core can have been stale.
    pub fn of(known: &Known<'_>) -> Option<Self> {
        let (cpus, from) = set(known)?;
        let crash = known.crash;
        let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye);
        let plain = |state, basis| Self {
            state,
            cpus,
            from,
            seen: None,
            basis,
            from_cpu: None,
        };
        if from == From::AllOthers && started {
            return Some(plain(StaleState::Parked, Basis::TookSgi));
        }
        let (shown, basis, from_cpu) = state(known, &cpus, from);
        // The scenario powers cores off itself; before that, these are like it.
        let state = match shown {
            StaleState::CrashStopped => StaleState::WfeMasked,
            state if state.powered_off() => StaleState::CpuSuspend,
            state => state,
        };
        Some(Self {
            seen: (state != shown).then_some(shown),
            from_cpu,
            ..plain(state, basis)
        })
    }
}

/// The CPUs that did not stop, as far as the log tells.
fn set(known: &Known<'_>) -> Option<(CpuSet, From)> {
    let Known { crash, cpus, .. } = known;
    cpus.count?;
    if matches!(cpus.meaning, Some(Meaning::Unreadable)) {
        return None;
    }
    let without = |mut set: CpuSet| {
        if let Some(cpu) = cpus.crashed.or(known.initiator) {
            set.remove(cpu as usize);
        }
        set
    };
    let stuck = hung::stale(known.hung, crash, cpus.crashed);
    let (found, from) = if let Some(list) = cpus.failed {
        let exact = matches!(
            cpus.meaning,
            Some(Meaning::StillOnline | Meaning::OnlineWithSelf)
        );
        let both = list.intersection(&stuck);
        if exact {
            (list, From::List)
        } else if both.is_empty() {
            (list, From::WholeList)
        } else {
            (both, From::Known)
        }
    } else {
        let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye);
        let nothing_crashed = Outcome::of(crash) == Outcome::NoPanic;
        let complained: CpuSet = known
            .hung
            .iter()
            .map(|h| h.cpu as usize)
            .filter(|cpu| *cpu < MAX_CPUS)
            .collect();
        if !stuck.is_empty() && (!started || crash.failed.is_some()) {
            (stuck, From::Complaint)
        } else if nothing_crashed && !complained.is_empty() {
            (complained, From::Complaint)
        } else {
            (cpus.online(), From::AllOthers)
        }
    };
    let found = without(found);
    (!found.is_empty()).then_some((found, from))
}

/// Their state, as far as a stack shows it.
fn state(known: &Known<'_>, cpus: &CpuSet, from: From) -> (StaleState, Basis, Option<u32>) {
    let seen = |other: &&Other| cpus.contains(other.cpu as usize) && other.stack.is_some();
    let busy = |other: &&Other| {
        let place = other.stack.as_ref().map(|s| s.place);
        !matches!(place, Some(Place::Idle | Place::Stopped))
    };
    let telling = known
        .others
        .iter()
        .filter(seen)
        .find(|o| o.complained)
        .or_else(|| known.others.iter().filter(seen).find(busy))
        .or_else(|| known.others.iter().find(seen));
    if let Some((other, stack)) = telling.and_then(|o| Some((o, o.stack.as_ref()?))) {
        return (stack.stale_state, Basis::StaleCore, Some(other.cpu));
    }
    if die_lock_waiters(known.crash) > 0 && known.crash.failed.is_some() {
        return (StaleState::Qspinlock, Basis::DieLock, None);
    }
    let own = |s: &&Stack| s.cpu.is_some_and(|cpu| cpus.contains(cpu as usize));
    if let Some(stack) = known.stack.filter(own) {
        return (stack.stale_state, Basis::StaleCore, stack.cpu);
    }
    match known.stack {
        // A core that waits for others shows that they are stuck, but not how.
        Some(stack) if known.kind.is_lockup() && stack.place != Place::OtherCpus => {
            (stack.stale_state, Basis::CrashedCore, stack.cpu)
        }
        _ if known.crash.failed.is_some()
            || from == From::Complaint
            || known.kind.is_lockup() && known.stack.is_some() =>
        {
            (StaleState::Spin, Basis::Assumed, None)
        }
        _ => (StaleState::Parked, Basis::Assumed, None),
    }
}

/// How many CPUs waited for the lock of another's oops: several faults were
/// announced before one oops began.
pub fn die_lock_waiters(crash: &Crash) -> usize {
    let faults = crash
        .complaints
        .iter()
        .map(|c| c.faults.len().saturating_sub(1));
    faults.max().unwrap_or(0)
}
