//! Another barrier behind each operation than the kernel's (`--dsb`).

use stalecore_model::{fabric::trap::Barrier, glossary::Subject};
use stalecore_routines::{kernel, probe};

use crate::hal::{arch, layout, memory};

/// Writes it into each timed block that has one, as the kernel patches its own code: before
/// another core runs.
pub fn put(barrier: Barrier) {
    for probe in Subject::ALL.iter().filter_map(|s| probe::of(*s)) {
        if let (Some(complete), Some(depth)) = (&probe.complete, &probe.depth) {
            complete
                .iter()
                .for_each(|block| patch(*block as usize, barrier));
            depth
                .iter()
                .for_each(|block| patch(*block as usize, barrier));
        }
    }
    arch::isb();
}

fn patch(function: usize, barrier: Barrier) {
    let mut all = layout::instructions_of(function);
    if let Some((at, _)) = all.find(|(_, word)| Barrier::decode(*word).is_some()) {
        memory::patch(at, barrier.encode());
        kernel::caches_clean_inval_pou(at, at + size_of::<u32>());
    }
}
