//! The fabric, as EL1 sees it: sets EL2 up on each core, tells it where the
//! barriers under test are, and climbs the rungs that may heal a deaf core.
//! The model is `stalecore_model::fabric`; [`el2`] drives it.

pub mod el2;
mod interrupts;
mod shared;
pub mod stage2;

use alloc::boxed::Box;
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, Readable, TCR_EL2};
use smccc::hvc64;
use stalecore_model::{
    cpuset::CpuSet,
    fabric::{Fabric, FabricOptions, Rung, trap},
    glossary::StaleState,
    platform::Gic,
};

use crate::{
    cores::percpu::Core,
    hal::{arch, boot, clock, controls, layout},
};
use shared::{FABRIC, Install, PRESENCE, Shared};

pub use shared::MAX_BARRIERS;

/// Makes the model and what EL2 needs; `ttbr0` is the root of EL2's tables. Not inlined,
/// as its maintenance is listed in docs/maintenance-sites.md under this name.
#[inline(never)]
pub fn set_up(options: &FabricOptions, cpus: usize, ttbr0: u64, gic: &Gic) {
    let kicks = matches!(gic, Gic::V3(_));
    let size = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange);
    let size = TCR_EL2::PS.val(size.min(TCR_EL2::PS::Bits_48.read(TCR_EL2::PS)));
    let interrupts = if kicks { controls::HCR_INTERRUPTS } else { 0 };
    let hcr = controls::HCR | trap::traps_for(Some(options)) | interrupts | stage2::hcr();
    let shared = Box::leak(Box::new(Shared {
        model: Fabric::new(options, CpuSet::first(cpus), clock::frequency()),
        install: Install {
            mair: AtomicU64::new(controls::MAIR),
            tcr: AtomicU64::new(controls::TCR_AT_EL2 | size.value),
            ttbr0: AtomicU64::new(ttbr0),
            hcr: AtomicU64::new(hcr),
            mdcr: AtomicU64::new(trap::MDCR_EL2_TDE),
        },
        kicks,
    }));
    boot::clean(core::ptr::from_ref(&shared.install) as usize);
    FABRIC.call_once(|| shared);
}

/// Is there a fabric?
pub fn is_on() -> bool {
    FABRIC.get().is_some()
}

/// Can EL2 kick a core that masks everything?
pub fn can_kick() -> bool {
    FABRIC.get().is_some_and(|f| f.kicks)
}

/// Sets EL2 up on this core, before its interrupts are.
///
/// # Errors
/// The core's EL2 is not the kind that the fabric is written for.
pub fn install(core: &'static Core) -> Result<(), &'static str> {
    let Some(shared) = FABRIC.get() else {
        return Ok(());
    };
    let mut arguments = [0; 17];
    arguments[0] = core::ptr::from_ref(&shared.install) as u64;
    arguments[1] = core::ptr::from_ref(core) as u64;
    arguments[2] = core.el2_stack as u64;
    if hvc64(boot::EL2_INSTALL, arguments)[0] != 0 {
        // No emulator has such a core; Arm ARM, HCR_EL2.E2H: RES1 without FEAT_E2H0.
        return Err("the fabric needs HCR_EL2.E2H 0, which this core keeps 1 (no FEAT_E2H0)");
    }
    hvc64(el2::READY, [0; 17]);
    PRESENCE.leave(core.index);
    Ok(())
}

/// This core is about to be in a stale state.
pub fn enter(cpu: usize, state: StaleState) {
    PRESENCE.enter(cpu, state);
}

/// These cores were stuck before this boot.
pub fn inherit(cpus: &CpuSet) {
    cpus.iter().for_each(|cpu| PRESENCE.inherit(cpu));
}

/// This core is in no stale state any more.
pub fn leave(cpu: usize) {
    PRESENCE.leave(cpu);
}

/// Says which stale cores may hold the lines in a range of addresses.
pub fn set_lines(range: Range<u64>, holders: &CpuSet) {
    if let Some(shared) = FABRIC.get() {
        shared.model.set_lines(range, holders);
    }
}

/// Watches the barriers in the code that begins at each of `functions` and
/// ends with its first `ret`.
pub fn watch_barriers(functions: impl IntoIterator<Item = usize>) {
    if is_on() {
        watch(functions.into_iter().flat_map(barriers));
    }
}

/// Watches no barriers but the first timed instruction of each of these blocks, if the
/// fabric holds up more than maintenance.
pub fn watch_accesses(blocks: impl IntoIterator<Item = usize>) {
    match FABRIC.get() {
        Some(shared) if shared.model.holds_accesses() => {
            watch(blocks.into_iter().filter_map(timed))
        }
        _ => watch_barriers([]),
    }
}

/// Watches one instruction of this core's, if there is a fabric.
pub fn watch_at(address: usize) {
    if is_on() {
        watch([address]);
    }
}

fn watch(addresses: impl IntoIterator<Item = usize>) {
    let mut arguments = [0; 17];
    for (argument, address) in arguments.iter_mut().zip(addresses).take(MAX_BARRIERS) {
        *argument = address as u64;
    }
    hvc64(el2::WATCH, arguments);
}

/// The instruction behind a block's first read of a counter.
fn timed(block: usize) -> Option<usize> {
    layout::instructions_of(block)
        .find(|(_, instruction)| trap::reads_counter(*instruction))
        .map(|(address, _)| address + 4)
}

/// Those of a function's instructions that are barriers which wait for maintenance.
fn barriers(function: usize) -> impl Iterator<Item = usize> {
    layout::instructions_of(function)
        .filter(|(_, instruction)| {
            trap::Barrier::decode(*instruction).is_some_and(trap::Barrier::waits_for_maintenance)
        })
        .map(|(address, _)| address)
}

/// Waits until everything that this core has posted is answered, so that no case is
/// affected by what another has left.
pub fn drain() {
    if is_on() {
        hvc64(el2::DRAIN, [0; 17]);
    }
}

/// Makes EL2 step through what this core executes at EL1, for a trace.
pub fn step(on: bool) {
    let mut arguments = [0; 17];
    arguments[0] = on.into();
    hvc64(el2::STEP, arguments);
}

/// A rung of the release ladder was climbed for these cores.
pub fn release(rung: Rung, cpus: &CpuSet) {
    if let Some(shared) = FABRIC.get() {
        shared.model.release(rung, cpus, arch::cntvct(), &PRESENCE);
    }
}

/// Bytes of EL2's stack of a core.
pub const EL2_STACK: usize = 16 * 1024;

/// Does EL2 hold the core up, in an operation of its own?
pub fn holds_up(core: &Core) -> bool {
    core.in_fabric.load(Ordering::Acquire)
}
