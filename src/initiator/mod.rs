//! What an initiator does for a case: prepares the lines, runs the timed
//! blocks or the routine, keeps the histogram, checks what it must find.
//! Interrupts are masked throughout; nothing is printed, locked or allocated.

#![expect(unsafe_code, reason = "buffers under test are raw memory")]

mod areas;
mod order;
mod routine;

use core::sync::atomic::Ordering;

use stalecore_model::{
    glossary::{LineState, Subject},
    histogram::Histogram,
    plan::ClassTime,
    record::Depth,
};

pub use areas::{AREAS, Areas, BUFFER_SIZE, check_newest, executable, fill, touch};
pub use order::{Job, Order, Results};

use crate::{
    arch,
    clock::{self, Deadline},
    core_local::Core,
    fabric,
    mark::{Phase, Site},
    probe::{self, Block, Counter, DEPTHS, Probe},
    recorder,
    routines::{Area, PAGE},
    stuck,
};
use areas::{dirty, read};

/// Lines that are prepared together.
const PASS: usize = 64;
/// Samples that are discarded at the beginning of each class.
const WARM_UP: usize = 4;
/// Repeats of each depth of the sweep; the median of them is kept.
const SWEEP_REPEATS: usize = 9;
/// Repeats of a depth, and samples of a class, that are taken unless not even
/// they can be had in time.
const FEWEST_REPEATS: usize = 3;
const FEWEST: usize = 16;

/// Runs the order of this core, noting what it does on its mark.
pub fn measure(core: &Core) {
    let (Some(areas), Some(order), Some(results)) =
        (AREAS.get(), core.job.get(), core.results.get())
    else {
        return;
    };
    let Some(area) = areas.area(core.index) else {
        return;
    };
    let mut results = results.lock();
    results.clear();
    core.take_fault();
    core.given_up.store(false, Ordering::Relaxed);
    let run = Measurement {
        core,
        areas,
        area,
        order,
    };
    match (order.subject, probe::of(order.subject)) {
        (Subject::SelftestHang, _) => run.hang(),
        (Subject::SelftestSlow, _) => run.slow(&mut results),
        (_, Some(probe)) => run.operation(probe, &mut results),
        (_, None) => run.routine(&mut results),
    }
    results.fault = core.take_fault();
}

/// The time of a class or of the sweep.
struct Time {
    enough: Deadline,
    longest: Deadline,
}

impl Time {
    /// Is it over, with so many measured, of which `fewest` are wanted?
    fn is_over(&self, measured: usize, fewest: usize) -> bool {
        measured > 0
            && (measured >= fewest && self.enough.has_passed() || self.longest.has_passed())
    }
}

struct Measurement<'a> {
    core: &'a Core,
    areas: &'a Areas,
    area: &'a Area,
    order: Order,
}

impl Measurement<'_> {
    fn before(&self, phase: Phase, address: usize) {
        self.core
            .mark
            .0
            .before(Site::of(self.order.subject, phase), address);
        recorder::follow(self.core);
    }

    /// Is the rest of the order to be left undone: an operation has faulted,
    /// or was given up?
    fn over(&self) -> bool {
        self.core.fault.0.taken.load(Ordering::Relaxed)
            || self.core.given_up.load(Ordering::Relaxed)
    }

    /// By when a class or the sweep, beginning now, is to be over.
    fn time(&self) -> Time {
        let mut time = ClassTime::of(self.order.samples);
        if self.order.patient {
            time = time.patient();
        }
        Time {
            enough: Deadline::after_ms(time.enough_ms),
            longest: Deadline::after_ms(time.longest_ms),
        }
    }

    fn now(&self) -> u64 {
        match self.order.counter {
            Counter::Pmccntr => arch::pmccntr(),
            Counter::Cntvct => arch::cntvct(),
        }
    }

    /// Does the operation work on code rather than on data?
    const fn on_code(&self) -> bool {
        matches!(
            self.order.subject,
            Subject::IcIvau | Subject::DcCvau | Subject::DsbIsh | Subject::DsbSy
        )
    }

    /// How many different lines or pages there are to operate on.
    const fn lines(&self) -> usize {
        match self.order.subject {
            Subject::TlbiVaae1is => BUFFER_SIZE / PAGE,
            _ => BUFFER_SIZE / self.areas.line(),
        }
    }

    /// The operand for line `index`.
    const fn operand(&self, index: usize) -> usize {
        let index = index % self.lines();
        match self.order.subject {
            Subject::SelftestFault => self.core.unmapped,
            // The operand is a page number.
            Subject::TlbiVaae1is => self.area.data / PAGE + index,
            _ if self.on_code() => self.area.code + index * self.areas.line(),
            _ => self.area.data + index * self.areas.line(),
        }
    }

    /// Brings lines `[from, to)` into the line state, as far as the initiator
    /// can: what stale cores do was done before they got stuck.
    fn prepare(&self, from: usize, to: usize) {
        if !self.order.subject.takes_line() || self.order.subject == Subject::TlbiVaae1is {
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
            LineState::Cold => {
                for line in lines {
                    // SAFETY: within this initiator's own, mapped buffer.
                    unsafe { arch::dc_civac(line) }
                }
                arch::dsb_sy();
            }
            LineState::DirtyHere => lines.for_each(dirty),
            LineState::Shared => lines.for_each(read),
            LineState::DirtyThere | LineState::ExecutedThere => {}
        }
        self.core.mark.0.after();
    }

    fn operation(&self, probe: &Probe, results: &mut Results) {
        let counter = self.order.counter as usize;
        let half = self.lines() / 2;
        // A line that a stale core touched is in that state once: each class
        // has its own half of them.
        let limit = if self.order.line.needs_stale_core() {
            half
        } else {
            usize::MAX
        };
        let samples = (self.order.samples as usize).min(limit);
        if self.order.gate {
            stuck::open_gate();
        }
        let batched = probe.depth.as_ref().filter(|_| self.order.batch > 1);
        let depth_16 = batched.map(|depth| depth[counter][4] as usize);
        self.watch(&[depth_16.unwrap_or(probe.issue[counter] as usize)]);
        results.cut |=
            self.class(
                Phase::Issue,
                samples,
                0,
                &mut results.issue,
                |operand| match batched {
                    Some(depth) => depth[counter][4](operand, self.stride()).0,
                    None => (probe.issue[counter])(operand),
                },
            );
        if let Some(complete) = &probe.complete {
            let complete: Block = complete[counter];
            self.watch(&[depth_16.unwrap_or(complete as usize)]);
            results.cut |= self.class(
                Phase::Complete,
                samples,
                half,
                &mut results.complete,
                |operand| match batched {
                    Some(depth) => {
                        let (issue, barrier) = depth[counter][4](operand, self.stride());
                        issue + barrier
                    }
                    None => complete(operand),
                },
            );
        }
        if self.order.sweep && !self.over() {
            self.sweep(probe, results);
        }
    }

    const fn stride(&self) -> usize {
        match self.order.subject {
            Subject::TlbiVaae1is => 1,
            _ => self.areas.line(),
        }
    }

    /// A class begins: counts what returns from here, and lets EL2 see the
    /// barriers of what is about to run, if there is a fabric.
    fn watch(&self, functions: &[usize]) {
        self.core.mark.0.begin();
        fabric::watch_barriers(functions.iter().copied());
    }

    /// One class of samples, on lines from `first` on. Was it cut short?
    fn class(
        &self,
        phase: Phase,
        samples: usize,
        first: usize,
        histogram: &mut Histogram,
        block: impl Fn(usize) -> u64,
    ) -> bool {
        let time = self.time();
        // A batch takes as many lines; leave room for them behind the last.
        let room = self.order.batch as usize;
        let warm_up = if self.order.line.needs_stale_core() {
            0
        } else {
            WARM_UP
        };
        let mut taken = 0;
        let mut measured = 0;
        while taken < warm_up + samples && !self.over() {
            let pass = (warm_up + samples - taken).min(PASS).min(self.lines() / 2);
            self.prepare(first, first + pass + room);
            for index in 0..pass {
                let at = if self.order.line.needs_stale_core() {
                    first + taken + index
                } else {
                    first + index
                };
                if time.is_over(measured, FEWEST) {
                    return true;
                }
                let operand = self.operand(at);
                self.before(phase, operand);
                let ticks = block(operand);
                self.core.mark.0.after();
                if self.over() {
                    return false;
                }
                if taken + index >= warm_up || time.longest.has_passed() {
                    histogram.add(ticks);
                    measured += 1;
                }
            }
            taken += pass;
        }
        false
    }

    fn sweep(&self, probe: &Probe, results: &mut Results) {
        let Some(depths) = &probe.depth else { return };
        let time = self.time();
        let mut depth_us = 0;
        for (nth, depth) in DEPTHS.iter().enumerate() {
            let block = depths[self.order.counter as usize][nth];
            // There is no mark between one operation and the next: what is as
            // late as this would be taken for blocked at twice the depth, or soon.
            let late = depth_us / 1000 > u64::from(self.order.deadline_ms) / 4;
            if nth > 0 && (late || time.enough.has_passed()) {
                results.cut = true;
                return;
            }
            depth_us = u64::MAX;
            self.watch(&[block as usize]);
            // TLBI by address runs over page numbers, of which any are fine.
            let mut issue = [0; SWEEP_REPEATS];
            let mut barrier = [0; SWEEP_REPEATS];
            let mut taken = 0;
            for repeat in 0..SWEEP_REPEATS {
                if time.is_over(repeat, FEWEST_REPEATS) {
                    results.cut = true;
                    break;
                }
                self.prepare(0, *depth as usize);
                let operand = self.operand(0);
                self.before(Phase::Depth, operand);
                let from = arch::cntvct();
                let ticks = block(operand, self.stride());
                depth_us = depth_us.min(clock::us_since(from));
                self.core.mark.0.after();
                (issue[repeat], barrier[repeat]) = ticks;
                taken += 1;
            }
            if taken < FEWEST_REPEATS {
                return;
            }
            let median = |ticks: &mut [u64]| {
                ticks.sort_unstable();
                ticks[ticks.len() / 2]
            };
            results.sweep[nth] = Depth {
                depth: *depth,
                issue: median(&mut issue[..taken]),
                barrier: median(&mut barrier[..taken]),
            };
            results.depths = nth + 1;
        }
    }
}
