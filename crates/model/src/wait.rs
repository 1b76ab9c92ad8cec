//! How long cores are waited for: as long as one after the other comes. All of an emulated
//! machine may share one core of a busy host, where the last is late by all the others.

/// How long cores may take to enter, to answer, to come back and to come up, in
/// milliseconds, where none comes meanwhile.
const MS: u64 = 5000;
const MS_EACH: u64 = 100;

/// A wait for cores, by a clock in milliseconds that begins with it.
pub struct Wait {
    ms: u64,
    waiting: usize,
    /// When the last core came.
    last: u64,
}

impl Wait {
    /// For so many cores of a machine that has `all`: who waits for one waits while all have
    /// their turn.
    pub const fn of(cores: usize, all: usize) -> Self {
        Self::for_ms(MS + MS_EACH * all as u64, cores)
    }

    /// For so many cores, over when none has come for `ms`.
    pub const fn for_ms(ms: u64, cores: usize) -> Self {
        Self {
            ms,
            waiting: cores,
            last: 0,
        }
    }

    /// How long none may come.
    pub const fn ms(&self) -> u64 {
        self.ms
    }

    /// So many have still not come at `now`: is it over?
    pub const fn is_over(&mut self, waiting: usize, now: u64) -> bool {
        if waiting < self.waiting {
            self.waiting = waiting;
            self.last = now;
        }
        now.saturating_sub(self.last) >= self.ms
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// When it is over if the n-th of these cores comes at this time, and it is looked
    /// every 10 ms.
    fn over(cores: usize, comes: &[u64]) -> u64 {
        let mut wait = Wait::of(cores, cores);
        let left = |now: u64| cores - comes.iter().filter(|at| **at <= now).count();
        let mut looks = (0..).step_by(10);
        looks
            .find(|now| wait.is_over(left(*now), *now))
            .expect("it is over at some time")
    }

    #[test]
    fn it_is_over_when_none_has_come_for_a_while() {
        assert_eq!(Wait::of(512, 512).ms(), 56_200);
        assert_eq!(Wait::of(1, 128).ms(), 17_800);
        assert_eq!(over(1, &[]), 5100);
        assert_eq!(over(10, &[]), 6000);
        // Counted from the last that came, however many do at once.
        assert_eq!(over(10, &[0, 5990]), 11_990);
        assert_eq!(over(10, &[5990, 5990, 5990, 11_980]), 17_980);
        // One that comes too late.
        assert_eq!(over(10, &[6010]), 6000);
    }

    #[test]
    fn it_has_a_bound_though_cores_come_one_by_one() {
        let slow: Vec<u64> = (1..10).map(|nth| nth * 5990).collect();
        let over = over(10, &slow);
        assert_eq!(over, 9 * 5990 + 6000);
        assert!(over <= 10 * Wait::of(10, 10).ms());
    }

    #[test]
    fn who_goes_again_does_not_prolong_it() {
        let mut wait = Wait::for_ms(100, 2);
        assert!(!wait.is_over(1, 50));
        assert!(!wait.is_over(2, 100));
        assert!(!wait.is_over(1, 149));
        assert!(wait.is_over(1, 150));
        // A clock that runs backwards ends nothing.
        assert!(!wait.is_over(1, 0));
    }
}
