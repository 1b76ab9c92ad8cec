//! Routines: once step by step, so that a mark knows where, then timed, each
//! with a check of what it must have done; and the self-tests that are none.

#![expect(unsafe_code, reason = "buffers under test are raw memory")]

use stalecore_model::glossary::{LineState, Operand, Subject};
use stalecore_routines::{
    area::{Area, PAGE},
    code, kernel,
    run::run,
};

use super::{
    areas::{BUFFER_SIZE, dirty, read},
    measurement::{FEWEST, Measurement},
};
use crate::{
    cores::{
        job::Results,
        mark::{Phase, Site},
    },
    fabric,
    hal::{arch, clock},
    report::recorder,
    stuck,
};

/// How late the self-test is that must be found slow: far above any operation.
const SLOW_MICROSECONDS: u64 = 200;

impl Measurement<'_> {
    pub(super) fn routine(&self, results: &mut Results) {
        let subject = self.order.subject;
        // A line that stale cores touched is there once, so one call is timed.
        let once = self.order.line.needs_stale_core();
        let samples = if once { 1 } else { self.order.samples as usize };
        let mut area = *self.area;
        area.size = PAGE;
        let start = match subject.operand() {
            Operand::Data => area.data,
            _ => area.code,
        };
        self.watch(&kernel::leaves(subject));
        // With a fabric EL2 sees each instruction, and debug exceptions are
        // its own.
        if self.order.stepped && !once && !fabric::is_on() {
            self.prepare_area(&area);
            let expected = self.write_next(&area);
            self.before(Phase::Routine, start);
            let begun = arch::cntvct();
            let from = self.order.counter.now();
            arch::set_stepping(true);
            arch::debug_open();
            let returned = run(subject, &area);
            arch::set_stepping(false);
            arch::debug_mask();
            let ticks = self.order.counter.now().wrapping_sub(from);
            let took_us = clock::us_since(begun);
            self.core.mark.after();
            results.returned = returned;
            // Where both IDC and DIC are set nothing is left but a barrier for
            // stores.
            let site = self.core.mark.read().site;
            results.unseen = subject != Subject::FlushIcacheRangeIdcDic
                && site.is_none_or(|site| site.phase != Phase::Step);
            // A timed call has no mark inside, and what is as late as this is late
            // with the steps as well.
            if took_us > u64::from(self.order.deadline_ms) * 1000 / 2 && !self.order.cpu_off_hold {
                results.cut = true;
                if returned == 0 && !self.over() {
                    results.complete.add(ticks);
                    self.check(&area, expected, results);
                }
                return;
            }
        }
        if self.order.cpu_off_hold {
            stuck::release_cpu_off();
        }
        let time = self.time();
        for taken in 0..samples {
            if results.returned != 0 || self.over() {
                return;
            }
            if time.is_over(taken, FEWEST) {
                results.cut = true;
                return;
            }
            self.prepare_area(&area);
            let expected = self.write_next(&area);
            self.before(Phase::Routine, start);
            let from = self.order.counter.now();
            let returned = run(subject, &area);
            let ticks = self.order.counter.now().wrapping_sub(from);
            self.core.mark.after();
            results.returned = returned;
            if returned == 0 && !self.over() {
                results.complete.add(ticks);
                self.check(&area, expected, results);
            }
        }
    }

    fn prepare_area(&self, area: &Area) {
        self.before(Phase::Prepare, area.data);
        for at in (0..area.size).step_by(self.areas.line()) {
            match self.order.line {
                LineState::Cold => {
                    // SAFETY: within this initiator's own, mapped buffers.
                    unsafe { arch::dc_civac(area.data + at) }
                    // SAFETY: as above.
                    unsafe { arch::dc_civac(area.code_writable + at) }
                }
                LineState::DirtyHere => {
                    dirty(area.data + at);
                    dirty(area.code_writable + at);
                }
                LineState::Shared => {
                    read(area.data + at);
                    read(area.code_writable + at);
                }
                LineState::DirtyThere | LineState::ExecutedThere => {}
            }
        }
        arch::dsb_sy();
        self.core.mark.after();
    }

    /// Writes a new generation of code, for routines that make it visible.
    fn write_next(&self, area: &Area) -> Option<u16> {
        if !self.order.subject.makes_code_visible() {
            return None;
        }
        let generation = self.areas.next_generation();
        // SAFETY: the first line of this initiator's code, through its
        // writable view.
        unsafe { code::write_function(area.code_writable, generation) }
        Some(generation)
    }

    /// Executes the code just written; anything older is incoherent.
    fn check(&self, area: &Area, expected: Option<u16>, results: &mut Results) {
        let Some(expected) = expected else { return };
        let at = match self.order.subject {
            // A copy that was made before: what a flush without effect leaves.
            Subject::SelftestStale => area.code + BUFFER_SIZE / 2,
            _ => area.code,
        };
        self.before(Phase::Check, at);
        // SAFETY: `fill` or `write_next` put a function there.
        let seen = unsafe { code::call_function(at) };
        self.core.mark.after();
        if seen != expected {
            results.stale_code = Some((expected, seen));
        }
    }

    pub(super) fn hang(&self) {
        let site = Site {
            offset: kernel::hang_offset(),
            ..Site::of(Subject::SelftestHang, Phase::Step)
        };
        self.core.mark.begin();
        if self.order.cpu_off_hold {
            stuck::release_cpu_off();
        }
        self.core.mark.before(site, self.area.data);
        recorder::follow(self.core);
        run(Subject::SelftestHang, self.area);
        self.core.mark.after();
    }

    /// Is late if cores are stale, so that `slowed` can be proved anywhere.
    pub(super) fn slow(&self, results: &mut Results) {
        self.core.mark.begin();
        if self.order.cpu_off_hold {
            stuck::release_cpu_off();
        }
        for _ in 0..self.order.samples {
            self.before(Phase::Routine, self.area.data);
            let from = self.order.counter.now();
            if self.order.stale > 0 {
                let wait = clock::frequency() * SLOW_MICROSECONDS / 1_000_000;
                let start = arch::cntvct();
                while arch::cntvct().wrapping_sub(start) < wait {}
            }
            let ticks = self.order.counter.now().wrapping_sub(from);
            self.core.mark.after();
            results.complete.add(ticks);
        }
    }
}
