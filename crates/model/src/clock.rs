//! A counter that may be read wrongly. On some chips a read of the system counter
//! is off now and then, by up to the bits that were just changing (HiSilicon
//! erratum 161010101 on Hip05 to Hip07; Cortex-A73's 858921, A-008585, Allwinner
//! A64 are relatives). No deadline may pass because of one such read.

/// How far apart two reads in a row may be, in ticks, to be believed: 32, as in Linux
/// for the erratum; a core that was interrupted between them reads again.
const NEAR: u64 = 32;
/// How often it is tried. If two reads are far apart every time, the counter is slow or
/// emulated, not wrong.
const TRIES: u32 = 50;

/// The counter's value: the second of two reads in a row that agree.
#[inline(always)]
pub fn believed(mut read: impl FnMut() -> u64) -> u64 {
    let mut first = read();
    for _ in 0..TRIES {
        let second = read();
        if second.wrapping_sub(first) < NEAR {
            return second;
        }
        first = second;
    }
    first
}

/// Is it `end` by this counter, or later? One read that says no is enough, as the next look is
/// soon; that it is so is believed of two reads that agree alone.
#[inline(always)]
pub fn is_over(end: u64, mut read: impl FnMut() -> u64) -> bool {
    read() >= end && believed(read) >= end
}

/// Ticks from `start` to `now`: 0 where time seems to run backwards, as it does
/// where `start` was read too high, or on another core.
pub const fn elapsed(start: u64, now: u64) -> u64 {
    now.saturating_sub(start)
}

/// Microseconds in `ticks` ticks of a counter of `hz`.
pub fn microseconds(ticks: u64, hz: u64) -> u64 {
    let us = u128::from(ticks) * 1_000_000 / u128::from(hz.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// Fewer ticks do not tell a core's clock.
const FEWEST_TICKS: u64 = 64;

/// A core's clock in kHz, by how many cycles it has done in so many ticks of a counter of
/// `hz`; `None` where these are too few.
pub fn khz(cycles: u64, ticks: u64, hz: u64) -> Option<u64> {
    let khz = u128::from(cycles) * u128::from(hz) / 1000 / u128::from(ticks.max(1));
    (ticks >= FEWEST_TICKS).then(|| u64::try_from(khz).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_s_clock() {
        assert_eq!(khz(2_600_000, 100_000, 100_000_000), Some(2_600_000));
        assert_eq!(khz(26, 1, 100_000_000), None);
        assert_eq!(khz(u64::MAX, 64, u64::MAX), Some(u64::MAX));
    }

    /// A counter that a read may get wrong.
    fn reads(values: &[u64]) -> u64 {
        let mut values = values.iter().copied();
        believed(|| values.next().expect("more reads than needed"))
    }

    #[test]
    fn one_wrong_read_is_not_believed() {
        assert_eq!(reads(&[1000, 1001]), 1001);
        // Too high, too low, first or second, and twice.
        assert_eq!(reads(&[0xffff_0000, 1001, 1002]), 1002);
        assert_eq!(reads(&[1000, 0xffff_0000, 1002, 1003]), 1003);
        assert_eq!(reads(&[0, 1001, 1002]), 1002);
        assert_eq!(reads(&[1000, 512, 1002, 1003]), 1003);
        assert_eq!(reads(&[1000, 0, 0xffff_0000, 1003, 1003]), 1003);
    }

    #[test]
    fn no_end_comes_by_one_wrong_read() {
        let is_over = |values: &[u64]| {
            let mut values = values.iter().copied();
            let over = is_over(1000, || values.next().expect("more reads than needed"));
            assert_eq!(values.next(), None);
            over
        };
        assert!(!is_over(&[999]));
        assert!(!is_over(&[0xffff_0000, 998, 999]));
        assert!(!is_over(&[0xffff_0000, 0xffff_0000, 998, 999]));
        assert!(is_over(&[1000, 1001, 1002]));
        // Too low: the next look finds it.
        assert!(!is_over(&[0]));
    }

    #[test]
    fn a_slow_counter_ends_it_too() {
        let mut now = 0;
        let mut count = 0;
        let value = believed(|| {
            count += 1;
            now += 1000;
            now
        });
        assert_eq!((value, count), (now, TRIES + 1));
    }

    #[test]
    fn time_never_runs_backwards() {
        assert_eq!(elapsed(1000, 1500), 500);
        assert_eq!(elapsed(1000, 999), 0);
        assert_eq!(microseconds(elapsed(u64::MAX, 5), 1_000_000), 0);
        assert_eq!(microseconds(62_500, 62_500_000), 1000);
        assert_eq!(microseconds(u64::MAX, 0), u64::MAX);
    }
}
