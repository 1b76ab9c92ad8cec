//! Ctrl-C, and the other signals that ask a command to end.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context;

static ASKED: AtomicBool = AtomicBool::new(false);
static INSTALLED: Once = Once::new();

/// From here on, SIGINT, SIGTERM and SIGHUP end the run in order; again is the same.
///
/// # Errors
/// The handler cannot be installed.
pub fn install() -> anyhow::Result<()> {
    let mut installed = Ok(());
    INSTALLED.call_once(|| {
        installed = ctrlc::set_handler(|| ASKED.store(true, Ordering::Relaxed));
    });
    installed.context("signal handler")
}

/// Has somebody asked for the end?
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
