//! How long a run will take: said before it begins, from what is usual, and
//! corrected by what this machine shows.

use std::time::Duration;

use stalecore_model::{options::Options, plan::Plan, words};

/// How long an emulator takes to boot the image.
const BOOT: Duration = Duration::from_millis(700);

/// What a case and a group take on an emulator that has a host core for each two
/// of its own, and what each sample adds: a guess, which the first cases correct.
const CASE: Duration = Duration::from_millis(12);
const SAMPLE: Duration = Duration::from_micros(4);
const GROUP: Duration = Duration::from_millis(120);
const CORE_OF_GROUP: Duration = Duration::from_millis(12);

/// How long things are expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// Before the first case.
    boot: Duration,
    /// For each case, with its share of its group.
    case: Duration,
    cases: u32,
    groups: u32,
}

impl Pace {
    /// What a plan usually takes on `cpus` emulated cores, with what firmware
    /// usually takes before.
    pub fn of(options: &Options, plan: &Plan, cpus: usize, firmware: Duration) -> Self {
        let cores = u32::try_from(cpus).unwrap_or(u32::MAX);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (cases, groups) = (number(plan.len()), number(plan.groups.len()));
        let group = GROUP + CORE_OF_GROUP * cores;
        let dwell = Duration::from_millis(plan.dwell.all_ms(&plan.groups));
        let all = (CASE + SAMPLE * options.samples) * cases + group * groups + dwell;
        Self {
            boot: BOOT + firmware,
            case: all / cases.max(1),
            cases,
            groups,
        }
    }

    /// What is known of a plan when it has only said how many cases it has.
    pub fn unknown(cases: u32) -> Self {
        Self {
            cases,
            ..Self::default()
        }
    }

    /// The whole run, before it begins; `None` where nothing is known.
    pub fn whole(&self) -> Option<Duration> {
        (self.case > Duration::ZERO).then(|| self.boot + self.case * self.cases)
    }

    /// Do its cases take far longer than to boot once more?
    pub fn is_mostly_cases(&self) -> bool {
        self.case * self.cases > 3 * self.boot
    }

    /// What is left after `done` cases that took `took`; `None` where nothing is
    /// known yet.
    pub fn left(&self, done: u32, took: Duration) -> Option<Duration> {
        let rest = self.cases.saturating_sub(done);
        // The first cases say little: what is expected counts as a tenth of all.
        let weight = if self.case > Duration::ZERO {
            self.cases.div_ceil(10)
        } else {
            0
        };
        let seen = took + self.case * weight;
        (done + weight > 0).then(|| seen * rest / (done + weight))
    }

    /// How many cases there are.
    pub const fn cases(&self) -> u32 {
        self.cases
    }

    /// `18 cases in 9 groups`.
    pub fn size(&self) -> String {
        size(self.cases as usize, self.groups as usize)
    }
}

/// `18 cases in 9 groups`.
pub fn size(cases: usize, groups: usize) -> String {
    let cases = words::cases(cases);
    match groups {
        0 => cases,
        groups => format!("{cases} in {}", words::count(groups, "group", "groups")),
    }
}

/// A time that is not known to the second: `5 s`, `40 s`, `7 min`, `3 h`.
pub fn about(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..10 => format!("{} s", s.max(1)),
        s @ 10..100 => format!("{} s", s.div_ceil(5) * 5),
        s @ 100..7000 => format!("{} min", s.div_ceil(60)),
        s => format!("{} h", s.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(text: &str) -> Pace {
        let options = Options::from_bootargs(text).unwrap();
        let plan = Plan::new(&options, 8).unwrap();
        Pace::of(&options, &plan, 8, Duration::ZERO)
    }

    #[test]
    fn a_larger_plan_takes_longer() {
        let small = pace("stalecore.ops=ic-ivau stalecore.stale=spin");
        let more = pace("stalecore.ops=ic-ivau stalecore.stale=spin stalecore.samples=100000");
        let all = pace("");
        assert_eq!(small.size(), "1 case in 1 group");
        assert!(small.whole() < more.whole() && more.whole() < all.whole());
    }

    #[test]
    fn what_was_expected_is_corrected_by_what_is_seen() {
        let pace = Pace {
            boot: Duration::ZERO,
            case: Duration::from_secs(1),
            cases: 100,
            groups: 10,
        };
        let left = |done, took| pace.left(done, Duration::from_secs(took)).unwrap();
        assert_eq!(left(0, 0), Duration::from_secs(100));
        // Ten times slower than expected: nearer to that with each case.
        let (early, late) = (left(5, 50), left(50, 500));
        assert!(early > Duration::from_secs(300), "{early:?}");
        assert!(late > Duration::from_secs(400) && late < Duration::from_secs(500));
        assert_eq!(left(100, 1000), Duration::ZERO);
    }

    #[test]
    fn of_a_board_the_first_case_says_how_long() {
        let pace = Pace::unknown(10);
        assert_eq!(pace.whole(), None);
        assert_eq!(pace.left(0, Duration::from_secs(9)), None);
        let left = pace.left(2, Duration::from_secs(4));
        assert_eq!(left, Some(Duration::from_secs(16)));
    }

    #[test]
    fn times_are_rounded_as_people_do() {
        for (seconds, text) in [
            (0, "1 s"),
            (7, "7 s"),
            (12, "15 s"),
            (99, "100 s"),
            (100, "2 min"),
            (3000, "50 min"),
            (7200, "2 h"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), text);
        }
    }
}
