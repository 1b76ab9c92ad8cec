//! `--trace`: where the routines are, instruction by instruction, at the
//! report's points.
//!
//! A routine is run by software step ([`run`]), and [`at`] is called before each
//! instruction: by the handler at EL1, or by EL2 where that has a fabric and
//! debug exceptions are its own.

#![expect(unsafe_code, reason = "runs a routine step by step")]

use core::sync::atomic::{AtomicU32, Ordering};

use super::SETUP;
use crate::{arch, entry, fabric, println};

/// A routine: two arguments, -EFAULT back if it faulted.
pub type Routine = unsafe extern "C" fn(usize, usize) -> i64;

unsafe extern "C" {
    fn run_stepped(start: usize, second: usize, routine: Routine) -> i64;
    fn __flush_dcache_area(start: usize, size: usize) -> i64;
    fn flush_icache_range(start: usize, end: usize) -> i64;
    fn __flush_icache_range(start: usize, end: usize) -> i64;
}

/// Offsets that the report looks at, and those that kprobes refuse.
const DCACHE_POINTS: &[u64] = &[0, 32];
const ICACHE_POINTS: &[u64] = &[0, 28, 36, 40, 88, 92, 96];

/// Points that have been printed since the routine was entered: a loop is shown
/// once.
static SHOWN: AtomicU32 = AtomicU32::new(0);

/// Is it in a loop of a stuck core?
pub fn is_leaf(pc: u64) -> bool {
    (entry::stuck_start() as u64..entry::stuck_end() as u64).contains(&pc)
}

/// Runs a routine instruction by instruction, so that the mark always says
/// where it is.
///
/// # Safety
/// The routine's, for these arguments.
pub unsafe fn run(routine: Routine, start: usize, second: usize) -> i64 {
    if fabric::is_on() {
        fabric::watch_barriers([routine as usize]);
        // EL2 moves the mark without steps; they are for the trace alone.
        fabric::step(is_asked());
        // SAFETY: the caller vouches for the arguments.
        let returned = unsafe { routine(start, second) };
        fabric::step(false);
        return returned;
    }
    arch::set_stepping(true);
    // SAFETY: the caller vouches for the arguments; steps come to the image's
    // own handler.
    let returned = unsafe { run_stepped(start, second, routine) };
    arch::set_stepping(false);
    arch::debug_mask();
    returned
}

/// Was the trace asked for?
fn is_asked() -> bool {
    SETUP.get().is_some_and(|setup| setup.trace)
}

/// About to execute the instruction at `pc`: prints it, if that was asked for
/// and it is one of the points.
pub fn at(pc: u64) {
    if !is_asked() {
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
