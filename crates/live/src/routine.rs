//! Routines, timed whole, each with a check of what it must have done; and the self-tests
//! that are none. No step is seen inside: EL0 cannot step itself.

use stalecore_model::{
    glossary::{Operand, Subject},
    mark::Phase,
    measured::Sample,
    rounds::Class,
};
use stalecore_routines::{area::PAGE, instructions, run::run, stuck};

use crate::{
    buffers::OLDER,
    initiator::{COUNTER, Measurement, Results},
    os,
};

/// How late the self-test is that must be found slow: far above any operation.
const SLOW_MICROSECONDS: u64 = 200;

impl Measurement<'_> {
    pub(crate) fn routine(&self, results: &mut Results) {
        let subject = self.order.subject;
        // A line that stale threads touched is there once, so one call is timed.
        let once = self.order.line.needs_stale_core();
        let samples = if once { 1 } else { self.order.samples as usize };
        let mut area = *self.area;
        area.size = PAGE;
        let start = match subject.operand() {
            Operand::Data => area.data,
            _ => area.code,
        };
        self.status.mark.begin();
        let is_over = self.deadline();
        let mut measured = 0;
        while measured < samples {
            if is_over(measured) {
                results.cut = true;
                return;
            }
            self.prepare_area();
            let expected = self.write_next(results);
            let switches = os::switches();
            self.before(Phase::Routine, start);
            let from = COUNTER.now();
            let returned = run(subject, &area);
            let ticks = COUNTER.now().wrapping_sub(from);
            self.after(Phase::Routine);
            results.returned = returned;
            if returned != 0 {
                return;
            }
            self.check(expected, results);
            results.taken += 1;
            if os::switches() == switches {
                results.complete.add(ticks);
                results.keep_longest(Sample {
                    ticks,
                    class: Class::Complete,
                    nth: results.complete.count() as u32,
                    operand: start as u64,
                });
                measured += 1;
            } else {
                results.dropped += 1;
                if once {
                    return;
                }
            }
        }
    }

    fn prepare_area(&self) {
        self.before(Phase::Prepare, self.area.data);
        if !self.order.line.needs_stale_core() {
            for at in (0..PAGE).step_by(self.order.size) {
                self.own.bring(self.area.data + at, self.order.line);
                self.own.bring(self.area.code + at, self.order.line);
            }
        }
        instructions::dsb_sy();
        self.after(Phase::Prepare);
    }

    /// Writes a new generation of code, for routines that make it visible.
    fn write_next(&self, results: &mut Results) -> Option<u16> {
        let subject = self.order.subject;
        if !subject.makes_code_visible() || self.is_wrong() && subject != Subject::SelftestStale {
            return None;
        }
        results.generation = results.generation.wrapping_add(1);
        let generation = results.generation;
        if subject == Subject::SelftestStale {
            self.own.write_function(OLDER, generation.wrapping_sub(1));
        }
        self.own.write_function(0, generation);
        Some(generation)
    }

    /// Does the routine not make code visible on this machine, as is meant?
    fn is_wrong(&self) -> bool {
        let ctr = instructions::ctr_el0();
        self.order.subject.hazard(ctr).is_some()
    }

    /// Executes the code just written; anything older is incoherent.
    fn check(&self, expected: Option<u16>, results: &mut Results) {
        let Some(expected) = expected else { return };
        let at = match self.order.subject {
            Subject::SelftestStale => OLDER,
            _ => 0,
        };
        self.before(Phase::Check, self.area.code + at);
        let seen = self.own.call(at);
        self.after(Phase::Check);
        if seen != expected {
            results.stale_code = Some((expected, seen));
        }
    }

    /// Stays where only a signal gets it out.
    pub(crate) fn hang(&self) {
        self.status.mark.begin();
        self.before(Phase::Routine, self.area.data);
        self.status
            .stay(stuck::stale_branch_self, self.status.scratch);
        self.after(Phase::Routine);
    }

    /// Is late if threads are stale, so that `slowed` can be proved anywhere.
    pub(crate) fn slow(&self, results: &mut Results) {
        self.status.mark.begin();
        let is_over = self.deadline();
        let mut measured = 0;
        while measured < self.order.samples as usize && !is_over(measured) {
            let switches = os::switches();
            self.before(Phase::Routine, self.area.data);
            let from = COUNTER.now();
            if self.order.stale > 0 {
                let wait = instructions::cntfrq_el0() * SLOW_MICROSECONDS / 1_000_000;
                let start = instructions::cntvct();
                while instructions::cntvct().wrapping_sub(start) < wait {}
            }
            let ticks = COUNTER.now().wrapping_sub(from);
            self.after(Phase::Routine);
            results.taken += 1;
            if os::switches() == switches {
                results.complete.add(ticks);
                measured += 1;
            } else {
                results.dropped += 1;
            }
        }
    }
}
