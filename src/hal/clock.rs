//! Deadlines by CNTVCT_EL0: every wait has one.

use super::arch;

/// A moment by which something must have happened.
#[derive(Clone, Copy)]
pub struct Deadline {
    start: u64,
    ms: u64,
}

impl Deadline {
    /// That many milliseconds from now.
    pub fn after_ms(ms: u64) -> Self {
        Self {
            start: arch::cntvct(),
            ms,
        }
    }

    /// Is it over?
    pub fn has_passed(&self) -> bool {
        ms_since(self.start) >= self.ms
    }

    /// How long it was.
    pub const fn ms(&self) -> u64 {
        self.ms
    }
}

/// Polls until `reached` holds, for at most that many milliseconds; does it?
pub fn wait_ms(ms: u64, mut reached: impl FnMut() -> bool) -> bool {
    let deadline = Deadline::after_ms(ms);
    loop {
        if reached() {
            return true;
        }
        if deadline.has_passed() {
            return false;
        }
        arch::pause();
    }
}

/// Milliseconds since CNTVCT_EL0 was `start`.
pub fn ms_since(start: u64) -> u64 {
    us_since(start) / 1000
}

/// Microseconds since CNTVCT_EL0 was `start`.
pub fn us_since(start: u64) -> u64 {
    let ticks = u128::from(arch::cntvct().wrapping_sub(start));
    let frequency = u128::from(arch::cntfrq_el0().max(1));
    u64::try_from(ticks * 1_000_000 / frequency).unwrap_or(u64::MAX)
}
