//! What initiators work on: buffers of data and code, and what stale cores do
//! to them before they get stuck.

#![expect(unsafe_code, reason = "buffers under test are raw memory")]

use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use spin::Once;
use stalecore_model::glossary::LineState;
use stalecore_routines::{
    area::{Area, PAGE},
    code, kernel, kexec_list,
};

use crate::hal::arch;

/// Bytes of data, and of code, that each initiator works on.
pub const BUFFER_SIZE: usize = 64 * 1024;
/// Where in an area's code the older copy is that `selftest-stale` executes.
pub(super) const OLDER: usize = BUFFER_SIZE / 2;
/// Bytes of an area: data with room after it, code, a kexec list.
pub const AREA_SIZE: usize = 2 * BUFFER_SIZE + 4 * PAGE;

/// The initiators' areas, by CPU number, and the machine's line sizes.
pub struct Areas {
    /// CPU and its area.
    pub of: alloc::vec::Vec<(usize, Area)>,
    /// Smallest data line, in bytes.
    pub data_line: usize,
    /// Smallest instruction line, in bytes.
    pub instruction_line: usize,
    generation: AtomicU32,
    /// Was code written that nothing has made visible, as was meant?
    pub(super) unseen: AtomicBool,
}

/// Set once, when all cores have said what their lines are.
pub static AREAS: Once<Areas> = Once::new();

impl Areas {
    /// Areas whose code is of generation 0.
    pub const fn new(
        of: alloc::vec::Vec<(usize, Area)>,
        data_line: usize,
        instruction_line: usize,
    ) -> Self {
        Self {
            of,
            data_line,
            instruction_line,
            generation: AtomicU32::new(0),
            unseen: AtomicBool::new(false),
        }
    }

    /// The generation of the code that was written last.
    pub fn newest(&self) -> u16 {
        self.generation.load(Ordering::Acquire) as u16
    }

    /// Bytes of all areas that data maintenance is given: they lie in one
    /// piece, in the order of their cores; the executable view is not among
    /// them.
    pub fn range(&self) -> Range<u64> {
        let starts = self.of.iter().map(|(_, area)| area.data as u64);
        starts.clone().min().unwrap_or(0)..starts.max().map_or(0, |last| last + AREA_SIZE as u64)
    }

    /// Begins the next generation of code.
    pub(super) fn next_generation(&self) -> u16 {
        let last = self.generation.fetch_add(1, Ordering::AcqRel);
        last.wrapping_add(1) as u16
    }

    /// The area of a core, if it is an initiator.
    pub fn area(&self, cpu: usize) -> Option<&Area> {
        self.of
            .iter()
            .find(|(c, _)| *c == cpu)
            .map(|(_, area)| area)
    }

    /// Lines of an area, counted in the larger of the two sizes, so that no
    /// two share one.
    pub(super) const fn line(&self) -> usize {
        if self.data_line > self.instruction_line {
            self.data_line
        } else {
            self.instruction_line
        }
    }
}

/// Fills an area: a function in each line of code, which each core may execute
/// from then on, a kexec list, zeros.
///
/// # Safety
/// The area must be mapped and used by nobody else.
pub unsafe fn fill(area: &Area) {
    for at in (0..area.size).step_by(64) {
        // SAFETY: within the area's code, through its writable view.
        unsafe { code::write_function(area.code_writable + at, 0) }
    }
    // The executable view has been there for a while, so what was in memory
    // before may have been fetched.
    kernel::caches_clean_inval_pou(area.code, area.code + area.size);
    // SAFETY: the caller vouches for the area.
    unsafe { kexec_list::build_list(area) }
}

/// Makes visible what this initiator has written and operations that are wrong on
/// purpose have not. Only while every core answers: it broadcasts.
pub fn mend(cpu: usize) {
    let Some(areas) = AREAS.get() else { return };
    let Some(area) = areas.area(cpu) else { return };
    if areas.unseen.load(Ordering::Relaxed) {
        for at in [area.code, area.code + OLDER] {
            kernel::caches_clean_inval_pou(at, at + areas.line());
        }
    }
}

/// Touches every initiator's lines as the line state asks, on a core that is
/// about to get stuck.
pub fn touch(line: LineState, nth: usize, of: usize) {
    let Some(areas) = AREAS.get() else { return };
    for (_, area) in &areas.of {
        for (index, at) in (0..BUFFER_SIZE).step_by(areas.line()).enumerate() {
            match line {
                LineState::DirtyThere if index % of.max(1) == nth => {
                    dirty(area.data + at);
                    dirty(area.code_writable + at);
                }
                LineState::Shared => {
                    read(area.data + at);
                    read(area.code_writable + at);
                }
                LineState::ExecutedThere => {
                    // SAFETY: `fill` put a function into each line.
                    unsafe { code::call_function(area.code + at) };
                }
                _ => {}
            }
        }
    }
}

/// Modifies a line without changing what is in it.
pub(super) fn dirty(address: usize) {
    let address = address as *mut u64;
    // SAFETY: within an initiator's buffer, which is mapped and writable; of
    // two cores each has its own lines.
    let value = unsafe { address.read_volatile() };
    // SAFETY: as above.
    unsafe { address.write_volatile(value) }
}

pub(super) fn read(address: usize) {
    // SAFETY: within an initiator's buffer, which is mapped.
    let _ = unsafe { (address as *const u64).read_volatile() };
}

/// Executes the newest code of every initiator, on a core that was stale;
/// (expected, seen) if it is older.
pub fn check_newest(areas: &Areas, newest: u16, cpu: usize) -> Option<u16> {
    let area = areas.area(cpu)?;
    arch::isb();
    // SAFETY: the first line of an initiator's code always holds a function.
    let seen = unsafe { code::call_function(area.code) };
    (seen != newest).then_some(seen)
}
