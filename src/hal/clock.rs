//! Deadlines by CNTVCT_EL0: every wait has one.

use core::sync::atomic::{AtomicU64, Ordering};

use stalecore_model::clock;

use super::arch;

/// A moment by which something must have happened.
#[derive(Clone, Copy)]
pub struct Deadline {
    /// In ticks: a look at a deadline stands beside each sample, and a division
    /// of 128 bits does not belong there.
    end: u64,
}

impl Deadline {
    /// `ms` milliseconds from now.
    pub fn after_ms(ms: u64) -> Self {
        let ticks = ms.saturating_mul(frequency()).div_ceil(1000);
        Self {
            end: now().saturating_add(ticks),
        }
    }

    /// Is it over? Asked beside each sample.
    #[inline(always)]
    pub fn has_passed(&self) -> bool {
        clock::is_over(self.end, arch::cntvct)
    }
}

/// Polls until `reached` holds, for at most `ms` milliseconds. Does it?
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

/// CNTVCT_EL0, read until two reads agree: on some chips one is wrong now and then.
pub fn now() -> u64 {
    clock::believed(arch::cntvct)
}

/// Milliseconds since [`now`] was `start`.
pub fn ms_since(start: u64) -> u64 {
    us_since(start) / 1000
}

/// This core's clock in kHz, by its cycles in so many ticks of CNTVCT_EL0.
pub fn khz(cycles: u64, ticks: u64) -> Option<u64> {
    clock::khz(cycles, ticks, frequency())
}

/// Milliseconds between two readings of CNTVCT_EL0.
pub fn ms_between(start: u64, end: u64) -> u64 {
    clock::microseconds(clock::elapsed(start, end), frequency()) / 1000
}

/// Microseconds since [`now`] was `start`; time never runs backwards.
pub fn us_since(start: u64) -> u64 {
    clock::microseconds(clock::elapsed(start, now()), frequency())
}

/// The frequency of CNTVCT_EL0 in Hz: one for all cores, as there is one counter.
static FREQUENCY: AtomicU64 = AtomicU64::new(UNKNOWN_HZ);

/// For a boot core that says 0: faster than any counter, so that no deadline passes
/// early.
const UNKNOWN_HZ: u64 = 1_000_000_000;

/// Takes the frequency from CNTFRQ_EL0 of the core that runs this: the boot core, which
/// firmware has certainly set up. Another core's may be 0.
pub fn set_frequency() {
    let hz = arch::cntfrq_el0();
    FREQUENCY.store(if hz == 0 { UNKNOWN_HZ } else { hz }, Ordering::Relaxed);
}

/// The counter's frequency in Hz.
pub fn frequency() -> u64 {
    FREQUENCY.load(Ordering::Relaxed)
}
