//! The log of the played kernel: lines with a kernel's timestamps, and a record
//! for each step that is reached.

use alloc::string::String;
use core::{
    fmt::Display,
    sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

use stalecore_model::{
    cpuset::CpuSet,
    kdump::{KdumpRecord, Step, message},
    record::Record,
};

use crate::{
    board,
    hal::{clock, console::println},
    report,
};

/// The step that was reached last.
static STEP: AtomicU8 = AtomicU8::new(0);
/// CNTVCT_EL0 at which the running kernel's clock stood at 0.
static EPOCH: AtomicU64 = AtomicU64::new(0);
/// The core that crashes.
static CPU: AtomicUsize = AtomicUsize::new(0);

/// Starts the clock of the kernel that crashes: at the image's entry.
pub fn start(cpu: usize) {
    EPOCH.store(board::get().started(), Ordering::Relaxed);
    CPU.store(cpu, Ordering::Relaxed);
}

/// Starts the clock of the crash kernel: now.
pub fn start_again() {
    EPOCH.store(clock::now(), Ordering::Relaxed);
}

/// Prints a line.
pub fn say(text: impl Display) {
    let us = clock::us_since(EPOCH.load(Ordering::Relaxed));
    println!("{}{text}", message::stamp(us));
}

/// Reports a step, before it is done.
pub fn reach(step: Step, cpus: Option<CpuSet>, detail: Option<String>) {
    STEP.store(step as u8, Ordering::Release);
    report::record(&Record::Kdump(KdumpRecord {
        step,
        at_ms: clock::ms_since(board::get().started()),
        cpu: CPU.load(Ordering::Relaxed) as u32,
        cpus,
        detail,
    }));
}

/// The step that was reached last.
pub fn step() -> Step {
    Step::from_number(STEP.load(Ordering::Acquire)).unwrap_or(Step::Load)
}
