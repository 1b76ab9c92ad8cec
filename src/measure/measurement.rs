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
    #[inline(always)]
    pub(super) fn is_over(&self, measured: usize, fewest: usize) -> bool {
        // What is enough is never longer than the longest.
        let end = match measured >= fewest {
            true => &self.enough,
            false => &self.longest,
        };
        measured > 0 && end.has_passed()
    }
}

/// Addresses one after the other; behind the last comes the first again.
#[derive(Clone, Copy)]
pub(super) struct Row {
    first: usize,
    step: usize,
    count: usize,
}

impl Row {
    #[inline(always)]
    pub(super) const fn at(&self, index: usize) -> usize {
        self.first + index % self.count * self.step
    }

    /// Does `each` with `count` of them from `index` on: what is beside each sample does
    /// not divide.
    #[inline(always)]
    fn for_each(&self, index: usize, count: usize, mut each: impl FnMut(usize)) {
        let end = self.first + self.count * self.step;
        let mut at = self.at(index);
        for _ in 0..count {
            each(at);
            at += self.step;
            if at == end {
                at = self.first;
            }
        }
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
        self.at_site(self.site(phase), address);
    }

    /// What the mark says in a phase; the same for all samples of a class.
    pub(super) fn site(&self, phase: Phase) -> u64 {
        Site::of(self.order.subject, phase).pack()
    }

    /// As [`Self::before`], for a site at hand.
    #[inline(always)]
    pub(super) fn at_site(&self, site: u64, address: usize) {
        self.core.mark.before_packed(site, address);
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

    /// The operands, one for each line or page.
    fn row(&self) -> Row {
        let (first, step) = match self.order.subject.operand() {
            Operand::Unmapped => (self.core.unmapped, 0),
            Operand::Page => ((self.area.data / PAGE) | self.page_size(), 1),
            Operand::Code => (self.area.code, self.areas.line()),
            Operand::Far | Operand::Device | Operand::Data | Operand::Nothing => {
                (self.area.data, self.areas.line())
            }
        };
        Row {
            first,
            step,
            count: self.lines(),
        }
    }

    /// The operand for line `index`.
    pub(super) fn operand(&self, index: usize) -> usize {
        self.row().at(index)
    }

    /// What else stands in the register of maintenance of a page: of a range, that pages
    /// are of 4 KiB (TG); the range is the shortest, of two pages.
    const fn page_size(&self) -> usize {
        match self.order.subject {
            Subject::TlbiRvae1is => 1 << 46,
            _ => 0,
        }
    }

    /// The operands of samples; `None` where each has one that no other had: see
    /// [`Self::far`].
    pub(super) fn row_of_samples(&self) -> Option<Row> {
        let row = self.row();
        match (self.order.subject, self.order.subject.operand()) {
            // The very lines that the storm prefetches.
            (Subject::Stxr, _) if self.order.state == StaleState::PrfmStorm => Some(Row {
                count: stuck::SCRATCH_SIZE / self.areas.line(),
                ..row
            }),
            (_, Operand::Far) | (Subject::IfetchCold, _) => None,
            (_, Operand::Device) => Some(Row {
                first: gic::identification().unwrap_or(self.area.data),
                step: 0,
                ..row
            }),
            _ => Some(row),
        }
    }

    /// The word of the next far line, which for a fetch is the first.
    #[inline(never)]
    pub(super) fn far(&self) -> usize {
        match self.order.subject {
            Subject::IfetchCold => executable(stuck::next_line()),
            // Behind what a fetch finds there.
            _ => stuck::next_line() + size_of::<u64>(),
        }
    }

    /// The operand of a sample.
    pub(super) fn operand_of_sample(&self, index: usize) -> usize {
        self.row_of_samples()
            .map_or_else(|| self.far(), |row| row.at(index))
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
        let row = Row {
            first: base,
            step: self.areas.line(),
            count: self.lines(),
        };
        let count = to - from;
        self.before(Phase::Prepare, row.at(from));
        match self.order.line {
            LineState::Cold => row.for_each(from, count, arch::dc_civac),
            LineState::DirtyHere => row.for_each(from, count, |line| self.own.dirty(line)),
            LineState::Shared => row.for_each(from, count, |line| self.own.read(line)),
            LineState::DirtyThere | LineState::ExecutedThere => {}
        }
        // Dirty lines are in the cache by then, and no longer in a store buffer.
        arch::dsb_sy();
        self.core.mark.after_between();
    }

    /// Waits for what samples before have posted: one operation by itself is the unit, and
    /// what is posted back to back is the sweep's. `site` is that of [`Phase::Drain`].
    #[inline(never)]
    pub(super) fn drain(&self, site: u64, address: usize) {
        self.at_site(site, address);
        arch::dsb_sy();
        self.core.mark.after_between();
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
