//! How much of a case a visit measures.

use stalecore_model::rounds::{Class, ROUNDS};

use super::sentinel::Held;
use crate::cores::mark::Phase;

/// How much of a case is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effort {
    /// This part of its samples, with no core stale.
    Baseline(Part),
    /// This part of its samples; the first part includes all that is done only once.
    Case(Part),
    /// Enough to show again what blocked.
    Trial {
        /// Samples per class.
        samples: u32,
        /// Did the depth sweep block?
        sweep: bool,
    },
}

/// The part of a case's samples that a round takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) nth: usize,
    pub(super) of: usize,
    /// The one class that is wanted, if not all are.
    pub(super) only: Option<Class>,
}

impl Part {
    /// All classes of this part.
    pub(super) const fn nth(nth: usize, of: usize) -> Self {
        Self {
            nth,
            of,
            only: None,
        }
    }

    /// All of them at once.
    pub(super) const WHOLE: Self = Self::nth(0, 1);

    /// The first round.
    pub(super) const FIRST: Self = Self::nth(0, ROUNDS);

    /// At most so many samples in a round that confirms, of which there are many.
    const TO_CONFIRM: u32 = 5;

    /// Into how many parts the time for a class is split. A round that confirms has far
    /// less time, and a sample that takes longer than that is its only one.
    pub(super) fn times(self) -> u32 {
        let of = self.of as u32;
        match self.nth < self.of {
            true => of,
            false => of * Self::TO_CONFIRM,
        }
    }

    /// How many of `samples` this part takes, at least one. After the last part come
    /// rounds that confirm.
    pub(super) fn share(self, samples: u32) -> u32 {
        let upto = |nth: usize| u64::from(samples) * nth as u64 / self.of as u64;
        let nth = self.nth.min(self.of - 1);
        let share = (upto(nth + 1) - upto(nth)).max(1) as u32;
        match self.nth < self.of {
            true => share,
            false => share.min(Self::TO_CONFIRM),
        }
    }
}

impl Effort {
    /// Is it the first visit of a case or its baseline, which includes what is done once?
    pub(super) fn is_first(self) -> bool {
        matches!(self, Self::Baseline(part) | Self::Case(part) if part.nth == 0)
    }

    /// Fewest samples of a trial.
    const FEWEST: u32 = 16;
    /// Samples of a trial for each operation up to the one that blocked, as one
    /// that blocks now and then may come later the next time.
    const FOR_EACH: u32 = 8;

    /// The effort of a trial after this block, in a plan of so many samples.
    pub(super) fn of_trial(held: &Held, samples: u32, sweep: bool) -> Self {
        let until = u32::try_from(held.seen.returned).unwrap_or(u32::MAX);
        let wanted = until.saturating_mul(Self::FOR_EACH).max(Self::FEWEST);
        let phase = held.seen.site.map(|site| site.phase);
        Self::Trial {
            samples: samples.min(wanted),
            sweep: sweep && !matches!(phase, Some(Phase::Issue | Phase::Complete)),
        }
    }
}
