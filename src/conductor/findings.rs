//! What was measured of a case, and the record made from it.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{Subject, Verdict},
    histogram::Histogram,
    options::Milli,
    plan::Case,
    record::{CaseRecord, Depth, Dwell, Fault, Hex, InitiatorRecord},
    rounds::{Class, Found, ROUNDS, Rounds},
    syndrome,
};
use stalecore_routines::{counter::Counter, probe::batch_of};

use crate::{cores::percpu::core, hal::symbols};

/// What was measured of a case on all initiators.
#[derive(Clone, Default)]
pub struct Measured {
    /// The medians of each round.
    medians: Vec<Medians>,
    issue: Histogram,
    complete: Histogram,
    sweep: Vec<Depth>,
    initiators: Vec<InitiatorRecord>,
    /// What was timed behind a dwell, by its length in milliseconds.
    dwells: Vec<(u32, Histogram)>,
    /// CPU, syndrome and what the routine returned.
    fault: Option<(usize, [u64; 3], i64)>,
    /// An initiator whose step-by-step pass saw no operation.
    unseen: Option<usize>,
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
pub(super) struct Series<'a> {
    pub(super) case: &'a Case,
    pub(super) done: Box<Measured>,
    pub(super) base: Option<Box<Measured>>,
    pub(super) fresh: Option<[Box<Measured>; 2]>,
    /// Why it proves nothing, if it does not.
    pub(super) doubt: Option<String>,
}

impl Series<'_> {
    /// Did it return, do what it should, and was every core where it should be?
    pub(super) const fn is_clean(&self) -> bool {
        self.done.is_clean() && self.doubt.is_none()
    }

    /// Takes in a further round, one of the first or one that is to confirm those.
    pub(super) fn absorb(&mut self, base: Option<Box<Measured>>, done: Box<Measured>, first: bool) {
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
pub(super) fn series<'a>(
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
    /// What timed them.
    pub counter: Counter,
    /// The smallest difference that it can show, in ticks.
    pub resolution: u64,
    /// The slow-down above which a case is `slowed`.
    pub threshold: Milli,
    /// How many cases are judged this way.
    pub family: usize,
}

/// Combines the initiators' results of their order `nth`.
pub fn collect(initiators: &CpuSet, nth: usize) -> Measured {
    let mut all = Measured::default();
    for cpu in initiators.iter() {
        // They have returned, so nobody holds the lock.
        let Some(results) = core(cpu).job.get().and_then(|job| job.results(nth)) else {
            continue;
        };
        all.issue.merge(&results.issue);
        all.complete.merge(&results.complete);
        if all.sweep.is_empty() {
            all.sweep.extend(&results.sweep[..results.depths]);
        }
        if let Some(registers) = results.fault {
            all.fault.get_or_insert((cpu, registers, results.returned));
        }
        all.cut |= results.cut;
        if results.unseen {
            all.unseen.get_or_insert(cpu);
        }
        if let Some((expected, seen)) = results.stale_code {
            all.stale_code.get_or_insert((cpu, expected, seen));
        }
        if initiators.len() > 1 {
            let histogram = if results.complete.count() > 0 {
                &results.complete
            } else {
                &results.issue
            };
            let quantile = |q| histogram.quantile(q).unwrap_or(0);
            all.initiators.push(InitiatorRecord {
                cpu: cpu as u32,
                count: histogram.count(),
                p50: quantile(500),
                p99: quantile(990),
                max: histogram.max().unwrap_or(0),
            });
        }
    }
    all.medians.push(Medians {
        issue: all.issue.quantile(500),
        complete: all.complete.quantile(500),
        empty: 0,
    });
    all
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
    pub(super) fn is_candidate(&self, series: &Series<'_>) -> bool {
        let first = self.first(series);
        first.is_some_and(|rounds| rounds.is_candidate(self.resolution, self.threshold))
    }

    /// The one class by which all of these are to be confirmed, if there is one.
    pub(super) fn class<'a>(
        &self,
        mut series: impl Iterator<Item = &'a Series<'a>>,
    ) -> Option<Class> {
        let class = self.first(series.next()?)?.class;
        series
            .all(|series| {
                self.first(series)
                    .is_some_and(|rounds| rounds.class == class)
            })
            .then_some(class)
    }

    /// Can further rounds still confirm it?
    pub(super) fn is_open(&self, series: &Series<'_>) -> bool {
        let fresh = self.fresh(series);
        fresh.is_none_or(|rounds| rounds.is_open(self.resolution, self.threshold, self.family))
    }

    /// The rounds that were to confirm it, in the class that decides.
    fn fresh(&self, series: &Series<'_>) -> Option<Rounds> {
        let [base, done] = series.fresh.as_ref()?;
        done.rounds(self.first(series)?.class, Some(base))
    }

    /// The record of a case that returned, and of the fault that it took, if
    /// it took one.
    pub(super) fn record(&self, series: Series<'_>) -> (CaseRecord, Option<Fault>) {
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
        record.batch = batch_of(case.subject, self.counter);
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
        } else if let Some((cpu, registers, returned)) = done.fault {
            fault = Some(fault_record(case, case.subject, cpu, registers, returned));
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

/// The record of a fault that `op` took in a case.
pub fn fault_record(
    case: &Case,
    op: Subject,
    cpu: usize,
    [esr, far, elr]: [u64; 3],
    returned: i64,
) -> Fault {
    Fault {
        n: case.number as u32,
        op,
        initiator: cpu as u32,
        esr: Hex(esr),
        syndrome: syndrome::describe(esr),
        far: Hex(far),
        elr: Hex(elr),
        at: format!("{}", symbols::At(elr)),
        returned,
    }
}
