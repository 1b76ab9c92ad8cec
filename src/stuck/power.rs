//! Cores that PSCI turns off or suspends, and the kernel's crash stop.

use core::sync::atomic::{AtomicU32, Ordering};

use super::loops::{released, stale_park_loop, stay, wait_masked};
use crate::{arch, core_local::Core, psci};

/// In PSCI CPU_SUSPEND, interrupts masked.
pub fn cpu_suspend(core: &Core) {
    wait_masked(core, || {
        // A firmware that refuses returns at once, and the answers prove no
        // less: the conductor asks before whether it can.
        let _ = psci::cpu_standby();
    });
}

/// PSCI CPU_OFF.
pub fn cpu_off(core: &Core) {
    core.online.store(false, Ordering::Release);
    // Returns only if the firmware refuses; the conductor then sees a core
    // that is not off.
    let _ = psci::cpu_off();
    core.online.store(true, Ordering::Release);
}

/// What the cores in flight wait for.
static GATE: AtomicU32 = AtomicU32::new(0);

/// Shuts the gate before cores are sent to it.
pub fn shut_gate() {
    GATE.store(0, Ordering::Release);
}

/// Sends the cores at the gate into CPU_OFF.
pub fn open_gate() {
    GATE.store(1, Ordering::Release);
    arch::sev();
}

/// On its way into CPU_OFF while the operations run.
pub fn cpu_off_inflight(core: &Core) {
    arch::irq_open();
    while GATE.load(Ordering::Acquire) == 0 && !released(core) {
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
    stay(core, stale_park_loop, core.scratch);
}
