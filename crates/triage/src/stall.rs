//! What the kernel says about CPUs that make no progress, other than the
//! watchdogs' complaints: RCU stalls, waits for answers, unanswered requests.

use stalecore_model::cpuset::CpuSet;

/// How many CPUs of one list are kept: as many as a large machine has.
const MAX: usize = 600;

/// Everything of that kind in one crash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stalls {
    /// CPUs that RCU calls stalled, with the line that names each.
    pub rcu: Vec<(u32, u64)>,
    /// The CPU that found the stall.
    pub detector: Option<u32>,
    /// The CPU found it about itself.
    pub itself: bool,
    /// The line of that statement.
    pub line: Option<u64>,
    /// The kernel's own count of CPUs, and its line.
    pub cpus: Option<(u32, u64)>,
    /// Who waits for whom to answer a function call, and the line.
    pub waits: Vec<(u32, u32, u64)>,
    /// CPUs whose workqueues make no progress.
    pub workqueues: Vec<(u32, u64)>,
    /// CPUs that were asked for a backtrace, by whom, and the line.
    pub asked: Vec<(u32, u32, u64)>,
    /// CPUs that gave one.
    pub answered: Vec<u32>,
    /// Something was printed after the request.
    pub went_on: bool,
}

impl Stalls {
    /// A CPU that RCU calls stalled.
    pub fn stalled(&mut self, cpu: u32, line: u64) {
        if self.rcu.len() < MAX && !self.rcu.iter().any(|(c, _)| *c == cpu) {
            self.rcu.push((cpu, line));
        }
    }

    /// A list of CPUs that are asked for a backtrace.
    pub fn ask(&mut self, by: u32, list: &[u8], line: u64) {
        let set = std::str::from_utf8(list.trim_ascii())
            .ok()
            .and_then(|list| CpuSet::parse(list).ok());
        self.went_on = false;
        for cpu in set
            .iter()
            .flat_map(CpuSet::iter)
            .filter_map(|c| u32::try_from(c).ok())
        {
            if self.asked.len() < MAX {
                self.asked.push((cpu, by, line));
            }
        }
    }

    /// CPUs that were asked for a backtrace and gave none although the log goes on
    /// after the request, each with the request's line.
    pub fn unanswered(&self) -> Vec<(u32, u64)> {
        if !self.went_on {
            return Vec::new();
        }
        let silent = |cpu: u32| !self.answered.contains(&cpu);
        let asked = self.asked.iter().map(|(cpu, _, line)| (*cpu, *line));
        let mut found: Vec<_> = asked.filter(|(cpu, _)| silent(*cpu)).collect();
        found.sort_unstable();
        found.dedup_by_key(|(cpu, _)| *cpu);
        found
    }
}
