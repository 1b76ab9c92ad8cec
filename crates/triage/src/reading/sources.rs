//! Where each fact of a reading comes from.

use super::{
    super::{
        cpus::CountSource,
        crash::Crash,
        evidence::{How, Support},
        stale::{Basis, From, Stale},
        step::Step,
    },
    Basics, Reading, Source,
};

/// Where the facts come from that a reader may want to check.
pub(super) fn sources(crash: &Crash, basics: &Basics<'_>, stale: Option<&Stale>) -> Vec<Source> {
    let read = |line: Option<u64>| line.map(|line| Support::read([line]));
    let count = basics.cpus.count.map(|count| match count.source {
        CountSource::Boot => Support::read(crash.lines.cpus_up),
        CountSource::RcuStall => Support::read(crash.stalls.cpus.map(|(_, line)| line)),
        CountSource::FailedList => Support::inferred(crash.line_of(Step::FailedToStop)),
        CountSource::HighestSeen => Support::assumed(),
    });
    let stuck = basics
        .stuck_cpu
        .and(basics.complaint)
        .map(|c| Support::read([c.mark.line]));
    let list = crash.line_of(Step::FailedToStop);
    let set = stale.map(|stale| match stale.from {
        From::List | From::Known => Support::inferred(list),
        From::Complaint => Support::inferred(crash.line_of(Step::Crash)),
        From::AllOthers if stale.basis == Basis::TookSgi => {
            Support::inferred(crash.line_of(Step::CrashKernel))
        }
        From::WholeList | From::AllOthers => Support::assumed(),
    });
    let state = stale.map(|stale| match stale.basis {
        Basis::StaleCore | Basis::CrashedCore => {
            let line = stale.from_cpu.and_then(|cpu| crash.cpu_line(cpu, None));
            Support::inferred(line)
        }
        Basis::DieLock => Support::inferred(crash.line_of(Step::Crash)),
        Basis::TookSgi => Support::inferred(crash.line_of(Step::CrashKernel)),
        Basis::Assumed => Support::assumed(),
    });
    let facts = [
        ("cpu", basics.cpus.crashed_by.clone()),
        ("stuck_cpu", stuck),
        ("kernel", read(crash.lines.release)),
        ("hardware", read(crash.lines.hardware)),
        ("kdump_loaded", read(crash.lines.kdump_loaded)),
        ("cpus", count),
        ("panic", read(crash.line_of(Step::Panic))),
        ("failed_to_stop", read(list)),
        ("stale.cpus", set),
        ("stale.state", state),
    ];
    facts
        .into_iter()
        .filter_map(|(fact, support)| {
            Some(Source {
                fact,
                support: support?,
            })
        })
        .collect()
}

impl Reading {
    /// Where a fact comes from.
    pub fn source(&self, fact: &str) -> Option<&Support> {
        let source = self.sources.iter().find(|s| s.fact == fact)?;
        Some(&source.support).filter(|s| s.how != How::Read || !s.lines.is_empty())
    }
}
