//! Which CPUs a crash speaks of: how many the machine has, which one went
//! down the kdump path, and what the list of those that "failed to stop"
//! means.

use serde::Serialize;
use stalecore_model::{cpuset::CpuSet, kdump::Kernel};

use super::{
    crash::Crash,
    dump::Cause,
    outcome::{Kind, Outcome},
};

/// Where the number of CPUs comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountSource {
    /// The boot's own count.
    Boot,
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
    /// Exactly those still up when the wait was over.
    StillOnline,
    /// The CPUs online at the end, with the CPU that panicked among them.
    OnlineWithSelf,
    /// The kernel prints no list.
    NoList,
    /// The list is cut off, damaged, or names CPUs out of reach.
    Unreadable,
    /// The kernel is unknown, or the list fits its version badly.
    Unclear,
}

/// The CPUs of a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpus {
    /// How many there are.
    pub count: Option<Count>,
    /// The CPU that went down the kdump path.
    pub crashed: Option<u32>,
    /// The CPUs on the list, if it is whole, can be read and is within reach.
    pub failed: Option<CpuSet>,
    /// What the list means.
    pub meaning: Option<Meaning>,
}

impl Cpus {
    /// Reads the CPUs of a crash.
    pub fn of(crash: &Crash, kind: Kind, stuck: Option<u32>, era: Option<Kernel>) -> Self {
        let failed = crash
            .failed
            .as_ref()
            .filter(|list| list.whole && !list.text.is_empty())
            .and_then(|list| CpuSet::parse(&list.text).ok());
        let crashed = crash
            .panic_cpu()
            .or_else(|| stuck.filter(|_| kind == Kind::SoftLockup))
            .or_else(|| crash.cpu_of(Cause::Oops))
            .or_else(|| failed.as_ref().and_then(|set| hole(set, crash.cpus_up)));
        let count = count(crash, crashed, failed.as_ref());
        let meaning = crash.failed.as_ref().map(|list| {
            if list.text.is_empty() {
                Meaning::NoList
            } else {
                meaning(crash, crashed, failed.as_ref(), count, era)
            }
        });
        Self {
            count,
            crashed,
            failed,
            meaning,
        }
    }
}

/// The one CPU that a list of all others leaves out.
fn hole(set: &CpuSet, cpus_up: Option<u32>) -> Option<u32> {
    let count = match cpus_up {
        Some(count) => count as usize,
        None => set.highest()? + 1,
    };
    let rest = CpuSet::first(count).difference(set);
    let only = rest.lowest().filter(|_| rest.len() == 1)?;
    u32::try_from(only).ok()
}

fn count(crash: &Crash, crashed: Option<u32>, failed: Option<&CpuSet>) -> Option<Count> {
    if let Some(count) = crash.cpus_up {
        return Some(Count {
            count,
            source: CountSource::Boot,
        });
    }
    let listed = failed
        .and_then(CpuSet::highest)
        .and_then(|h| u32::try_from(h).ok());
    let dumped = crash.dumps.all.iter().filter_map(|d| d.cpu).max();
    let named = crash.complaints.iter().filter_map(|c| c.cpu).max();
    let highest = [listed, dumped, named, crashed]
        .into_iter()
        .flatten()
        .max()?;
    let count = highest.checked_add(1)?;
    let all = failed.is_some_and(|set| {
        let mut everyone = *set;
        crashed.is_none_or(|cpu| everyone.insert(cpu as usize)) && everyone.len() == count as usize
    });
    Some(Count {
        count,
        source: if all {
            CountSource::FailedList
        } else {
            CountSource::HighestSeen
        },
    })
}

fn meaning(
    crash: &Crash,
    crashed: Option<u32>,
    failed: Option<&CpuSet>,
    count: Option<Count>,
    era: Option<Kernel>,
) -> Meaning {
    let Some(set) = failed else {
        return Meaning::Unreadable;
    };
    if crashed.is_some_and(|cpu| set.contains(cpu as usize)) {
        return Meaning::OnlineWithSelf;
    }
    if crash.retry.is_some() {
        return Meaning::StillOnline;
    }
    let Some(era) = era else {
        return Meaning::Unclear;
    };
    if era.names_only_failed() {
        return Meaning::StillOnline;
    }
    let others = count.map_or(0, |c| c.count as usize).saturating_sub(1);
    let ended = Outcome::of(crash) == Outcome::NoCrashKernel;
    if set.len() == others && !ended {
        Meaning::AtLeastOne
    } else {
        Meaning::Unclear
    }
}
