//! How the image ends: with a code for whoever waits for it.

use core::sync::atomic::{AtomicBool, Ordering};

use stalecore_model::exit::ExitCode;

use super::{
    arch,
    console::{self, println},
    psci, watchdog,
};

static SEMIHOSTING: AtomicBool = AtomicBool::new(false);
static RESETS: AtomicBool = AtomicBool::new(false);

/// `HLT #0xf000` is answered on this machine: the boot arguments say so.
pub fn allow_semihosting() {
    SEMIHOSTING.store(true, Ordering::Relaxed);
}

/// The machine is to be reset at the end, not turned off.
pub fn reset_at_the_end() {
    RESETS.store(true, Ordering::Relaxed);
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
    // If these fail, the final line has said everything.
    if RESETS.load(Ordering::Relaxed) {
        let _ = psci::system_reset();
    }
    let _ = psci::system_off();
    loop {
        arch::wfi();
    }
}
