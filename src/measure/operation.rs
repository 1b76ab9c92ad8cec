//! One instruction, timed: by class, and back to back in the depth sweep.

use stalecore_model::{
    glossary::Operand,
    order,
    record::{DEPTHS, Depth},
    rounds::Class,
};
use stalecore_routines::probe::{Block, Probe};

use super::measurement::Measurement;
use crate::{
    cores::{job::Results, mark::Phase, sleep},
    hal::{arch, clock},
    stuck,
};

/// Lines that are prepared together.
const PASS: usize = 64;
/// Samples that are discarded at the beginning of each class, and of each round's.
const WARM_UP: usize = 4;
const WARM_UP_OF_ROUND: usize = 2;
/// Samples between two looks at whether a state that passes has passed.
const WHILE_IT_LASTS: usize = 16;
/// Depths beyond this one are left out without a word where there is no time for them.
const DEEP_ENOUGH: u32 = 64;
/// Repeats of each depth of the sweep; the median of them is kept.
const SWEEP_REPEATS: usize = 9;
/// Repeats of a depth that are taken unless not even they can be had in time.
const FEWEST_REPEATS: usize = 3;

impl Measurement<'_> {
    pub(super) fn operation(&self, probe: &Probe, results: &mut Results) {
        let counter = self.order.counter as usize;
        let half = self.lines() / 2;
        // A line that a stale core touched is in that state once: each class
        // has its own half of them.
        let limit = if self.order.line.needs_stale_core() {
            half / self.order.batch as usize
        } else {
            usize::MAX
        };
        let samples = (self.order.samples as usize).min(limit).min(self.most());
        if self.order.cpu_off_hold {
            stuck::go_off();
            results.missed = stuck::have_passed();
        }
        let batched = probe.depth.as_ref().filter(|_| self.order.batch > 1);
        let in_batches = batched.map(|depth| depth[counter] as usize);
        if self.order.only != Some(Class::Complete) {
            self.watch(&[in_batches.unwrap_or(probe.issue[counter] as usize)]);
            self.class(Class::Issue, samples, 0, results, |operand| match batched {
                Some(depth) => depth[counter](operand, self.stride(), self.order.batch).0,
                None => (probe.issue[counter])(operand),
            });
        }
        if let Some(complete) = &probe.complete
            && self.order.only != Some(Class::Issue)
        {
            let complete: Block = complete[counter];
            self.watch(&[in_batches.unwrap_or(complete as usize)]);
            self.class(
                Class::Complete,
                samples,
                half,
                results,
                |operand| match batched {
                    Some(depth) => {
                        let (issue, barrier) =
                            depth[counter](operand, self.stride(), self.order.batch);
                        issue + barrier
                    }
                    None => complete(operand),
                },
            );
        }
        if let Some(complete) = &probe.complete
            && !self.over()
        {
            self.look_behind(complete[counter], results);
        }
        if self.order.sweep && !self.over() {
            self.sweep(probe, results);
        }
        if self.order.cpu_off_hold {
            // Those that are left where there were fewer samples than cores.
            stuck::begin();
        }
    }

    /// One operation alone, after this core has done nothing for a while: its line is
    /// prepared before that.
    pub(super) fn after_dwell(&self, probe: &Probe, ms: u32, results: &mut Results) {
        let start = clock::now();
        let nth = self.lines() - 1 - self.order.samples as usize % self.lines();
        let blocks = probe.complete.as_ref().unwrap_or(&probe.issue);
        let block: Block = blocks[self.order.counter as usize];
        self.watch(&[block as usize]);
        self.prepare(nth, nth + 1);
        let operand = self.operand_of_sample(nth);
        sleep::until(self.core, start, ms.into());
        self.before(Phase::Dwell, operand);
        let ticks = block(operand);
        self.core.mark.after();
        if !self.over() {
            results.complete.add(ticks);
        }
    }

    const fn stride(&self) -> usize {
        match self.order.subject.operand() {
            Operand::Page => 1,
            _ => self.areas.line(),
        }
    }

    /// One class of samples, on lines from `first` on.
    fn class(
        &self,
        class: Class,
        samples: usize,
        first: usize,
        results: &mut Results,
        block: impl Fn(usize) -> u64,
    ) {
        let phase = match class {
            Class::Issue => Phase::Issue,
            Class::Complete => Phase::Complete,
        };
        let time = self.time();
        // A batch takes as many lines, none of which one before has had.
        let batch = self.order.batch as usize;
        let most = (self.lines() / 2 / batch).clamp(1, PASS);
        let warm_up = match self.order.parts {
            _ if self.order.line.needs_stale_core() => 0,
            0 | 1 => WARM_UP,
            _ => WARM_UP_OF_ROUND,
        };
        // What is the same for all samples is not found out beside each.
        let [drain, site] = [Phase::Drain, phase].map(|phase| self.site(phase));
        let row = self.row_of_samples();
        let fewest = self.fewest();
        let once = self.order.line.needs_stale_core();
        let mut taken = 0;
        let mut measured = 0;
        let mut wanted = warm_up + samples;
        while !self.over() {
            if taken == wanted {
                // What passes is measured until it has passed.
                let lasts = class != Class::Issue && self.order.cpu_off_hold;
                if !lasts || time.enough.has_passed() || stuck::have_passed() {
                    return;
                }
                wanted += WHILE_IT_LASTS;
            }
            let pass = (wanted - taken).min(most);
            self.prepare(first, first + pass * batch);
            let begin = if once { first + taken * batch } else { first };
            for index in 0..pass {
                let at = begin + index * batch;
                if time.is_over(measured, fewest) {
                    results.cut |= measured < samples;
                    return;
                }
                let operand = match &row {
                    Some(row) => row.at(at),
                    None => self.far(),
                };
                if self.order.cpu_off_hold {
                    stuck::start_next();
                }
                self.drain(drain, operand);
                self.at_site(site, operand);
                let ticks = block(operand);
                self.core.mark.after();
                if self.over() {
                    return;
                }
                if taken + index >= warm_up || time.longest.has_passed() {
                    results.add(class, ticks, operand);
                    measured += 1;
                }
            }
            taken += pass;
        }
    }

    fn sweep(&self, probe: &Probe, results: &mut Results) {
        let Some(depths) = &probe.depth else { return };
        let time = self.time_of_sweep();
        let mut depth_us = 0;
        let block = depths[self.order.counter as usize];
        for (nth, depth) in DEPTHS.iter().enumerate() {
            // There is no mark between one operation and the next: what is as
            // late as this would be taken for blocked at twice the depth, or soon.
            let late = depth_us / 1000 > u64::from(self.order.deadline_ms) / 4;
            if nth > 0 && (late || time.enough.has_passed()) {
                // The deepest are for machines that are fast enough.
                results.cut |= *depth <= DEEP_ENOUGH;
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
                    results.cut |= *depth <= DEEP_ENOUGH;
                    break;
                }
                self.prepare(0, *depth as usize);
                let operand = self.operand(0);
                self.before(Phase::Depth, operand);
                let from = arch::cntvct();
                let ticks = block(operand, self.stride(), *depth);
                depth_us = depth_us.min(clock::us_since(from));
                self.core.mark.after();
                (issue[repeat], barrier[repeat]) = ticks;
                taken += 1;
            }
            if taken < FEWEST_REPEATS {
                return;
            }
            let median = |ticks: &mut [u64]| {
                order::sort(ticks);
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
