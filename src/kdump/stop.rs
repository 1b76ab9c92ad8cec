//! Stopping the other cores: the crash-stop interrupt, the wait for it, and which cores
//! the kernel then names.

use core::sync::atomic::{AtomicUsize, Ordering};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::StaleState,
    kdump::{Step, message},
};

use super::{log, setup::Setup};
use crate::{
    cores::percpu::{Core, core},
    fabric,
    hal::{arch, clock, frame::Frame, gic},
    stuck,
};

/// How long the kernel waits for the cores to stop: a million times 1 µs.
const STOP_MS: u64 = 1000;
/// How long it waits after the NMI.
const RETRY_MS: u64 = 10;

/// Cores that have not stopped yet: the kernel's `waiting_for_crash_ipi`.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Stops all other cores; returns those that have not stopped by the end.
pub fn crash_smp_send_stop(setup: &Setup) -> CpuSet {
    if setup.others.is_empty() {
        return CpuSet::EMPTY; // the kernel says nothing either
    }
    WAITING.store(setup.others.len(), Ordering::Release);
    log::reach(Step::StopCpus, Some(setup.others), None);
    log::say(message::STOPPING);
    ask(&setup.others, STOP_MS);
    let running = || setup.which(|watch| !watch.stopped.load(Ordering::Acquire));
    let mut left = running();
    if !left.is_empty() && setup.kernel.names_only_failed() {
        log::reach(
            Step::RetryStop,
            Some(left),
            Some("masked by PSTATE.I, which holds an NMI up as well".into()),
        );
        log::say(message::retry_by_nmi(&left));
        ask(&left, RETRY_MS);
        left = running();
    }
    if let Some(named) = message::named(setup.kernel, &setup.others, &left) {
        let firmware = "the kernel then asks through firmware (SDEI), where it signals events: \
                        not played";
        let asks = setup.kernel.asks_by_firmware();
        log::reach(
            Step::FailedToStop,
            Some(left),
            asks.then(|| firmware.into()),
        );
        log::say(message::failed_to_stop(&named));
    }
    left
}

/// Sends the interrupt, and waits until all have stopped.
fn ask(cpus: &CpuSet, ms: u64) {
    for cpu in cpus.iter() {
        core(cpu).send(gic::CRASH_STOP);
    }
    clock::wait_ms(ms, || WAITING.load(Ordering::Acquire) == 0);
}

/// Takes the crash-stop interrupt on another core: masks everything, notes where it hit,
/// answers, turns the core off, or parks it if that fails.
pub fn take(setup: &Setup, core: &Core, frame: &Frame) {
    arch::daif_mask();
    arch::stop_virtual_timer();
    let watch = setup.watch(core.index);
    watch.stopped_at.store(frame.elr, Ordering::Relaxed);
    core.set_state(Some(StaleState::CrashStopped));
    fabric::enter(core.index, StaleState::CrashStopped);
    watch.stopped.store(true, Ordering::Release);
    WAITING.fetch_sub(1, Ordering::AcqRel);
    loop {
        stuck::crash_stopped(core);
    }
}
