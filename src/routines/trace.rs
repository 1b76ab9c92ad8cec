//! `--trace`: how far the routines have come, at the report's points. [`at`] is called
//! before each instruction that is stepped: by the handler at EL1, or, with a fabric, by
//! EL2, which then takes debug exceptions itself.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use stalecore_routines::kernel::{
    __flush_dcache_area, __flush_icache_range, Routine, flush_icache_range,
};

use crate::hal::console::println;

/// Is the trace wanted?
static ON: AtomicBool = AtomicBool::new(false);

/// Switches the trace on, or off.
pub fn switch(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Is it on?
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Offsets that the report looks at, and those that kprobes refuse.
const DCACHE_POINTS: &[u64] = &[0, 32];
const ICACHE_POINTS: &[u64] = &[0, 28, 36, 40, 88, 92, 96];

/// Points that have been printed since the routine was entered: a loop is shown
/// once.
static SHOWN: AtomicU32 = AtomicU32::new(0);

/// About to execute the instruction at `pc`: prints it, if that was asked for
/// and it is one of the points.
pub fn at(pc: u64) {
    if !is_on() {
        return;
    }
    let routines: [(&str, Routine, &[u64]); 3] = [
        ("__flush_dcache_area", __flush_dcache_area, DCACHE_POINTS),
        ("flush_icache_range", flush_icache_range, ICACHE_POINTS),
        ("__flush_icache_range", __flush_icache_range, ICACHE_POINTS),
    ];
    for (name, routine, points) in routines {
        let offset = pc.wrapping_sub(routine as usize as u64);
        let Some(point) = points.iter().position(|point| *point == offset) else {
            continue;
        };
        if offset == 0 {
            SHOWN.store(0, Ordering::Relaxed);
        }
        if SHOWN.fetch_or(1 << point, Ordering::Relaxed) & 1 << point == 0 {
            println!("pc = {pc:#x} {name}+{offset}");
        }
    }
}
