//! Runs a routine instruction by instruction, so that the mark always says where it is.

use stalecore_routines::kernel::{Routine, run_stepped};

use crate::{fabric, hal::arch, routines::trace};

/// Runs a routine step by step; returns what it returned.
pub fn run(routine: Routine, start: usize, second: usize) -> i64 {
    if fabric::is_on() {
        fabric::watch_barriers([routine as usize]);
        // EL2 moves the mark without steps; only the trace needs them.
        fabric::step(trace::is_on());
        let returned = routine(start, second);
        fabric::step(false);
        return returned;
    }
    arch::set_stepping(true);
    // Steps come to the image's own handler.
    let returned = run_stepped(start, second, routine);
    arch::set_stepping(false);
    arch::debug_mask();
    returned
}
