//! Which CPUs a crash speaks of: how many the machine has, which one went
//! down the kdump path, and what the list of those that "failed to stop"
//! means.

use serde::Serialize;
use stalecore_model::{cpuset::CpuSet, kdump::Kernel};

use super::{
    crash::{Crash, Trigger},
    dump::Cause,
    evidence::Support,
    outcome::{Kind, Outcome},
    step::Step,
};

/// Where the number of CPUs comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountSource {
    /// The boot's own count.
    Boot,
    /// The count in an RCU stall's own line.
    RcuStall,
    /// The list of CPUs that failed to stop, and the CPU that printed it.
    FailedList,
    /// The highest CPU that the log mentions: there may be more.
    HighestSeen,
}

/// How many CPUs the machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Count {
    /// The number.
    pub count: u32,
    /// Where it comes from.
    pub source: CountSource,
}

/// What the list of CPUs that failed to stop means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// The mask that the SGI was sent to, never pruned: at least one of them
    /// did not answer.
    AtLeastOne,
    /// Exactly those that were still up when the wait was over.
    StillOnline,
    /// The CPUs online at the end, with the CPU that panicked among them.
    OnlineWithSelf,
    /// The kernel prints no list.
    NoList,
    /// The list is cut off, damaged, or names CPUs beyond the harness's limit.
    Unreadable,
    /// The kernel is unknown, or the list fits its version badly.
    Unclear,
}

/// Which stop code printed a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// Before 6.12, without a crash kernel: prints all CPUs online, its own too.
    Ordinary,
    /// Before 6.12, on the way into a crash kernel: prints all but its own.
    Crash,
    /// From 6.12 on: prints what is still online, without its own.
    Unified,
    /// The log does not tell.
    Unknown,
}

/// The CPUs of a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpus {
    /// How many there are.
    pub count: Option<Count>,
    /// The CPU that went down the kdump path.
    pub crashed: Option<u32>,
    /// How that is known.
    pub crashed_by: Option<Support>,
    /// A CPU that a line names as the one that panicked, which the list refutes.
    pub refuted: Option<u32>,
    /// The CPUs on the list, if it is whole, readable and within the harness's limit.
    pub failed: Option<CpuSet>,
    /// What the list means.
    pub meaning: Option<Meaning>,
    /// CPUs that were offline.
    pub offline: CpuSet,
}

impl Cpus {
    /// Reads the CPUs of a crash.
    pub fn of(crash: &Crash, kind: Kind, stuck: Option<u32>, era: Option<Kernel>) -> Self {
        let failed = crash
            .failed
            .as_ref()
            .filter(|list| list.whole && !list.text.is_empty())
            .and_then(|list| CpuSet::parse(&list.text).ok());
        let mut offline = CpuSet::default();
        for cpu in &crash.offline {
            offline.insert(*cpu as usize);
        }
        let named = crashed(crash, kind, stuck);
        let stop = stop(crash, era);
        let on_list = |set: &CpuSet| named.as_ref().map(|(cpu, _)| set.contains(*cpu as usize));
        let listed = failed.as_ref().and_then(on_list);
        let refuted = match (stop, listed) {
            (Stop::Ordinary, Some(false)) | (Stop::Crash | Stop::Unified, Some(true)) => {
                named.as_ref().map(|(cpu, _)| *cpu)
            }
            _ => None,
        };
        let (crashed, crashed_by) = match named.filter(|_| refuted.is_none()) {
            Some((cpu, by)) => (Some(cpu), Some(by)),
            None => {
                let all_but_one = matches!(stop, Stop::Crash | Stop::Unknown);
                let found = failed.as_ref().filter(|_| all_but_one);
                let found = found.and_then(|set| hole(set, crash, &offline));
                let line = crash.steps[Step::FailedToStop as usize]
                    .as_ref()
                    .map(|m| m.line);
                (found, found.map(|_| Support::inferred(line)))
            }
        };
        let mut cpus = Self {
            count: None,
            crashed,
            crashed_by,
            refuted,
            failed,
            meaning: None,
            offline,
        };
        cpus.count = cpus.count(crash, stop);
        cpus.meaning = crash.failed.as_ref().map(|list| {
            if list.text.is_empty() {
                Meaning::NoList
            } else {
                cpus.meaning(stop, era)
            }
        });
        cpus
    }

    /// The CPUs that were there, as far as the log tells.
    pub fn online(&self) -> CpuSet {
        let count = self.count.map_or(0, |c| c.count as usize);
        CpuSet::first(count).difference(&self.offline)
    }

    fn count(&self, crash: &Crash, stop: Stop) -> Option<Count> {
        let known = |count, source| Some(Count { count, source });
        if let Some(count) = crash.cpus_up {
            return known(count, CountSource::Boot);
        }
        if let Some((count, _)) = crash.stalls.cpus {
            return known(count, CountSource::RcuStall);
        }
        let number = |cpu: usize| u32::try_from(cpu).ok();
        let listed = self
            .failed
            .as_ref()
            .and_then(CpuSet::highest)
            .and_then(number);
        let dumped = crash.dumps.all.iter().filter_map(|d| d.cpu).max();
        let named = crash.complaints.iter().filter_map(|c| c.cpu).max();
        let stalled = crash.stalls.rcu.iter().map(|(cpu, _)| *cpu).max();
        let plugged = crash
            .mpidrs
            .iter()
            .map(|(cpu, _)| *cpu)
            .max()
            .filter(|cpu| *cpu > 0);
        let offline = self.offline.highest().and_then(number);
        let highest = [
            listed,
            dumped,
            named,
            stalled,
            plugged,
            offline,
            self.crashed,
            self.refuted,
        ]
        .into_iter()
        .flatten()
        .max()?;
        let count = highest.checked_add(1)?;
        let all = self.failed.is_some_and(|set| {
            let mut everyone = set;
            self.crashed
                .is_some_and(|cpu| everyone.insert(cpu as usize))
                && everyone.len() == count as usize
        });
        let source = if all && matches!(stop, Stop::Crash | Stop::Unknown) {
            CountSource::FailedList
        } else {
            CountSource::HighestSeen
        };
        known(count, source)
    }

    fn meaning(&self, stop: Stop, era: Option<Kernel>) -> Meaning {
        let Some(set) = &self.failed else {
            return Meaning::Unreadable;
        };
        let with_self = self.crashed.is_some_and(|cpu| set.contains(cpu as usize));
        match stop {
            Stop::Unified => Meaning::StillOnline,
            Stop::Ordinary => Meaning::OnlineWithSelf,
            _ if with_self => Meaning::OnlineWithSelf,
            _ if era.is_none() => Meaning::Unclear,
            _ => {
                let mut others = self.online();
                if let Some(cpu) = self.crashed {
                    others.remove(cpu as usize);
                }
                if others == *set {
                    Meaning::AtLeastOne
                } else {
                    Meaning::Unclear
                }
            }
        }
    }
}

/// Which stop code ran.
fn stop(crash: &Crash, era: Option<Kernel>) -> Stop {
    if era.is_some_and(Kernel::names_only_failed) || crash.has(Step::RetryNmi) {
        return Stop::Unified;
    }
    if era.is_none() {
        return Stop::Unknown;
    }
    let ended = Outcome::of(crash) == Outcome::NoCrashKernel;
    if crash.has(Step::CrashKernel) || crash.has(Step::StaleWarning) {
        Stop::Crash
    } else if ended || crash.kdump_loaded == Some(false) {
        Stop::Ordinary
    } else if crash.kdump_loaded == Some(true) {
        Stop::Crash
    } else {
        Stop::Unknown
    }
}

/// The CPU that went down the kdump path, by what it printed itself, or else by
/// what the log says about the complaint.
fn crashed(crash: &Crash, kind: Kind, stuck: Option<u32>) -> Option<(u32, Support)> {
    let panic = crash.steps[Step::Panic as usize].as_ref().map(|m| m.line);
    let complaint = crash.complaints.first().map(|c| c.mark.line);
    if let Some((_, to, line)) = crash.redirected {
        return Some((to, Support::read([line])));
    }
    if let Some(cpu) = crash.panic_cpu() {
        return Some((cpu, Support::read(crash.cpu_line(cpu, panic))));
    }
    if kind == Kind::SoftLockup && Outcome::of(crash) == Outcome::NoPanic {
        return None;
    }
    if let Some(cpu) = stuck.filter(|_| kind == Kind::SoftLockup) {
        return Some((cpu, Support::inferred(complaint)));
    }
    let serror = crash
        .complaints
        .iter()
        .find(|c| c.trigger == Trigger::SError);
    if let Some((cpu, line)) = serror.and_then(|c| Some((c.cpu?, c.mark.line))) {
        return Some((cpu, Support::read([line])));
    }
    if let Some(cpu) = crash.cpu_of(Cause::Oops) {
        return Some((cpu, Support::inferred(crash.cpu_line(cpu, complaint))));
    }
    if kind == Kind::RcuStall && Outcome::of(crash) != Outcome::NoPanic {
        let itself = crash.stalls.rcu.first().filter(|_| crash.stalls.itself);
        let by = crash.stalls.detector.or(itself.map(|(cpu, _)| *cpu));
        if let Some(cpu) = by {
            return Some((cpu, Support::inferred(crash.stalls.line)));
        }
    }
    if let Some((cpu, line)) = crash.unprinted() {
        return Some((cpu, Support::inferred([line])));
    }
    crash
        .cpu_of(Cause::Unknown)
        .map(|cpu| (cpu, Support::inferred(crash.cpu_line(cpu, None))))
}

/// The one CPU that a list of all others leaves out.
fn hole(set: &CpuSet, crash: &Crash, offline: &CpuSet) -> Option<u32> {
    let count = match crash.cpus_up {
        Some(count) => count as usize,
        None => set.highest()? + 1,
    };
    let rest = CpuSet::first(count).difference(set).difference(offline);
    let only = rest.lowest().filter(|_| rest.len() == 1)?;
    u32::try_from(only).ok()
}
