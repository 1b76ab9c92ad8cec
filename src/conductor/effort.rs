//! How much of a case a visit measures.

pub(super) use stalecore_model::part::Part;

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
