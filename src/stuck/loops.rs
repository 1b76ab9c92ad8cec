//! The loops that a core is stuck in, and what ends them: the word that it
//! polls, or an interrupt that returns past the loop.

#![expect(unsafe_code, reason = "the loops are assembly on the core's own lines")]

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

pub use stalecore_routines::stuck::{Loop, SCRATCH_SIZE};

use super::far;
use crate::{
    cores::percpu::{Core, RELEASE},
    fabric,
    hal::{arch, gic, layout, mmio},
};

/// The loop of that name in `boot/stale.S`, or of those that any exception level may execute.
macro_rules! assembly {
    ($name:ident) => {{
        unsafe extern "C" {
            fn $name(request: &AtomicU32, ack: &AtomicU64, own: usize);
        }
        $name as $crate::stuck::loops::Loop
    }};
}
pub(super) use assembly;

/// Polls its word.
pub const SPIN: Loop = assembly!(stale_spin);
/// Waits until the word at `own` is not 0, as the kernel does in its queue.
pub const QUEUE: Loop = assembly!(queued_spin_lock_slowpath);

/// Stays in a loop, with `own` as the core's own address.
pub fn stay(core: &Core, stuck: Loop, own: usize) {
    // SAFETY: the loops touch the two words, which are atomics, and `own`,
    // which is this core's scratch, node or unmapped page.
    unsafe { stuck(&core.request, &core.ack, own) }
}

/// Stays in a loop with interrupts open.
pub fn open(core: &Core, stuck: Loop, own: usize) {
    open_irq(core);
    stay(core, stuck, own);
    arch::irq_mask();
}

/// Opens interrupts, unless the core is to get stuck with them masked.
pub fn open_irq(core: &Core) {
    if !core.irqs_masked.load(Ordering::Relaxed) {
        arch::irq_open();
    }
}

/// Stays in a loop on the core's scratch, interrupts masked.
pub fn masked(core: &Core, stuck: Loop) {
    stay(core, stuck, core.scratch);
}

/// Is the core to leave?
pub fn released(core: &Core) -> bool {
    core.request.load(Ordering::Acquire) == RELEASE
}

/// In WFI, interrupts open.
pub fn parked(core: &Core) {
    arch::irq_open();
    while !released(core) {
        arch::wfi();
    }
    arch::irq_mask();
}

/// Waits by `wait`, interrupts masked: a pending one ends the wait and is acknowledged
/// without being taken; the word is answered.
pub fn wait_masked(core: &Core, wait: impl Fn()) {
    let mut last = 0;
    loop {
        wait();
        gic::acknowledge();
        match core.request.load(Ordering::Acquire) {
            RELEASE => return,
            word if word != last => {
                last = word;
                core.ack.store(u64::from(word), Ordering::Release);
            }
            _ => {}
        }
    }
}

/// In WFI, interrupts masked.
pub fn wfi_masked(core: &Core) {
    wait_masked(core, arch::wfi);
}

/// The loop in which the kernel parks a core that it cannot turn off.
pub fn park(core: &Core) {
    stay(core, assembly!(stale_park_loop), core.scratch);
}

/// Stores over more than the core's first cache, which all cores share.
pub fn store_storm(core: &Core) {
    open(core, assembly!(stale_store_storm), far::storm());
}

/// Loads from there.
pub fn load_storm(core: &Core) {
    open(core, assembly!(stale_load_storm), far::storm());
}

/// Jumps round a ring that is larger than the core's first-level caches.
pub fn ifetch_storm(core: &Core) {
    open(core, assembly!(stale_ifetch_storm), far::ring().start);
}

/// Where the initiators' lines are.
static TARGET: AtomicUsize = AtomicUsize::new(0);

/// From now on [`prfm_storm`] aims here: at least [`SCRATCH_SIZE`] that is mapped.
pub fn aim_at(address: usize) {
    TARGET.store(address, Ordering::Relaxed);
}

/// Prefetches the initiators' lines, as if to store to them.
pub fn prfm_storm(core: &Core) {
    open(
        core,
        assembly!(stale_prfm_storm),
        TARGET.load(Ordering::Relaxed),
    );
}

/// The register to load from that is known not to answer, and whether it has.
static DEVICE: AtomicU64 = AtomicU64::new(0);
static ANSWERED: AtomicU32 = AtomicU32::new(NOT_YET);
const NOT_YET: u32 = 0;
const LOADED: u32 = 1;
const FAULTED: u32 = 2;

/// From now on [`device_stuck`] loads from here, which is mapped.
pub fn load_from(at: u64) {
    DEVICE.store(at, Ordering::Relaxed);
}

/// The register to load from, if the user has named one.
pub fn device() -> Option<u64> {
    Some(DEVICE.load(Ordering::Relaxed)).filter(|at| *at != 0)
}

/// What came of a load from it that has come back.
pub fn answered() -> Option<&'static str> {
    match ANSWERED.load(Ordering::Acquire) {
        NOT_YET => None,
        LOADED => Some("is answered"),
        _ => Some("takes an exception"),
    }
}

/// Loads from a device that does not answer: the user's, or else EL2 plays the device and
/// holds the first instruction up until the core is released.
pub fn device_stuck(core: &Core) {
    if let Some(at) = device() {
        arch::irq_open();
        let came = mmio::probe_u32(at).map_or(FAULTED, |_| LOADED);
        ANSWERED.store(came, Ordering::Release);
        parked(core);
        return;
    }
    let load = assembly!(stale_device_stuck);
    fabric::watch_at(load as usize);
    open(core, load, gic::identification().unwrap_or(core.scratch));
}

/// Is a core that executes `at` in a loop of a stale state?
pub fn contains(at: u64) -> bool {
    let ring = far::ring();
    layout::stuck().contains(&at) || (ring.start as u64..ring.end as u64).contains(&at)
}

/// Faults on the core's unmapped page again and again.
pub fn fault_loop(core: &Core) {
    open(core, assembly!(stale_fault_loop), core.unmapped);
}
