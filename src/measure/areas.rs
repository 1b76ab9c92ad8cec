//! The initiators' buffers, and what stale cores do to them before they get stuck.

use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use spin::Once;
use stalecore_model::glossary::LineState;
use stalecore_routines::kernel;

use super::buffers::{AREA_SIZE, BUFFER_SIZE, Buffers};
use crate::hal::arch;

/// Where in the code the older copy is that `selftest-stale` executes.
pub(super) const OLDER: usize = BUFFER_SIZE / 2;

/// The initiators' buffers, by CPU number, and the machine's line sizes.
pub struct Areas {
    /// CPU and its buffers.
    pub of: alloc::vec::Vec<(usize, Buffers)>,
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
        of: alloc::vec::Vec<(usize, Buffers)>,
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
        let starts = self.of.iter().map(|(_, own)| own.area.data as u64);
        starts.clone().min().unwrap_or(0)..starts.max().map_or(0, |last| last + AREA_SIZE as u64)
    }

    /// Begins the next generation of code.
    pub(super) fn next_generation(&self) -> u16 {
        let last = self.generation.fetch_add(1, Ordering::AcqRel);
        last.wrapping_add(1) as u16
    }

    /// The buffers of a core, if it is an initiator.
    pub fn buffers(&self, cpu: usize) -> Option<&Buffers> {
        let mut all = self.of.iter();
        all.find(|(of, _)| *of == cpu).map(|(_, own)| own)
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

/// Makes visible what this initiator has written and operations that are wrong on
/// purpose have not. Only while every core answers: it broadcasts.
pub fn mend(cpu: usize) {
    let Some(areas) = AREAS.get() else { return };
    let Some(own) = areas.buffers(cpu) else {
        return;
    };
    if areas.unseen.load(Ordering::Relaxed) {
        for at in [own.area.code, own.area.code + OLDER] {
            kernel::caches_clean_inval_pou(at, at + areas.line());
        }
    }
}

/// Touches every initiator's lines as the line state asks, on a core that is
/// about to get stuck.
pub fn touch(line: LineState, nth: usize, of: usize) {
    let Some(areas) = AREAS.get() else { return };
    for (_, own) in &areas.of {
        for (index, at) in (0..BUFFER_SIZE).step_by(areas.line()).enumerate() {
            match line {
                // Of two cores each has its own lines.
                LineState::DirtyThere if index % of.max(1) == nth => {
                    own.dirty(own.area.data + at);
                    own.dirty(own.area.code_writable + at);
                }
                LineState::Shared => {
                    own.read(own.area.data + at);
                    own.read(own.area.code_writable + at);
                }
                LineState::ExecutedThere => {
                    own.call(at);
                }
                _ => {}
            }
        }
    }
}

/// Executes the newest code of an initiator, on a core that was stale; what it saw,
/// if that is older.
pub fn check_newest(areas: &Areas, newest: u16, cpu: usize) -> Option<u16> {
    let own = areas.buffers(cpu)?;
    arch::isb();
    let seen = own.call(0);
    (seen != newest).then_some(seen)
}
