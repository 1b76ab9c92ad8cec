//! Interrupts in the middle of the initiators' work.

use spin::Once;
use stalecore_model::cpuset::CpuSet;

use super::loops::{open_irq, released};
use crate::{
    cores::percpu::{self, Core},
    hal::{arch, clock, gic},
};

/// From one interrupt to the next: more than its handler takes, so that the initiator's
/// own work goes on.
const PERIOD_US: u64 = 100;

static INITIATORS: Once<CpuSet> = Once::new();

/// From now on [`sgi_storm`] interrupts these.
pub fn interrupt(initiators: &CpuSet) {
    INITIATORS.call_once(|| *initiators);
}

/// Interrupts the initiators again and again; their handler broadcasts.
pub fn sgi_storm(core: &Core) {
    open_irq(core);
    while !released(core) {
        let begun = arch::cntvct();
        for cpu in INITIATORS.get().iter().flat_map(|cpus| cpus.iter()) {
            percpu::core(cpu).send(gic::STORM);
        }
        while clock::us_since(begun) < PERIOD_US && !released(core) {
            arch::pause();
        }
    }
    arch::irq_mask();
}
