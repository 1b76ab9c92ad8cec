//! A case, what was measured of it and of its baseline, round by round, and the record
//! made from that: the same wherever it was measured.

pub mod in_turn;
mod judge;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, string::String, vec::Vec};

pub use judge::Judge;

use crate::{
    histogram::Histogram,
    order,
    plan::Case,
    record::{Depth, InitiatorRecord},
    rounds::{Class, Rounds, risen},
};

/// An exception that an operation took: the CPU, its syndrome, address and place, and
/// what the routine returned.
pub type Taken = (usize, [u64; 3], i64);

/// A sample, and where in its round it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// How long it took, in ticks of the counter.
    pub ticks: u64,
    /// Its class.
    pub class: Class,
    /// Its number among the samples of its class, from 1.
    pub nth: u32,
    /// What the operation's register held: an address, or what it takes instead.
    pub operand: u64,
}

/// The longest sample of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Longest {
    /// Itself.
    pub sample: Sample,
    /// The initiator.
    pub cpu: usize,
    /// The round, from 0.
    pub round: usize,
    /// When it ended, in milliseconds since the run began.
    pub at_ms: u64,
}

/// What was measured of a case on all initiators.
#[derive(Clone, Default)]
pub struct Measured {
    /// The medians of each round.
    medians: Vec<Medians>,
    /// The initiator's clock in this round, in kHz, where samples are cycles of it.
    pub khz: Option<u64>,
    /// The longest sample.
    longest: Option<Longest>,
    /// How long the longest of the empty blocks beside it took.
    longest_empty: u64,
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
    /// In each round the state that passes had passed before the first sample.
    pub missed: bool,
    /// What was missing, if nothing could be measured.
    lacks: Option<String>,
    /// CPU, what its code had to return and what it did.
    pub stale_code: Option<(usize, u16, u16)>,
    /// How often it was looked for a store to a page that had been taken away.
    pub looks: u32,
    /// CPU and the page to which one came.
    pub stale_store: Option<(usize, u64)>,
}

/// The medians of one round, in ticks.
#[derive(Clone, Copy)]
struct Medians {
    issue: Option<u64>,
    complete: Option<u64>,
    /// The empty block beside it.
    empty: u64,
    /// The core's clock, in kHz.
    khz: Option<u64>,
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
            khz: self.khz,
        });
    }

    /// The core's clock in the round in the middle, in kHz.
    fn clock(&self) -> Option<u64> {
        let mut all: Vec<u64> = self.medians.iter().filter_map(|m| m.khz).collect();
        order::sort(&mut all);
        all.get(all.len() / 2).copied()
    }

    /// Adds what was measured once behind a dwell of `ms` milliseconds.
    pub fn add_dwell(&mut self, ms: u32, one: Self) {
        match self.dwells.last_mut() {
            Some((last, all)) if *last == ms => all.merge(&one.complete),
            _ => self.dwells.push((ms, one.complete)),
        }
        self.fault = self.fault.or(one.fault);
    }

    /// Takes in one initiator's samples; its own figures are kept where there are
    /// `several` initiators.
    pub fn add(&mut self, cpu: usize, issue: &Histogram, complete: &Histogram, several: bool) {
        self.issue.merge(issue);
        self.complete.merge(complete);
        if several {
            let own = match complete.count() {
                0 => issue,
                _ => complete,
            };
            let quantile = |q| own.quantile(q).unwrap_or(0);
            self.initiators.push(InitiatorRecord {
                cpu: cpu as u32,
                count: own.count(),
                p50: quantile(500),
                p99: quantile(990),
                max: own.max().unwrap_or(0),
            });
        }
    }

    /// Takes in the longest sample of this round on an initiator.
    pub fn add_longest(&mut self, cpu: usize, sample: Sample, at_ms: u64) {
        self.keep_longest(Longest {
            sample,
            cpu,
            round: self.medians.len(),
            at_ms,
        });
    }

    fn keep_longest(&mut self, other: Longest) {
        if self
            .longest
            .is_none_or(|known| known.sample.ticks < other.sample.ticks)
        {
            self.longest = Some(other);
        }
    }

    /// Sets how long the empty block took beside what was measured: its median and the
    /// longest, in ticks.
    pub fn set_empty(&mut self, median: u64, longest: u64) {
        for medians in &mut self.medians {
            medians.empty = median;
        }
        self.longest_empty = self.longest_empty.max(longest);
    }

    /// How long the longest of all samples took, 0 without any.
    pub fn max(&self) -> u64 {
        let max = |histogram: &Histogram| histogram.max().unwrap_or(0);
        max(&self.issue).max(max(&self.complete))
    }

    /// Raises to what is here, in ticks: what is usual, the largest of the medians, and the
    /// longest of the empty blocks, and of all samples where these are a `control`.
    #[inline(never)]
    fn beside(&self, control: bool, (usual, longest): &mut (u64, u64)) {
        for class in [&self.issue, &self.complete] {
            *usual = (*usual).max(class.quantile(500).unwrap_or(0));
        }
        for medians in &self.medians {
            *usual = (*usual).max(medians.empty);
        }
        *longest = (*longest).max(self.longest_empty);
        if control {
            *longest = (*longest).max(self.max());
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
            && self.stale_store.is_none()
            && self.unseen.is_none()
            && self.lacks.is_none()
    }

    /// Takes in a further round.
    pub fn absorb(&mut self, more: Self) {
        if let Some(longest) = more.longest {
            let round = self.medians.len() + longest.round;
            self.keep_longest(Longest { round, ..longest });
        }
        self.longest_empty = self.longest_empty.max(more.longest_empty);
        self.medians.extend(more.medians);
        self.issue.merge(&more.issue);
        self.complete.merge(&more.complete);
        self.cut |= more.cut;
        self.missed &= more.missed;
        self.fault = self.fault.or(more.fault);
        self.stale_code = self.stale_code.or(more.stale_code);
        self.stale_store = self.stale_store.or(more.stale_store);
        self.looks += more.looks;
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
            // What takes as long as before takes more cycles of a clock that is faster.
            let clock = base.khz.zip(case.khz).unwrap_or((1, 1));
            let of_base = risen(median(base)?, clock);
            rounds.push(Some(of_base), median(case)?, (base.empty, case.empty));
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
    /// The initiator's clock in the baseline and in the case, in kHz, where samples are
    /// cycles of it: the median of the first rounds.
    pub fn clock(&self) -> Option<(u64, u64)> {
        self.base.as_ref()?.clock().zip(self.done.clock())
    }

    /// Did it return, do what it should, and was every core where it should be?
    pub const fn is_clean(&self) -> bool {
        self.done.is_clean() && self.doubt.is_none()
    }

    /// Its longest sample in all rounds, and those that were to confirm come after the
    /// first ones.
    fn longest(&self) -> Option<Longest> {
        let fresh = self.fresh.as_ref().and_then(|[_, done]| done.longest);
        let fresh = fresh.map(|fresh| Longest {
            round: self.done.medians.len() + fresh.round,
            ..fresh
        });
        let both = self.done.longest.into_iter().chain(fresh);
        both.max_by_key(|longest| longest.sample.ticks)
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
        self.done.stale_store = self.done.stale_store.or(done.stale_store);
        self.done.looks += done.looks;
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
