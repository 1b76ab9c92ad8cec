//! Routines: once step by step, so that a mark knows where, then timed, each
//! with a check of what it must have done; and the self-tests that are none.

use core::sync::atomic::Ordering;

use stalecore_model::{
    glossary::{LineState, Operand, Subject},
    rounds::Class,
};
use stalecore_routines::{
    area::{Area, PAGE},
    kernel,
    run::run,
};

use super::{areas::OLDER, measurement::Measurement};
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
            let expected = self.write_next();
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
                    results.add(Class::Complete, ticks, start);
                    self.check(expected, results);
                }
                return;
            }
        }
        if self.order.cpu_off_hold {
            stuck::begin();
        }
        let time = self.time();
        for taken in 0..samples {
            if results.returned != 0 || self.over() {
                return;
            }
            if time.is_over(taken, self.fewest()) {
                results.cut = true;
                return;
            }
            self.prepare_area(&area);
            let expected = self.write_next();
            self.before(Phase::Routine, start);
            let from = self.order.counter.now();
            let returned = run(subject, &area);
            let ticks = self.order.counter.now().wrapping_sub(from);
            self.core.mark.after();
            results.returned = returned;
            if returned == 0 && !self.over() {
                results.add(Class::Complete, ticks, start);
                self.check(expected, results);
            }
        }
    }

    fn prepare_area(&self, area: &Area) {
        self.before(Phase::Prepare, area.data);
        for at in (0..area.size).step_by(self.areas.line()) {
            match self.order.line {
                LineState::Cold => {
                    arch::dc_civac(area.data + at);
                    arch::dc_civac(area.code_writable + at);
                }
                LineState::DirtyHere => {
                    self.own.dirty(area.data + at);
                    self.own.dirty(area.code_writable + at);
                }
                LineState::Shared => {
                    self.own.read(area.data + at);
                    self.own.read(area.code_writable + at);
                }
                LineState::DirtyThere | LineState::ExecutedThere => {}
            }
        }
        arch::dsb_sy();
        self.core.mark.after_between();
    }

    /// Writes a new generation of code, for routines that make it visible, and for
    /// those that would elsewhere: so that a checker sees that they do not here.
    fn write_next(&self) -> Option<u16> {
        let subject = self.order.subject;
        if !subject.makes_code_visible() {
            return None;
        }
        let generation = self.areas.next_generation();
        let older = subject == Subject::SelftestStale;
        if older || self.is_wrong() {
            self.areas.unseen.store(true, Ordering::Relaxed);
        }
        if older {
            self.own.write_unseen(OLDER, generation.wrapping_sub(1));
        }
        if self.is_wrong() && !older {
            self.own.write_unseen(0, generation);
        } else {
            self.own.write_function(0, generation);
        }
        Some(generation)
    }

    /// Does the routine not make code visible on this machine, as is meant?
    fn is_wrong(&self) -> bool {
        self.order.subject.hazard(arch::ctr_el0()).is_some()
    }

    /// Executes the code just written; anything older is incoherent, but where the
    /// routine is one for other machines. A core may then fetch either: both are whole
    /// functions.
    fn check(&self, expected: Option<u16>, results: &mut Results) {
        let Some(expected) = expected else { return };
        let older = self.order.subject == Subject::SelftestStale;
        let at = match older {
            // What a flush without effect leaves.
            true => OLDER,
            false => 0,
        };
        self.before(Phase::Check, self.area.code + at);
        let seen = self.own.call(at);
        self.core.mark.after();
        if seen != expected && (older || !self.is_wrong()) {
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
            stuck::begin();
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
            stuck::begin();
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
            results.add(Class::Complete, ticks, self.area.data);
        }
    }
}
