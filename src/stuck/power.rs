//! Cores that PSCI turns off or suspends, and the kernel's crash stop.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aarch64_cpu::registers::{TPIDR_EL0, Writeable};
use smccc::psci::error::Error;
use spin::Once;
use stalecore_model::glossary::StaleState;

use super::loops::{park, released, wait_masked};
use crate::{
    cores::{
        percpu::{self, Core},
        start,
    },
    hal::{arch, boot, gic, psci, sdei},
};

/// In PSCI CPU_SUSPEND, interrupts masked.
pub fn cpu_suspend(core: &Core) {
    wait_masked(core, || {
        if let Err(error) = psci::cpu_standby() {
            // Then it spins here, and says so: see `refused`.
            REFUSED.call_once(|| error);
        }
    });
}

/// The power state of [`cpu_suspend_powerdown`].
static POWER_DOWN: Once<u32> = Once::new();
/// Has it come back without one?
static STOOD_BY: AtomicBool = AtomicBool::new(false);

/// Takes the power states that the machine's description names.
pub fn set_power_states(states: &[u32]) {
    if let Some(state) = psci::power_down_state(states) {
        POWER_DOWN.call_once(|| state);
    }
}

/// Can a core be powered down by CPU_SUSPEND?
pub fn may_power_down() -> bool {
    POWER_DOWN.get().is_some()
}

/// Has CPU_SUSPEND returned where it was to power a core down? It may, and then the core
/// only stood by.
pub fn stood_by() -> bool {
    STOOD_BY.load(Ordering::Relaxed)
}

/// Powered down by PSCI CPU_SUSPEND: an interrupt brings it back, by the way in which a
/// core is started.
pub fn cpu_suspend_powerdown(core: &'static Core) {
    gic::acknowledge();
    core.set_online(false);
    if let Some(state) = POWER_DOWN.get() {
        let entry = boot::secondary_entry_address();
        if let Err(error) = psci::cpu_power_down(*state, entry, core.address() as u64) {
            REFUSED.call_once(|| error);
        }
    }
    core.set_online(true);
    STOOD_BY.store(true, Ordering::Relaxed);
    while !released(core) {
        arch::pause();
    }
}

/// What firmware answered to a core that asked to be suspended.
static REFUSED: Once<Error> = Once::new();

/// Did firmware refuse to suspend a core? It may do so, not knowing the power state,
/// though it said before that it has the function.
pub fn refused() -> Option<&'static Error> {
    REFUSED.get()
}

/// Inside an SDEI event, which it signals to itself: EL2 stays there until released.
pub fn sdei_parked(core: &Core) {
    TPIDR_EL0.set(core::ptr::from_ref(&*core.request) as u64);
    sdei::signal(core.cpu.mpidr);
    while !released(core) {
        arch::pause();
    }
    TPIDR_EL0.set(0);
}

/// PSCI CPU_OFF.
pub fn cpu_off(core: &Core) {
    core.set_online(false);
    // Returns only if the firmware refuses; the conductor then sees a core
    // that is not off.
    let _ = psci::cpu_off();
    core.set_online(true);
}

/// Are cores that are on their way into CPU_OFF to wait just before it?
static CPU_OFF_HOLD: AtomicBool = AtomicBool::new(false);

/// From now on cores wait before CPU_OFF.
pub fn hold_cpu_off() {
    CPU_OFF_HOLD.store(true, Ordering::Release);
}

/// Are cores that are off to be started once the operations begin?
static CPU_ON_HOLD: AtomicBool = AtomicBool::new(false);

/// The first core that [`start_next`] has not started.
static NEXT_ON: AtomicUsize = AtomicUsize::new(0);

/// From now on [`begin`] starts the cores that are off.
pub fn hold_cpu_on() {
    NEXT_ON.store(0, Ordering::Relaxed);
    CPU_ON_HOLD.store(true, Ordering::Release);
}

/// Has firmware start the next of the cores that are off and held so, one for each
/// operation: all at once they are up before the first. Its answer does not matter:
/// whether they come up is seen later. Was there one?
pub fn start_next() -> bool {
    if !CPU_ON_HOLD.load(Ordering::Acquire) {
        return false;
    }
    let mut left = percpu::all().iter().skip(NEXT_ON.load(Ordering::Relaxed));
    match left.find(|core| core.state() == Some(StaleState::CpuOnInflight)) {
        Some(core) => {
            NEXT_ON.store(core.index + 1, Ordering::Relaxed);
            let _ = start::start(core);
            true
        }
        None => {
            CPU_ON_HOLD.store(false, Ordering::Release);
            false
        }
    }
}

/// The operations begin: sends the cores that wait before CPU_OFF into it, or has
/// firmware start those that are off.
pub fn begin() {
    go_off();
    while start_next() {}
}

/// Sends the cores that wait before CPU_OFF into it.
pub fn go_off() {
    CPU_OFF_HOLD.store(false, Ordering::Release);
    arch::sev();
}

/// Have the cores in a state that passes come through it: are those on their way into
/// CPU_OFF off, and those on their way up there?
pub fn have_passed() -> bool {
    percpu::all().iter().all(|core| match core.state() {
        Some(StaleState::CpuOffInflight) => psci::is_off(core.cpu.mpidr),
        Some(StaleState::CpuOnInflight) => core.is_online(),
        _ => true,
    })
}

/// How often CPU_OFF is tried with a wake-up pending.
const TRIES: usize = 16;

/// CPU_OFF with an interrupt of its own pending, which firmware may take for a wake-up:
/// tried several times, and at last without one.
pub fn cpu_off_abandoned(core: &Core) {
    for _ in 0..TRIES {
        core.call();
        cpu_off(core);
        gic::acknowledge();
    }
    cpu_off(core);
}

/// On its way into CPU_OFF while the operations run.
pub fn cpu_off_inflight(core: &Core) {
    arch::irq_open();
    while CPU_OFF_HOLD.load(Ordering::Acquire) && !released(core) {
        arch::pause();
    }
    arch::irq_mask();
    if !released(core) {
        cpu_off(core);
    }
}

/// What the kernel's `ipi_cpu_crash_stop` does: mask everything, try to turn
/// the core off, wait for ever if that returns.
pub fn crash_stopped(core: &Core) {
    arch::daif_mask();
    cpu_off(core);
    park(core);
}
