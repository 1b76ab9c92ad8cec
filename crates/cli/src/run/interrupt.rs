//! Ctrl-C, and the other signals that ask a command to end.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

static ASKED: AtomicBool = AtomicBool::new(false);

/// From here on, SIGINT, SIGTERM and SIGHUP end the run in order.
///
/// # Errors
/// The handler cannot be installed.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| ASKED.store(true, Ordering::Relaxed)).context("signal handler")
}

/// Has somebody asked for the end?
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
