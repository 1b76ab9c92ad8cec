//! A case, what was measured of it and of its baseline, round by round, and the record
//! made from that: the same wherever it was measured.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use crate::{
    glossary::Verdict,
    histogram::Histogram,
    options::Milli,
    plan::Case,
    record::{CaseRecord, Depth, Dwell, InitiatorRecord},
    rounds::{Class, Found, ROUNDS, Rounds},
};

/// An exception that an operation took: the CPU, its syndrome, address and place, and
/// what the routine returned.
pub type Taken = (usize, [u64; 3], i64);

/// What was measured of a case on all initiators.
#[derive(Clone, Default)]
pub struct Measured {
    /// The medians of each round.
    medians: Vec<Medians>,
    /// Without a DSB.
    pub issue: Histogram,
    /// With the DSB.
    pub complete: Histogram,
    /// The depth sweep.
    pub sweep: Vec<Depth>,
    /// Each initiator's own figures, where there are several.
    pub initiators: Vec<InitiatorRecord>,
    /// What was timed behind a dwell, by its length in milliseconds.
    dwells: Vec<(u32, Histogram)>,
    /// The exception that it took.
    pub fault: Option<Taken>,
    /// An initiator whose step-by-step pass saw no operation.
    pub unseen: Option<usize>,
    /// The time for some of it was over before all was done.
    pub cut: bool,
    /// What was missing, if nothing could be measured.
    lacks: Option<String>,
    /// CPU, what its code had to return and what it did.
    pub stale_code: Option<(usize, u16, u16)>,
}

/// The medians of one round, in ticks.
#[derive(Clone, Copy)]
struct Medians {
    issue: Option<u64>,
    complete: Option<u64>,
    /// The empty block beside it.
    empty: u64,
}

impl Measured {
    /// Nothing, as something that it needs is missing.
    pub fn lacking(why: String) -> Self {
        Self {
            lacks: Some(why),
            ..Self::default()
        }
    }

    /// Ends a round: keeps its medians, from which the case is judged.
    pub fn end_round(&mut self) {
        self.medians.push(Medians {
            issue: self.issue.quantile(500),
            complete: self.complete.quantile(500),
            empty: 0,
        });
    }

    /// Adds what was measured once behind a dwell of `ms` milliseconds.
    pub fn add_dwell(&mut self, ms: u32, one: Self) {
        match self.dwells.last_mut() {
            Some((last, all)) if *last == ms => all.merge(&one.complete),
            _ => self.dwells.push((ms, one.complete)),
        }
        self.fault = self.fault.or(one.fault);
    }

    /// Sets how long the empty block took beside what was measured.
    pub fn set_empty(&mut self, ticks: u64) {
        for medians in &mut self.medians {
            medians.empty = ticks;
        }
    }

    /// The median of all samples of the issue class, 0 without any.
    pub fn median(&self) -> u64 {
        self.issue.quantile(500).unwrap_or(0)
    }

    /// Did it return, and do what it should?
    pub const fn is_clean(&self) -> bool {
        self.fault.is_none()
            && self.stale_code.is_none()
            && self.unseen.is_none()
            && self.lacks.is_none()
    }

    /// Takes in a further round.
    pub fn absorb(&mut self, more: Self) {
        self.medians.extend(more.medians);
        self.issue.merge(&more.issue);
        self.complete.merge(&more.complete);
        self.cut |= more.cut;
        self.fault = self.fault.or(more.fault);
        self.stale_code = self.stale_code.or(more.stale_code);
        for (known, more) in self.initiators.iter_mut().zip(more.initiators) {
            known.count += more.count;
            known.max = known.max.max(more.max);
        }
    }

    /// One class in rounds, against its baseline's; `None` where it has no samples.
    fn rounds(&self, class: Class, base: Option<&Self>) -> Option<Rounds> {
        let median = |medians: &Medians| match class {
            Class::Issue => medians.issue,
            Class::Complete => medians.complete,
        };
        let mut rounds = Rounds::new(class);
        for (nth, case) in self.medians.iter().enumerate() {
            let Some(base) = base else {
                rounds.push(None, median(case)?, (case.empty, case.empty));
                continue;
            };
            let base = base.medians.get(nth)?;
            rounds.push(Some(median(base)?), median(case)?, (base.empty, case.empty));
        }
        (!rounds.case.is_empty()).then_some(rounds)
    }
}

/// A case, what was measured of it and of its baseline in the first rounds, and the
/// same in the rounds that were to confirm what those showed.
pub struct Series<'a> {
    /// The case.
    pub case: &'a Case,
    /// In its state.
    pub done: Box<Measured>,
    /// With every other core parked.
    pub base: Option<Box<Measured>>,
    /// The baseline's and its own rounds that were to confirm the first.
    pub fresh: Option<[Box<Measured>; 2]>,
    /// Why it proves nothing, if it does not.
    pub doubt: Option<String>,
}

impl Series<'_> {
    /// Did it return, do what it should, and was every core where it should be?
    pub const fn is_clean(&self) -> bool {
        self.done.is_clean() && self.doubt.is_none()
    }

    /// Takes in a further round, one of the first or one that is to confirm those.
    pub fn absorb(&mut self, base: Option<Box<Measured>>, done: Box<Measured>, first: bool) {
        if first {
            if let (Some(known), Some(base)) = (&mut self.base, base) {
                known.absorb(*base);
            }
            self.done.absorb(*done);
            return;
        }
        // A round that is to confirm a time may find something worse.
        self.done.fault = self.done.fault.or(done.fault);
        self.done.stale_code = self.done.stale_code.or(done.stale_code);
        let Some(base) = base else { return };
        match &mut self.fresh {
            Some([known_base, known]) => {
                known_base.absorb(*base);
                known.absorb(*done);
            }
            none => *none = Some([base, done]),
        }
    }
}

/// Cases with their baselines, as far as those have been measured.
pub fn series<'a>(
    cases: &'a [Case],
    measured: Vec<Box<Measured>>,
    baselines: impl IntoIterator<Item = Box<Measured>>,
    doubt: Option<&String>,
) -> impl Iterator<Item = Series<'a>> {
    let mut baselines = baselines.into_iter();
    cases.iter().zip(measured).map(move |(case, done)| Series {
        case,
        done,
        base: baselines.next(),
        fresh: None,
        doubt: doubt.cloned(),
    })
}

/// How cases are judged in this run.
#[derive(Clone, Copy)]
pub struct Judge {
    /// The smallest difference that it can show, in ticks.
    pub resolution: u64,
    /// The slow-down above which a case is `slowed`.
    pub threshold: Milli,
    /// How many cases are judged this way.
    pub family: usize,
}

impl Judge {
    /// The class that decides a case, in its first rounds: the complete one, unless
    /// only the issue class shows something.
    fn first(&self, series: &Series<'_>) -> Option<Rounds> {
        let class = |class| series.done.rounds(class, series.base.as_deref());
        let (issue, complete) = (class(Class::Issue), class(Class::Complete));
        let shows = |rounds: &Rounds| rounds.is_candidate(self.resolution, self.threshold);
        match (issue, complete) {
            (Some(issue), Some(complete)) if shows(&issue) && !shows(&complete) => Some(issue),
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

    /// The record of a case that returned, `batch` operations in a timed block, and the
    /// fault that it took, if it took one.
    pub fn record(&self, series: Series<'_>, batch: u32) -> (CaseRecord, Option<Taken>) {
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
        } else if let Some(doubt) = doubt {
            (Verdict::Inconclusive, Some(doubt))
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
        (record, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{LineState, StaleState, Subject},
        options::DEFAULT_SLOWDOWN,
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
    };

    /// A round of which each sample took so long.
    fn round(ticks: u64) -> Box<Measured> {
        let mut measured = Box::new(Measured::default());
        measured.issue.add_many(ticks / 2, 13);
        measured.complete.add_many(ticks, 13);
        measured.end_round();
        measured.set_empty(10);
        measured
    }

    fn series(base: u64, case: u64) -> Series<'static> {
        let mut all = super::series(&[CASE], [round(case)].into(), [round(base)], None);
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
        let (record, _) = JUDGE.record(series(1000, 3000), 16);
        assert_eq!((record.verdict, record.batch), (Verdict::Completed, 16));
        let mut rounds = 0;
        while JUDGE.is_open(&late) {
            late.absorb(Some(round(1000)), round(3000), false);
            rounds += 1;
        }
        assert!(rounds <= most_to_confirm(JUDGE.family), "{rounds}");
        let (record, fault) = JUDGE.record(late, 1);
        assert_eq!(record.verdict, Verdict::Slowed);
        assert!(fault.is_none());
        // The histograms are of the first rounds alone.
        assert_eq!(record.complete.count(), 13 * ROUNDS as u64);
    }

    #[test]
    fn what_is_worse_than_late_comes_first() {
        let verdict = |change: &dyn Fn(&mut Measured)| {
            let mut series = series(1000, 3000);
            change(&mut series.done);
            let (record, fault) = JUDGE.record(series, 1);
            (record.verdict, fault.is_some())
        };
        let taken = Some((3, [1, 2, 3], -14));
        assert_eq!(verdict(&|d| d.fault = taken), (Verdict::Faulted, true));
        let older = Some((3, 8, 7));
        assert_eq!(
            verdict(&|d| d.stale_code = older),
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
        let (record, _) = JUDGE.record(doubted, 1);
        assert_eq!(record.verdict, Verdict::Inconclusive);
    }
}
