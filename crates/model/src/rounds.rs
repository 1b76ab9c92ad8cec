//! A case against its baseline, round by round: what a median of one round says, how
//! far that is to be trusted, and what is certain. docs/method.md says why so.
//!
//! Whole numbers and counts alone, no assumption about how times are spread: the
//! image and the host find the same.

mod wire;

use alloc::vec::Vec;

use crate::{histogram, options::Milli, verdict};

/// The rounds of each case: the baseline and the case in turn, so often.
pub const ROUNDS: usize = 5;

/// How long fresh rounds may be made in one run, in milliseconds, and in how many parts
/// what is left of it is split at most, one for each group that is left: a machine on
/// which each takes long shall end in time, and the groups that come first shall not have
/// all of it. Where much is late all groups need them, so each may take so many times what
/// its first rounds have taken, whatever is left.
pub const CONFIRMING_MS: u64 = 60_000;
/// See [`CONFIRMING_MS`].
pub const OF_WHAT_IS_LEFT: u64 = 4;
/// See [`CONFIRMING_MS`].
pub const OF_THE_FIRST: u64 = 2;

/// The fewest rounds that confirm what the first have shown.
const FEWEST_TO_CONFIRM: usize = 12;

/// No plan has so many cases that it takes more.
const MOST: usize = 35;

/// So many rounds of those that confirm may say otherwise: a host that does something else
/// for a moment spoils one in ten.
const MISSES: usize = 4;

/// Fewer at first, one more for every so many rounds: what is not later shows that soon.
const FIRST_MISSES: usize = 2;
/// See [`FIRST_MISSES`].
const ROUNDS_A_MISS: usize = 8;

/// What makes a candidate certain is looked for so often: with no misses, one, two ...
const LOOKS: u128 = MISSES as u128 + 1;

/// One false finding in so many runs at most.
const RUNS: u128 = 20;

/// What the rounds of one case show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Not as much later or earlier as the threshold.
    Same,
    /// Later than the threshold, certainly.
    Later,
    /// In no round as late as a part of the baseline, the threshold's reciprocal. That is
    /// not confirmed.
    Earlier,
    /// The interval reaches beyond the threshold, and neither is certain.
    Noisy,
}

/// Which class of samples it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Without a DSB.
    Issue,
    /// With the DSB.
    Complete,
}

/// Of one class of a case: the medians of its rounds, in ticks, each known to a
/// sixteenth of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rounds {
    /// Which class.
    pub class: Class,
    /// Of the baseline, times what the empty block was later in the case's part of the
    /// round than in the baseline's. Empty where a case is its own baseline.
    pub base: Vec<u64>,
    /// With stale cores.
    pub case: Vec<u64>,
}

impl Rounds {
    /// None yet.
    pub const fn new(class: Class) -> Self {
        Self {
            class,
            base: Vec::new(),
            case: Vec::new(),
        }
    }

    /// Adds a round. What makes even the `empty` block later in the case's part than in
    /// the baseline's is not the operation's.
    pub fn push(&mut self, base: Option<u64>, case: u64, empty: (u64, u64)) {
        if let Some(base) = base {
            self.base.push(histogram::rounded(risen(base, empty)));
        }
        self.case.push(histogram::rounded(case));
    }

    /// How many times later than the baseline each round was, ascending.
    pub fn ratios(&self, resolution: u64) -> Vec<Milli> {
        let mut ratios: Vec<Milli> = Vec::with_capacity(self.case.len());
        for (case, base) in self.case.iter().zip(&self.base) {
            let ratio = verdict::ratio(*case, *base, resolution);
            let at = ratios.iter().take_while(|r| **r <= ratio).count();
            ratios.insert(at, ratio);
        }
        ratios
    }

    /// Their median, and the interval in which the median of all such rounds lies with
    /// some 95 %; `None` without a baseline.
    pub fn slowdown(&self, resolution: u64) -> Option<(Milli, (Milli, Milli))> {
        let ratios = self.ratios(resolution);
        let last = ratios.len().checked_sub(1)?;
        let out = left_out(ratios.len());
        Some((ratios[last / 2], (ratios[out], ratios[last - out])))
    }

    /// Is it worth confirming: is the median beyond the threshold?
    pub fn is_candidate(&self, resolution: u64, threshold: Milli) -> bool {
        let found = self.slowdown(resolution);
        found.is_some_and(|(middle, _)| middle > threshold)
    }

    /// How many rounds say that it is not beyond the threshold.
    fn misses(&self, resolution: u64, threshold: Milli) -> usize {
        let ratios = self.ratios(resolution);
        ratios.iter().filter(|ratio| **ratio <= threshold).count()
    }

    /// Is it not decided yet, by these rounds that are to confirm it?
    pub fn is_open(&self, resolution: u64, threshold: Milli, family: usize) -> bool {
        let misses = self.misses(resolution, threshold);
        let allowed = MISSES.min(FIRST_MISSES + self.case.len() / ROUNDS_A_MISS);
        misses <= allowed && !is_certain(misses, self.case.len(), family)
    }

    /// What they show, where `family` cases are judged so in this run.
    pub fn found(&self, resolution: u64, threshold: Milli, family: usize) -> Found {
        let ratios = self.ratios(resolution);
        let Some((_, (low, high))) = self.slowdown(resolution) else {
            return Found::Same;
        };
        let misses = self.misses(resolution, threshold);
        if is_certain(misses, ratios.len(), family) && low > threshold {
            Found::Later
        } else if ratios.len() >= ROUNDS && high < 1_000_000 / threshold.max(1) {
            Found::Earlier
        } else if high > threshold {
            Found::Noisy
        } else {
            Found::Same
        }
    }
}

/// A baseline, as much later as something else became from before to after, if it did.
pub fn risen(base: u64, (before, after): (u64, u64)) -> u64 {
    let (before, after) = (u128::from(before.max(1)), u128::from(after));
    let risen = u128::from(base) * after.max(before) / before;
    u64::try_from(risen).unwrap_or(u64::MAX)
}

/// n over k.
fn choose(n: usize, k: usize) -> u128 {
    (0..k as u128).fold(1, |product, i| product * (n as u128 - i) / (i + 1))
}

/// Of how many ways to toss `n` coins show `heads` or more heads.
fn ways(n: usize, heads: usize) -> u128 {
    (0..=n.saturating_sub(heads))
        .map(|tails| choose(n, tails))
        .sum()
}

/// After how many rounds a candidate is certain of which so many say otherwise, where
/// `family` cases are judged: the sign test. If the median were at the threshold, no more
/// of them would say otherwise less than once in [`RUNS`] runs. Each number of misses is
/// looked at by itself, so each has its share of that ([`LOOKS`]); and it is Bonferroni's
/// correction over all cases of the plan, so stricter than Holm's over those confirmed.
fn look(misses: usize, family: usize) -> usize {
    let once_in = LOOKS * RUNS * family.max(1) as u128;
    let enough = |n: &usize| once_in.saturating_mul(ways(*n, n - misses)) <= 1 << n;
    (FEWEST_TO_CONFIRM..MOST).find(enough).unwrap_or(MOST)
}

/// Are `n` rounds, of which so many say otherwise, certain?
fn is_certain(misses: usize, n: usize, family: usize) -> bool {
    misses <= MISSES && n >= look(misses, family)
}

/// How many rounds confirm a candidate at most, where `family` cases are judged.
pub fn most_to_confirm(family: usize) -> usize {
    look(MISSES, family)
}

/// How many of `n` ordered values lie outside the interval of the median at each end:
/// as many as leave it 93 % or more. That is 94 % for 5, 96 % for 12, 95 % for 22.
fn left_out(n: usize) -> usize {
    let fits = |out: &usize| n < 100 && 2 * ways(n, n - out) * 100 <= 7 << n;
    (0..n / 2).take_while(fits).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};
    use proptest::prelude::*;

    fn rounds(ratios: &[u64]) -> Rounds {
        let mut rounds = Rounds::new(Class::Complete);
        for ratio in ratios {
            rounds.push(Some(1000), *ratio, (10, 10));
        }
        rounds
    }

    #[test]
    fn how_many_rounds_confirm() {
        assert_eq!(most_to_confirm(1), 19);
        assert_eq!(most_to_confirm(432), 31);
        let looks: Vec<_> = (0..=MISSES).map(|misses| look(misses, 432)).collect();
        assert_eq!(looks, [16, 20, 24, 28, 31]);
        // More cases than any plan has, within what a record's text can hold.
        assert!(ways(MOST, MOST - MISSES) * LOOKS * RUNS * 5000 <= 1 << MOST);
        for (n, out) in [(1, 0), (5, 0), (6, 0), (12, 2), (22, 6)] {
            assert_eq!(left_out(n), out, "{n}");
        }
    }

    #[test]
    fn five_rounds_show_and_more_prove() {
        let late = rounds(&[3000; 5]);
        assert!(late.is_candidate(2, 2000));
        assert_eq!(late.found(2, 2000, 432), Found::Noisy);
        let found = |n: usize, misses: usize| {
            let mut all = vec![3000; n];
            all[..misses].fill(1000);
            let all = rounds(&all);
            (all.found(2, 2000, 432), all.is_open(2, 2000, 432))
        };
        for (misses, enough) in [16, 20, 24, 28, 31].into_iter().enumerate() {
            assert_eq!(found(enough - 1, misses), (Found::Noisy, true), "{misses}");
            assert_eq!(found(enough, misses), (Found::Later, false), "{misses}");
        }
        assert_eq!(found(31, 5), (Found::Noisy, false));
        // Given up early where it is not so.
        assert_eq!(found(3, 3), (Found::Same, false));
        assert_eq!(found(7, 3), (Found::Noisy, false));
        assert_eq!(found(8, 3), (Found::Noisy, true));
        assert_eq!(found(15, 4), (Found::Noisy, false));
        assert_eq!(found(16, 4), (Found::Noisy, true));
        assert_eq!(rounds(&[300; 5]).found(2, 2000, 432), Found::Earlier);
        assert_eq!(rounds(&[1100; 22]).found(2, 2000, 432), Found::Same);
    }

    #[test]
    fn at_the_threshold_is_not_beyond_it() {
        let all = |base, case| {
            let mut all = Rounds::new(Class::Complete);
            (0..5).for_each(|_| all.push(Some(base), case, (1, 1)));
            all
        };
        let twice = all(16, 32);
        assert!(!twice.is_candidate(0, 2000) && twice.is_candidate(0, 1999));
        assert_eq!(twice.found(0, 2000, 1), Found::Same);
        assert_eq!(twice.found(0, 1999, 1), Found::Noisy);
        let half = all(32, 16);
        assert_eq!(half.found(0, 2000, 1), Found::Same);
        assert_eq!(half.found(0, 1990, 1), Found::Earlier);
    }

    #[test]
    fn what_the_empty_block_shares_is_not_the_operation_s() {
        let mut rounds = Rounds::new(Class::Issue);
        for _ in 0..22 {
            rounds.push(Some(1000), 3000, (10, 30));
        }
        assert_eq!(rounds.found(2, 2000, 1), Found::Same);
    }

    #[test]
    fn a_case_that_is_its_own_baseline_is_never_late() {
        let mut rounds = Rounds::new(Class::Issue);
        rounds.push(None, 3000, (10, 30));
        assert_eq!(rounds.found(2, 2000, 1), Found::Same);
        assert!(!rounds.is_candidate(2, 2000));
    }

    #[test]
    fn text() {
        let text = |rounds: &Rounds| serde_json::to_string(rounds).unwrap();
        let mut some = rounds(&[1000, 1100, 60_000]);
        assert_eq!(text(&some), "\"c3330.3302(2m)\"");
        some.base.clear();
        assert_eq!(text(&some), "\"c3.3302(2m)\"");
        for wrong in [
            "",
            "c",
            "x1.2v0",
            "c1.",
            "c12v0.",
            "c12v00.2v0",
            "c12v.2v0",
            "c12v(.2v0",
            "c12v-.2v0",
            "c1zz(zz).2v0",
            "c\u{e9}.0",
        ] {
            assert!(
                serde_json::from_str::<Rounds>(&format!("{wrong:?}")).is_err(),
                "{wrong}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_text_keeps_them(pairs in prop::collection::vec((1_u64..1 << 60, any::<u64>()), 1..36)) {
            let mut all = Rounds::new(Class::Issue);
            for (base, case) in pairs {
                all.push(Some(base), case, (1, 1));
            }
            let text = serde_json::to_string(&all).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rounds>(&text).unwrap(), all);
        }

        /// 94 % of five, 96 % of twelve: the interval holds the median of what the
        /// rounds are drawn from as often as it says, however that is spread.
        #[test]
        fn the_interval_holds_what_it_says(skew in 1_u32..5) {
            let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(skew);
            let mut uniform = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state >> 40
            };
            // Far from even: a power of a uniform number, of which the median is known.
            let value = |u: u64| (u + 1).pow(skew.min(2)) / 3 + 1;
            let middle = value(1 << 23);
            for n in [5, 12, 22] {
                let mut inside = 0;
                for _ in 0..4000 {
                    let mut values: Vec<u64> = (0..n).map(|_| value(uniform())).collect();
                    values.sort_unstable();
                    let out = left_out(n);
                    inside += usize::from((values[out]..=values[n - 1 - out]).contains(&middle));
                }
                prop_assert!((3680..3960).contains(&inside), "{inside} of 4000, {n} rounds");
            }
        }

        /// No certain finding at the threshold itself, but once in twenty runs, though it
        /// is looked for as the rounds come.
        #[test]
        fn noise_is_not_certain(seed in any::<u64>()) {
            let mut state = seed | 1;
            let mut false_finds = 0;
            for _ in 0..20_000 {
                let mut rounds = Rounds::new(Class::Complete);
                while rounds.case.len() < most_to_confirm(400) && rounds.is_open(0, 2000, 400) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    rounds.push(Some(100), if state >> 63 == 0 { 100 } else { 300 }, (1, 1));
                }
                false_finds += usize::from(rounds.found(0, 2000, 400) == Found::Later);
            }
            // 50 runs of 400 cases: 2.5 are expected at most.
            prop_assert!(false_finds <= 9, "{false_finds}");
        }
    }
}
