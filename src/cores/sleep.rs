//! A core that does nothing until its own timer wakes it.

use super::percpu::Core;
use crate::hal::{arch, clock, gic};

/// Has this core wait, in WFI and with interrupts masked, until CNTVCT_EL0 has counted
/// `ms` milliseconds from `start`; unless called, it executes and accesses nothing
/// meanwhile. A core whose timer cannot wake it polls the counter.
pub fn until(core: &Core, start: u64, ms: u64) {
    arch::irq_mask();
    let over = || clock::ms_since(start) >= ms;
    let wakes =
        !core.polls() && gic::enable(core.index, core.cpu.mpidr, gic::VIRTUAL_TIMER).is_ok();
    if !wakes {
        while !over() {
            arch::pause();
        }
        return;
    }
    let ticks = u128::from(ms) * u128::from(clock::frequency()) / 1000 + 1;
    arch::start_virtual_timer(start.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)));
    while !over() {
        arch::wfi();
        if !over() {
            // A call: left pending, it would end every wait.
            gic::acknowledge();
        }
    }
    arch::stop_virtual_timer();
    // Where EL2 takes interrupts first, it has passed on this one.
    gic::acknowledge();
}
