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
        (longest.sample.ticks > bound).then(|| Late {
            cpu: longest.cpu as u32,
            round: longest.round as u32 + 1,
            complete: longest.sample.class == Class::Complete,
            nth: longest.sample.nth,
            operand: Hex(longest.sample.operand),
            ticks: longest.sample.ticks,
            control,
            at_ms: longest.at_ms,
            ago_ms: now_ms.saturating_sub(longest.at_ms),
            starved: None,
        })
    }

    /// How long the longest sample took, in milliseconds, if that is longer than the
    /// deadline: then its mark stood still for as long, and yet the sentinel has told of
    /// no block. A routine's sample is many operations, each with a mark of its own.
    fn outlasted(&self, series: &Series<'_>) -> Option<u64> {
        let longest = series.longest()?.sample.ticks;
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
mod tests {
    use alloc::boxed::Box;

    use super::*;
    use crate::{
        glossary::{LineState, StaleState, Subject},
        measured::{Measured, Sample},
        options::DEFAULT_SLOWDOWN,
        plan::Case,
        rounds::most_to_confirm,
    };

    const CASE: Case = Case {
        number: 1,
        subject: Subject::IcIvau,
        state: StaleState::Spin,
        line: LineState::DirtyHere,
    };

    const JUDGE: Judge = Judge {
        resolution: 2,
        threshold: DEFAULT_SLOWDOWN,
        family: 1,
        hz: 1_000_000_000,
        deadline_ms: 1000,
    };

    /// A round of which each sample took so long.
    fn round(ticks: u64) -> Box<Measured> {
        let mut measured = Box::new(Measured::default());
        measured.issue.add_many(ticks / 2, 13);
        measured.complete.add_many(ticks, 13);
        measured.end_round();
        measured.set_empty(10, 20);
        measured
    }

    fn series(base: u64, case: u64) -> Series<'static> {
        let mut all = crate::measured::series(&[CASE], [round(case)].into(), [round(base)], None);
        let mut series = all.next().unwrap();
        for _ in 1..ROUNDS {
            series.absorb(Some(round(base)), round(case), true);
        }
        series
    }

    #[test]
    fn what_the_first_rounds_show_is_slowed_only_once_it_is_confirmed() {
        let mut late = series(1000, 3000);
        assert!(JUDGE.is_candidate(&late));
        assert!(!JUDGE.is_candidate(&series(1000, 1100)));
        assert_eq!(JUDGE.class([&late].into_iter()), Some(Class::Complete));
        let (record, _) = JUDGE.record(series(1000, 3000), 16, 0);
        assert_eq!((record.verdict, record.batch), (Verdict::Completed, 16));
        let mut rounds = 0;
        while JUDGE.is_open(&late) {
            late.absorb(Some(round(1000)), round(3000), false);
            rounds += 1;
        }
        assert!(rounds <= most_to_confirm(JUDGE.family), "{rounds}");
        let (record, fault) = JUDGE.record(late, 1, 0);
        assert_eq!(record.verdict, Verdict::Slowed);
        assert!(fault.is_none());
        // The histograms are of the first rounds alone.
        assert_eq!(record.complete.count(), 13 * ROUNDS as u64);
    }

    #[test]
    fn a_clock_that_runs_faster_makes_no_operation_slow() {
        let at = |khz, ticks| {
            let mut round = Box::new(Measured::default());
            round.khz = Some(khz);
            round.complete.add_many(ticks, 13);
            round.end_round();
            round.set_empty(10, 20);
            round
        };
        let is_candidate = |khz| {
            let (done, base) = ([at(khz, 3000)].into(), [at(1_000_000, 1000)]);
            let mut all = crate::measured::series(&[CASE], done, base, None);
            let mut series = all.next().unwrap();
            for _ in 1..ROUNDS {
                series.absorb(Some(at(1_000_000, 1000)), at(khz, 3000), true);
            }
            assert_eq!(series.clock(), Some((1_000_000, khz)));
            JUDGE.is_candidate(&series)
        };
        assert!(is_candidate(1_000_000) && is_candidate(900_000));
        // As many cycles more as there are more of them in the same time.
        assert!(!is_candidate(3_000_000) && !is_candidate(1_600_000));
    }

    #[test]
    fn the_class_that_shows_more_decides() {
        let with = |issue, complete| {
            let measured = |issue, complete| {
                let mut measured = Box::new(Measured::default());
                measured.issue.add_many(issue, 13);
                measured.complete.add_many(complete, 13);
                measured.end_round();
                measured.set_empty(10, 20);
                measured
            };
            let (done, base) = (measured(issue, complete), measured(1000, 2000));
            let mut all = crate::measured::series(&[CASE], [done].into(), [base], None);
            let mut series = all.next().unwrap();
            for _ in 1..ROUNDS {
                series.absorb(Some(measured(1000, 2000)), measured(issue, complete), true);
            }
            JUDGE.class([&series].into_iter())
        };
        assert_eq!(with(1000, 2000), Some(Class::Complete));
        assert_eq!(with(1000, 6000), Some(Class::Complete));
        assert_eq!(with(3000, 6000), Some(Class::Complete));
        assert_eq!(with(3000, 5000), Some(Class::Issue));
        assert_eq!(with(3000, 2000), Some(Class::Issue));
        // Not beyond the threshold: nothing to confirm.
        assert_eq!(with(1900, 2000), Some(Class::Complete));
    }

    /// A case and its baseline of 1000 ticks a sample, with one sample of so many ticks in
    /// the third round of each.
    fn one_of(base: u64, case: u64) -> Series<'static> {
        let mut all = crate::measured::series(&[CASE], [round(1000)].into(), [round(1000)], None);
        let mut series = all.next().unwrap();
        for nth in 1..ROUNDS {
            let with = |ticks: u64| {
                let mut one = Box::new(Measured::default());
                one.complete.add_many(1000, 13);
                if nth == 2 {
                    one.complete.add(ticks);
                    let sample = Sample {
                        ticks,
                        class: Class::Complete,
                        nth: 14,
                        operand: 0x4000,
                    };
                    one.add_longest(3, sample, 700);
                }
                one.end_round();
                one.set_empty(10, 20);
                one
            };
            series.absorb(Some(with(base)), with(case), true);
        }
        series
    }

    #[test]
    fn a_single_sample_far_beyond_all_controls_is_late_with_its_place() {
        let late = |base, case| JUDGE.record(one_of(base, case), 1, 1000).0;
        let record = late(1000, 200_000_000);
        assert_eq!(record.verdict, Verdict::Completed);
        let found = record.late.unwrap();
        assert_eq!((found.cpu, found.round, found.nth), (3, 3, 14));
        assert_eq!((found.ticks, found.control), (200_000_000, 1000));
        assert_eq!((found.at_ms, found.ago_ms), (700, 300));
        assert!(found.complete && found.operand == Hex(0x4000));
        // 100 µs, and a hundred times what is usual, both of which are 100,000 ticks here,
        // but medians are known to a sixteenth.
        assert!(late(1000, 93_000).late.is_none());
        assert!(late(1000, 107_000).late.is_some());
        // A control that was nearly as long.
        assert!(late(60_000_000, 200_000_000).late.is_none());
        assert!(late(40_000_000, 200_000_000).late.is_some());
        // Without a baseline there is no control.
        let mut alone = one_of(1000, 200_000_000);
        alone.base = None;
        assert!(JUDGE.record(alone, 1, 1000).0.late.is_none());
    }

    #[test]
    fn what_outlasts_the_deadline_unseen_is_not_fine() {
        let of = |ms: u64| JUDGE.record(one_of(1000, ms * 1_000_000), 1, 1000).0;
        assert_eq!(of(999).verdict, Verdict::Completed);
        let unseen = of(1386);
        assert_eq!(unseen.verdict, Verdict::Inconclusive);
        assert!(unseen.why.unwrap().starts_with("one sample took 1386 ms"));
        assert_eq!(unseen.late.unwrap().cpu, 3);
        let mut routine = one_of(1000, 1_386_000_000);
        let case = Case {
            subject: Subject::FlushIcacheRange,
            ..CASE
        };
        routine.case = &case;
        assert_eq!(JUDGE.record(routine, 1, 0).0.verdict, Verdict::Completed);
    }

    #[test]
    fn what_is_worse_than_late_comes_first() {
        let verdict = |change: &dyn Fn(&mut Measured)| {
            let mut series = series(1000, 3000);
            change(&mut series.done);
            let (record, fault) = JUDGE.record(series, 1, 0);
            (record.verdict, fault.is_some())
        };
        let taken = Some((3, [1, 2, 3], -14));
        assert_eq!(verdict(&|d| d.fault = taken), (Verdict::Faulted, true));
        assert_eq!(
            verdict(&|d| d.missed = true),
            (Verdict::Inconclusive, false)
        );
        let older = Some((3, 8, 7));
        assert_eq!(
            verdict(&|d| d.stale_code = older),
            (Verdict::Incoherent, false)
        );
        assert_eq!(
            verdict(&|d| d.stale_store = Some((0, 0x5000))),
            (Verdict::Incoherent, false)
        );
        assert_eq!(
            verdict(&|d| d.unseen = Some(3)),
            (Verdict::Inconclusive, false)
        );
        assert_eq!(
            verdict(&|d| *d = Measured::lacking("no core".into())),
            (Verdict::Skipped, false)
        );
        let mut doubted = series(1000, 1000);
        doubted.doubt = Some("it left".into());
        assert!(!doubted.is_clean());
        let (record, _) = JUDGE.record(doubted, 1, 0);
        assert_eq!(record.verdict, Verdict::Inconclusive);
    }
}
