//! The parts of a case that rounds take, and the order of baseline and case in each.

use crate::{
    glossary::LineState,
    plan::Group,
    rounds::{Class, ROUNDS},
};

/// The part of a case's samples that a round takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Which, from 0.
    pub nth: usize,
    /// Of how many.
    pub of: usize,
    /// The one class that is wanted, if not all are.
    pub only: Option<Class>,
}

impl Part {
    /// All classes of this part.
    pub const fn nth(nth: usize, of: usize) -> Self {
        Self {
            nth,
            of,
            only: None,
        }
    }

    /// All of them at once.
    pub const WHOLE: Self = Self::nth(0, 1);

    /// The first round.
    pub const FIRST: Self = Self::nth(0, ROUNDS);

    /// Of the time that a round has, one that confirms has such a part, as there are many:
    /// some 8 ms. What is as late as that needs no more than one sample in each, and what is
    /// fast has all of a round's, so that its median is as good as that of the first ones.
    const TO_CONFIRM: u32 = 80;

    /// Into how many parts the time for a class is split. A round that confirms has far
    /// less time, and a sample that takes longer than that is its only one.
    pub fn times(self) -> u32 {
        let of = self.of as u32;
        match self.nth < self.of {
            true => of,
            false => of * Self::TO_CONFIRM,
        }
    }

    /// How many of `samples` this part takes, at least one. After the last part come
    /// rounds that confirm.
    pub fn share(self, samples: u32) -> u32 {
        let upto = |nth: usize| u64::from(samples) * nth as u64 / self.of as u64;
        let nth = self.nth.min(self.of - 1);
        (upto(nth + 1) - upto(nth)).max(1) as u32
    }
}

/// What the parked cores of a baseline touch before.
pub fn baseline_line(group: &Group) -> LineState {
    if group.line.needs_stale_core() {
        group.line
    } else {
        LineState::DirtyHere
    }
}

/// Which comes first in a round, the baseline (`true`) or the case: drawn, from a seed
/// that is the same in each run.
pub fn in_order(case: usize, nth: usize) -> [bool; 2] {
    let seed = (case as u32) << 8 | nth as u32;
    let parked = seed.wrapping_mul(0x9e37_79b1) >> 31 == 0;
    [parked, !parked]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_case_are_its_samples() {
        for (samples, each) in [
            (64, [12, 13, 13, 13, 13]),
            (5, [1; 5]),
            (7, [1, 1, 2, 1, 2]),
        ] {
            let shares = |nth| Part::nth(nth, ROUNDS).share(samples);
            assert_eq!([0, 1, 2, 3, 4].map(shares), each, "{samples}");
            // What confirms has as many as the last.
            assert_eq!(shares(ROUNDS), each[4]);
            assert_eq!(shares(ROUNDS + 9), each[4]);
            assert_eq!(Part::WHOLE.share(samples), samples);
        }
        // None is without one.
        assert_eq!(Part::FIRST.share(2), 1);
    }

    #[test]
    fn what_confirms_has_far_less_time() {
        assert_eq!(Part::WHOLE.times(), 1);
        assert_eq!(Part::nth(4, 5).times(), 5);
        assert_eq!(Part::nth(5, 5).times(), 400);
        assert_eq!(Part::nth(30, 5).times(), 400);
    }

    #[test]
    fn each_of_the_two_comes_first_now_and_then_and_always_in_the_same_rounds() {
        let first = |case| (0..64).filter(|nth| in_order(case, *nth)[0]).count();
        for case in 0..20 {
            let parked = first(case);
            assert!((16..=48).contains(&parked), "{case}: {parked} of 64");
        }
        // Drawn for each case by itself.
        let orders = |case| [0, 1, 2, 3, 4].map(|nth| in_order(case, nth)[0]);
        assert!((1..20).any(|case| orders(case) != orders(0)));
        assert_eq!(orders(3), [false, true, false, false, true]);
        assert!((0..9).all(|nth| in_order(3, nth)[0] != in_order(3, nth)[1]));
    }
}
