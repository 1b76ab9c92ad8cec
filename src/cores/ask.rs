//! Asks cores to do something, and waits for them. Every wait has a deadline.

use alloc::{format, string::String};
use core::sync::atomic::Ordering;

use stalecore_model::{cpuset::CpuSet, wait::Wait};

use super::{
    command::Command,
    percpu::{self, Core, core},
};
use crate::hal::{arch, clock, watchdog};

/// How often a core that has not reacted is called again.
const CALL_AGAIN_MS: u64 = 20;

/// Asks cores to do something and calls them.
pub fn ask(cpus: &CpuSet, command: Command, argument: impl Fn(&Core) -> usize) {
    for cpu in cpus.iter() {
        let core = core(cpu);
        core.argument.store(argument(core), Ordering::Relaxed);
        core.mailbox.ask(command as u32);
    }
    percpu::call(cpus.iter().map(core));
}

/// Waits until all cores have done what they were asked.
///
/// # Errors
/// Names those that have not.
pub fn wait_done(cpus: &CpuSet, what: &str) -> Result<(), String> {
    wait_for(cpus, what, |core| core.mailbox.is_done(), |_| ())
}

/// Waits until `reached` holds on every core; calls `retry` now and then where
/// it does not.
///
/// # Errors
/// Names the cores on which it does not hold in time.
pub fn wait_for(
    cpus: &CpuSet,
    what: &str,
    reached: impl Fn(&Core) -> bool,
    retry: impl Fn(&Core),
) -> Result<(), String> {
    // Once, not for each pair of these.
    wait_until(cpus, what, &reached, &retry)
}

fn wait_until(
    cpus: &CpuSet,
    what: &str,
    reached: &dyn Fn(&Core) -> bool,
    retry: &dyn Fn(&Core),
) -> Result<(), String> {
    let mut wait = Wait::of(cpus.len(), percpu::all().len());
    let begun = clock::now();
    let mut retried = begun;
    let mut waiting = *cpus;
    loop {
        watchdog::refresh();
        // Before the look: behind it, this core may not run for a while.
        let now_ms = clock::ms_since(begun);
        waiting = waiting.iter().filter(|cpu| !reached(core(*cpu))).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if wait.is_over(waiting.len(), now_ms) {
            return Err(format!("waited {} ms for CPU {waiting} {what}", wait.ms()));
        }
        if clock::ms_since(retried) >= CALL_AGAIN_MS {
            for cpu in waiting.iter() {
                retry(core(cpu));
            }
            retried = clock::now();
        }
        arch::pause();
    }
}
