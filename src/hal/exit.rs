//! How the image ends: with a code for whoever waits for it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stalecore_model::exit::ExitCode;

use super::{
    arch, clock,
    console::{self, println},
    psci, watchdog,
};

static SEMIHOSTING: AtomicBool = AtomicBool::new(false);
static RESETS: AtomicBool = AtomicBool::new(false);
/// How long the machine stays on at the end, in milliseconds.
static STAYS_MS: AtomicU64 = AtomicU64::new(0);

/// `HLT #0xf000` is answered on this machine: the boot arguments say so.
pub fn allow_semihosting() {
    SEMIHOSTING.store(true, Ordering::Relaxed);
}

/// The machine is to be reset at the end, not turned off.
pub fn reset_at_the_end() {
    RESETS.store(true, Ordering::Relaxed);
}

/// The machine is to stay on for so long at the end: somebody may want to read its screen.
pub fn stay(ms: u64) {
    STAYS_MS.store(ms, Ordering::Relaxed);
}

/// How long the machine stays on at the end, in milliseconds, if somebody looks and nothing
/// else waits for its end.
pub fn stays_ms() -> Option<u64> {
    let ms = STAYS_MS.load(Ordering::Relaxed);
    (ms > 0 && !is_awaited()).then_some(ms)
}

/// Does an emulator wait for the code?
pub fn is_awaited() -> bool {
    SEMIHOSTING.load(Ordering::Relaxed)
}

/// The last line, with the code.
pub fn say(code: ExitCode) {
    watchdog::disarm();
    println!("stalecore: exit {}", code as u8);
    console::flush();
}

/// Ends the run with a code: a final line, then semihosting, or off, or a reset.
pub fn end(code: ExitCode) -> ! {
    say(code);
    if is_awaited() {
        semihosting::process::exit(i32::from(code as u8));
    }
    if let Some(ms) = stays_ms() {
        clock::wait_ms(ms, || false);
    }
    // If these fail, the final line has said everything.
    if RESETS.load(Ordering::Relaxed) {
        let _ = psci::system_reset();
    }
    let _ = psci::system_off();
    loop {
        arch::wfi();
    }
}
