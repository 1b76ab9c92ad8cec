//! How a case is judged by its rounds, and the record of that.

use alloc::format;

use super::{Series, Taken};
use crate::{
    glossary::{Kind, Verdict},
    histogram::Histogram,
    options::Milli,
    record::{CaseRecord, Dwell, Hex, Late},
    rounds::{Class, Found, ROUNDS, Rounds},
};

/// A sample is late if it took longer than so many microseconds,
const LATE_US: u64 = 100;
/// so many times as long as what is usual for the case, its baseline and the empty block,
const TIMES_USUAL: u64 = 100;
/// and so many times as long as the longest of those two that are controls.
const TIMES_LONGEST: u64 = 4;

/// How cases are judged in this run.
#[derive(Clone, Copy)]
pub struct Judge {
    /// The smallest difference that it can show, in ticks.
    pub resolution: u64,
    /// The slow-down above which a case is `slowed`.
    pub threshold: Milli,
    /// How many cases are judged this way.
    pub family: usize,
    /// The counter's frequency in Hz.
    pub hz: u64,
    /// How long a mark may stand still before its operation is `blocked`.
    pub deadline_ms: u32,
}

impl Judge {
    /// The class that decides a case, in its first rounds: the complete one, unless the
    /// issue class shows more, by more than medians are known to. Fresh rounds judge, so
    /// the choice finds nothing that is not there; but what a DSB costs anyway does not
    /// hide what an operation costs.
    fn first(&self, series: &Series<'_>) -> Option<Rounds> {
        let class = |class| series.done.rounds(class, series.base.as_deref());
        let (issue, complete) = (class(Class::Issue), class(Class::Complete));
        let shows = |rounds: &Rounds| match rounds.slowdown(self.resolution) {
            Some((middle, _)) if middle > self.threshold => middle,
            _ => 0,
        };
        match (issue, complete) {
            (Some(issue), Some(complete)) if shows(&issue) * 15 > shows(&complete) * 16 => {
                Some(issue)
            }
            (issue, complete) => complete.or(issue),
        }
    }

    /// Do the first rounds show something that is to be confirmed?
    pub fn is_candidate(&self, series: &Series<'_>) -> bool {
        let first = self.first(series);
        first.is_some_and(|rounds| rounds.is_candidate(self.resolution, self.threshold))
    }

    /// The one class by which all of these are to be confirmed, if there is one.
    pub fn class<'a>(&self, mut series: impl Iterator<Item = &'a Series<'a>>) -> Option<Class> {
        let class = self.first(series.next()?)?.class;
        series
            .all(|series| {
                self.first(series)
                    .is_some_and(|rounds| rounds.class == class)
            })
            .then_some(class)
    }

    /// Can further rounds still confirm it?
    pub fn is_open(&self, series: &Series<'_>) -> bool {
        let fresh = self.fresh(series);
        fresh.is_none_or(|rounds| rounds.is_open(self.resolution, self.threshold, self.family))
    }

    /// The rounds that were to confirm it, in the class that decides.
    fn fresh(&self, series: &Series<'_>) -> Option<Rounds> {
        let [base, done] = series.fresh.as_ref()?;
        done.rounds(self.first(series)?.class, Some(base))
    }

    /// A sample that no quantile shows, and that is far beyond everything that the
    /// controls have.
    fn late(&self, series: &Series<'_>, now_ms: u64) -> Option<Late> {
        let longest = series.longest()?;
        let base = series.base.as_deref()?;
        let mut of = (0, 0);
        base.beside(true, &mut of);
        series.done.beside(false, &mut of);
        if let Some([base, done]) = &series.fresh {
            base.beside(true, &mut of);
            done.beside(false, &mut of);
        }
        let (usual, control) = of;
        let bound = (self.hz.saturating_mul(LATE_US) / 1_000_000)
            .max(usual.saturating_mul(TIMES_USUAL))
            .max(control.saturating_mul(TIMES_LONGEST));
        let operand = match series.case.subject.takes_address() {
            true => longest.sample.operand,
            false => 0,
        };
        (longest.sample.ticks > bound).then(|| Late {
            cpu: longest.cpu as u32,
            round: longest.round as u32 + 1,
            complete: longest.sample.class == Class::Complete,
            nth: longest.sample.nth,
            operand: Hex(operand),
            ticks: longest.sample.ticks,
            control,
            at_ms: longest.at_ms,
            ago_ms: now_ms.saturating_sub(longest.at_ms),
            starved: None,
        })
    }

    /// How long the longest sample took, in milliseconds, if that is longer than the
    /// deadline: then its mark stood still for as long, and yet the sentinel has told of
    /// no block. The baseline's samples are the same operation. A routine's sample is many
    /// operations, each with a mark of its own.
    fn outlasted(&self, series: &Series<'_>) -> Option<u64> {
        let fresh = series.fresh.iter().flatten();
        let all = fresh.chain([&series.done]).chain(&series.base);
        let longest = all.map(|measured| measured.max()).max()?;
        let ms = u128::from(longest) * 1000 / u128::from(self.hz.max(1));
        let one = series.case.subject.kind() == Kind::Operation;
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        (one && ms > u64::from(self.deadline_ms)).then_some(ms)
    }

    /// The record of a case that returned, `batch` operations in a timed block, and the
    /// fault that it took, if it took one. It is made `now_ms` after the run began.
    pub fn record(
        &self,
        series: Series<'_>,
        batch: u32,
        now_ms: u64,
    ) -> (CaseRecord, Option<Taken>) {
        let late = self.late(&series, now_ms);
        let outlasted = self.outlasted(&series);
        // Fewer rounds sufficed to see that nothing is certain, but say less.
        let fresh = self
            .fresh(&series)
            .filter(|fresh| fresh.case.len() >= ROUNDS);
        let rounds = fresh.or_else(|| self.first(&series));
        let Series {
            case,
            done,
            base,
            doubt,
            ..
        } = series;
        let done = *done;
        let mut record = CaseRecord::blank(case, Verdict::Completed, None);
        record.batch = batch;
        record.issue = done.issue;
        record.complete = done.complete;
        record.sweep = done.sweep;
        record.initiators = done.initiators;
        record.dwell = done
            .dwells
            .into_iter()
            .enumerate()
            .map(|(nth, (ms, samples))| Dwell {
                ms,
                samples,
                baseline: base
                    .as_ref()
                    .and_then(|b| b.dwells.get(nth))
                    .map_or(Histogram::new(), |(_, samples)| samples.clone()),
            })
            .collect();
        if let Some(base) = base {
            record.base_issue = base.issue;
            record.base_complete = base.complete;
        }
        let found = rounds
            .as_ref()
            .map(|rounds| rounds.found(self.resolution, self.threshold, self.family));
        // Where they show nothing the medians of the histograms say the same, and a serial
        // line is slow.
        record.rounds = rounds.filter(|_| found != Some(Found::Same));
        let behind_dwell = record
            .behind_dwell(self.resolution)
            .is_some_and(|later| later > self.threshold);
        let mut fault = None;
        (record.verdict, record.why) = if let Some(why) = done.lacks {
            (Verdict::Skipped, Some(why))
        } else if done.fault.is_some() {
            fault = done.fault;
            (Verdict::Faulted, None)
        } else if let Some((cpu, expected, seen)) = done.stale_code {
            let why = format!(
                "CPU {cpu} executed code of generation {seen}, {expected} had been written"
            );
            (Verdict::Incoherent, Some(why))
        } else if let Some((cpu, page)) = done.stale_store {
            let why = format!(
                "behind the TLBI and the DSB of CPU {cpu} a store still came to the page at {page:#x}, \
                 which had been taken away"
            );
            (Verdict::Incoherent, Some(why))
        } else if let Some(doubt) = doubt {
            (Verdict::Inconclusive, Some(doubt))
        } else if let Some(ms) = outlasted {
            record.late = late;
            let why = format!(
                "one sample took {ms} ms, longer than the deadline of {} ms, and the sentinel has not \
                 seen it: it did not run then, or there was none",
                self.deadline_ms
            );
            (Verdict::Inconclusive, Some(why))
        } else if done.missed {
            let why = format!("{} had passed before the first operation", case.state);
            (Verdict::Inconclusive, Some(why))
        } else if let Some(cpu) = done.unseen {
            let why = format!(
                "the step-by-step pass on CPU {cpu} saw no operation: a block here would have no place"
            );
            (Verdict::Inconclusive, Some(why))
        } else {
            match found {
                None => (Verdict::Inconclusive, Some("no samples to compare".into())),
                Some(Found::Later) => (Verdict::Slowed, None),
                Some(_) if behind_dwell => (Verdict::Slowed, None),
                Some(_) => (Verdict::Completed, None),
            }
        };
        if matches!(record.verdict, Verdict::Completed | Verdict::Slowed) {
            record.late = late;
        }
        (record, fault)
    }
}

#[cfg(test)]
mod tests;
