//! The SBSA generic watchdog (Arm DEN0029, its appendix on the watchdog): resets
//! a machine in which nobody conducts the run any more, so that the next boot
//! can say what was in flight.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spin::Once;
use stalecore_model::platform::Watchdog;

use super::{
    clock,
    mmio::{read_u32 as read, write_u32 as write},
};

/// Control frame, 32 bits: bit 0 enables it.
const WCS: u64 = 0x000;
/// Control frame, 32 bits: ticks of the system counter in each of two stages, of which
/// the second resets.
const WOR: u64 = 0x008;
/// Refresh frame: any write begins the first stage again.
const WRR: u64 = 0x000;

/// How often it is refreshed at most: far below its shortest stage, yet too seldom to
/// show in any figure.
const REFRESH_MS: u64 = 500;

/// WCS.WS1: the second stage has passed, so the watchdog reset the machine. Linux's
/// driver takes it as the cause of a reset too; writing to the frame clears it.
const WCS_WS1: u32 = 1 << 2;

static ARMED: Once<Watchdog> = Once::new();
static HAS_RESET: AtomicBool = AtomicBool::new(false);
/// Ticks of CNTVCT_EL0 between two refreshes.
static PERIOD: AtomicU64 = AtomicU64::new(0);
/// CNTVCT_EL0 at the last refresh.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Does it run already, as a kernel before may have left it?
pub fn is_running(watchdog: &Watchdog) -> bool {
    read(watchdog.control.base + WCS) & 1 != 0
}

/// Arms it with two stages of `stage_ms` each, or of the longest that its register has
/// room for; returns how long a stage is, in milliseconds.
pub fn arm(watchdog: &Watchdog, stage_ms: u64) -> u64 {
    if read(watchdog.control.base + WCS) & WCS_WS1 != 0 {
        HAS_RESET.store(true, Ordering::Relaxed);
    }
    let hz = clock::frequency();
    let ticks = u32::try_from(stage_ms.saturating_mul(hz) / 1000).unwrap_or(u32::MAX);
    write(watchdog.control.base + WOR, ticks);
    write(watchdog.control.base + WCS, 1);
    PERIOD.store(REFRESH_MS * hz / 1000, Ordering::Relaxed);
    ARMED.call_once(|| *watchdog);
    LAST.store(clock::now(), Ordering::Relaxed);
    u64::from(ticks) * 1000 / hz
}

/// Tells it that the run is still being conducted. Done beside each sample where nobody
/// watches.
pub fn refresh() {
    let Some(watchdog) = ARMED.get() else { return };
    let now = clock::now();
    let passed = now.saturating_sub(LAST.load(Ordering::Relaxed));
    if passed >= PERIOD.load(Ordering::Relaxed) {
        LAST.store(now, Ordering::Relaxed);
        write(watchdog.refresh.base + WRR, 1);
    }
}

/// How often, in milliseconds, [`refresh`] is to be called, if it is armed.
pub fn refresh_ms() -> Option<u64> {
    ARMED.get().map(|_| REFRESH_MS)
}

/// Did it reset the machine before this boot, according to its register?
pub fn has_reset() -> bool {
    HAS_RESET.load(Ordering::Relaxed)
}

/// The run is over.
pub fn disarm() {
    if let Some(watchdog) = ARMED.get() {
        write(watchdog.control.base + WCS, 0);
    }
}
