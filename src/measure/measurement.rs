//! A measurement under way: what it works on, its mark, its time.

use core::sync::atomic::Ordering;

use stalecore_model::{
    glossary::{LineState, Operand, StaleState, Subject},
    maintenance::MessageClass,
    plan::ClassTime,
};
use stalecore_routines::area::{Area, PAGE};

use super::{
    areas::Areas,
    buffers::{BUFFER_SIZE, Buffers},
};
use crate::{
    cores::{
        job::Order,
        mark::{Phase, Site},
        percpu::Core,
    },
    fabric,
    hal::{arch, clock::Deadline, gic, memory::executable},
    report::recorder,
    stuck,
};

/// Samples of a class that are taken unless not even they can be had in time.
const FEWEST: usize = 16;

/// Samples of what is no maintenance: enough to see that it returns, and when.
const CONTROLS: usize = 8;

/// The time of a class or of the sweep.
pub(super) struct Time {
    pub(super) enough: Deadline,
    pub(super) longest: Deadline,
}

impl Time {
    /// Is it over, with so many measured, of which `fewest` are wanted?
    pub(super) fn is_over(&self, measured: usize, fewest: usize) -> bool {
        // What is enough is never longer than the longest.
        let end = match measured >= fewest {
            true => &self.enough,
            false => &self.longest,
        };
        measured > 0 && end.has_passed()
    }
}

/// An order being carried out on this core.
pub(super) struct Measurement<'a> {
    pub(super) core: &'a Core,
    pub(super) areas: &'a Areas,
    pub(super) own: &'a Buffers,
    pub(super) area: &'a Area,
    pub(super) order: Order,
}

impl Measurement<'_> {
    pub(super) fn before(&self, phase: Phase, address: usize) {
        self.core
            .mark
            .before(Site::of(self.order.subject, phase), address);
        recorder::follow(self.core);
    }

    /// Is the rest of the order to be left undone: an operation has faulted,
    /// or was made to complete?
    pub(super) fn over(&self) -> bool {
        self.core.fault.taken.load(Ordering::Relaxed)
            || self.core.force_complete.load(Ordering::Relaxed)
    }

    /// By when a class, beginning now, is to be over.
    pub(super) fn time(&self) -> Time {
        self.time_in(self.order.parts.max(1))
    }

    /// By when the sweep, which is made once, is to be over.
    pub(super) fn time_of_sweep(&self) -> Time {
        self.time_in(1)
    }

    fn time_in(&self, parts: u32) -> Time {
        let mut time = ClassTime::of(self.order.samples.saturating_mul(self.order.parts.max(1)));
        if self.order.patient {
            time = time.patient();
        }
        Time {
            enough: Deadline::after_ms(time.enough_ms / u64::from(parts)),
            longest: Deadline::after_ms(time.longest_ms / u64::from(parts)),
        }
    }

    /// Samples that are taken unless not even they can be had in time.
    pub(super) fn fewest(&self) -> usize {
        FEWEST.div_ceil(self.order.parts.max(1) as usize)
    }

    /// Does the operation work on code rather than on data?
    pub(super) const fn on_code(&self) -> bool {
        matches!(self.order.subject.operand(), Operand::Code)
    }

    /// How many different lines or pages there are to operate on.
    pub(super) const fn lines(&self) -> usize {
        match self.order.subject.operand() {
            Operand::Page => BUFFER_SIZE / PAGE,
            _ => BUFFER_SIZE / self.areas.line(),
        }
    }

    /// The operand for line `index`.
    pub(super) const fn operand(&self, index: usize) -> usize {
        let index = index % self.lines();
        match self.order.subject.operand() {
            Operand::Unmapped => self.core.unmapped,
            Operand::Page => (self.area.data / PAGE + index) | self.page_size(),
            Operand::Code => self.area.code + index * self.areas.line(),
            Operand::Far | Operand::Device | Operand::Data | Operand::Nothing => {
                self.area.data + index * self.areas.line()
            }
        }
    }

    /// What else stands in the register of maintenance of a page: of a range, that pages
    /// are of 4 KiB (TG); the range is the shortest, of two pages.
    const fn page_size(&self) -> usize {
        match self.order.subject {
            Subject::TlbiRvae1is => 1 << 46,
            _ => 0,
        }
    }

    /// The same, where each sample has its own: the word of a far line, which for a
    /// fetch is the first, or a device's register.
    pub(super) fn operand_of_sample(&self, index: usize) -> usize {
        match self.order.subject {
            Subject::IfetchCold => executable(stuck::next_line()),
            // The very lines that the storm prefetches.
            Subject::Stxr if self.order.state == StaleState::PrfmStorm => {
                self.area.data + index * self.areas.line() % stuck::SCRATCH_SIZE
            }
            subject => match subject.operand() {
                // Behind what a fetch finds there.
                Operand::Far => stuck::next_line() + size_of::<u64>(),
                Operand::Device => gic::identification().unwrap_or(self.area.data),
                _ => self.operand(index),
            },
        }
    }

    /// The most samples of a class: of what is no maintenance a few are enough.
    pub(super) fn most(&self) -> usize {
        if self.order.subject.is_no_maintenance() {
            CONTROLS
        } else {
            usize::MAX
        }
    }

    /// Brings lines `[from, to)` into the line state, as far as the initiator
    /// can: what stale cores do was done before they got stuck.
    pub(super) fn prepare(&self, from: usize, to: usize) {
        let operand = self.order.subject.operand();
        if matches!(
            operand,
            Operand::Nothing | Operand::Page | Operand::Far | Operand::Device
        ) {
            return;
        }
        let base = if self.on_code() {
            self.area.code_writable
        } else {
            self.area.data
        };
        let lines = (from..to).map(|i| base + (i % self.lines()) * self.areas.line());
        self.before(
            Phase::Prepare,
            base + (from % self.lines()) * self.areas.line(),
        );
        match self.order.line {
            LineState::Cold => lines.for_each(arch::dc_civac),
            LineState::DirtyHere => lines.for_each(|line| self.own.dirty(line)),
            LineState::Shared => lines.for_each(|line| self.own.read(line)),
            LineState::DirtyThere | LineState::ExecutedThere => {}
        }
        // Dirty lines are in the cache by then, and no longer in a store buffer.
        arch::dsb_sy();
        self.core.mark.after();
    }

    /// Waits for what samples before have posted: one operation by itself is the unit, and
    /// what is posted back to back is the sweep's.
    pub(super) fn drain(&self, address: usize) {
        self.before(Phase::Drain, address);
        arch::dsb_sy();
        self.core.mark.after();
    }

    /// A class begins: counts what returns from here, and lets EL2 see the
    /// barriers of what is about to run, if there is a fabric.
    pub(super) fn watch(&self, functions: &[usize]) {
        self.core.mark.begin();
        if self.order.subject.sends() == Some(MessageClass::Access) {
            fabric::watch_accesses(functions.iter().copied());
        } else {
            fabric::watch_barriers(functions.iter().copied());
        }
    }
}
