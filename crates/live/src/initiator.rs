//! What an initiator does for a case: prepares the lines, runs the timed blocks, keeps
//! the histogram. Nothing is printed, locked or allocated meanwhile. What was measured
//! while the thread was taken off its CPU is dropped and counted.

use std::time::{Duration, Instant};

use stalecore_model::{
    glossary::{LineState, Operand, Subject},
    histogram::Histogram,
    mark::{Phase, Site},
    measured::Sample,
    plan::ClassTime,
    record::{DEPTHS, Depth},
    rounds::Class,
};
use stalecore_routines::{
    area::Area,
    counter::Counter,
    instructions,
    probe::{self, Probe},
};

use crate::{
    buffers::{BUFFER_SIZE, Buffers},
    os,
    status::Status,
};

/// What times here.
pub const COUNTER: Counter = Counter::Cntvct;
/// Samples of a class that are taken unless not even they can be had in time.
const FEWEST: usize = 16;
/// Lines that are prepared, and samples that are taken, together.
const PASS: usize = 64;
/// Samples that are discarded at the beginning of each round's class.
const WARM_UP: usize = 2;
/// Repeats of each depth of the sweep; the median of them is kept.
const SWEEP_REPEATS: usize = 9;
const FEWEST_REPEATS: usize = 3;
/// Depths beyond this one are left out without a word where there is no time for them.
const DEEP_ENOUGH: u32 = 64;

/// One thing to measure.
#[derive(Clone, Copy)]
pub struct Order {
    /// What runs.
    pub subject: Subject,
    /// What the caches hold.
    pub line: LineState,
    /// Bytes of a line.
    pub size: usize,
    /// Samples per class.
    pub samples: u32,
    /// In how many parts a case takes its samples, of which these are one.
    pub parts: u32,
    /// The one class that is wanted, if not all are.
    pub only: Option<Class>,
    /// Operations per timed block.
    pub batch: u32,
    /// Run the depth sweep.
    pub sweep: bool,
    /// How many threads are stale, for the self-test that is late if any are.
    pub stale: usize,
    /// The deadline of one operation.
    pub deadline_ms: u32,
    /// The generation of the code that is written next.
    pub generation: u16,
}

/// What came of an order.
#[derive(Default)]
pub struct Results {
    /// Issue class.
    pub issue: Histogram,
    /// Complete class.
    pub complete: Histogram,
    /// The longest sample of both, and when its pass had ended.
    pub longest: Option<(Sample, Instant)>,
    /// The depth sweep.
    pub sweep: Vec<Depth>,
    /// The time for some of it was over before all was done.
    pub cut: bool,
    /// What a routine returned, if not 0.
    pub returned: i64,
    /// The functional check: what the code had to return, and what it did.
    pub stale_code: Option<(u16, u16)>,
    /// The generation of the code that was written last.
    pub generation: u16,
    /// Samples that were dropped, as the thread did not run all the time.
    pub dropped: u64,
    /// Those that were taken, the dropped ones among them.
    pub taken: u64,
}

impl Results {
    /// Keeps a sample that is the longest so far.
    pub(crate) fn keep_longest(&mut self, sample: Sample) {
        if self
            .longest
            .is_none_or(|(longest, _)| longest.ticks < sample.ticks)
        {
            self.longest = Some((sample, Instant::now()));
        }
    }
}

/// The time of a class or of the sweep.
struct Time {
    begun: Instant,
    enough: Duration,
    longest: Duration,
}

impl Time {
    /// Is it over, with so many measured, of which `fewest` are wanted?
    fn is_over(&self, measured: usize, fewest: usize) -> bool {
        let passed = self.begun.elapsed();
        measured >= fewest.max(1) && passed >= self.enough || passed >= self.longest
    }
}

/// An order being carried out.
pub struct Measurement<'a> {
    pub(crate) status: &'a Status,
    pub(crate) own: &'a Buffers,
    pub(crate) area: &'a Area,
    pub(crate) order: &'a Order,
}

/// Carries out an order on this thread.
pub fn run(status: &Status, buffers: &[(usize, Buffers)], order: &Order) -> Results {
    let mut results = Results {
        generation: order.generation,
        ..Results::default()
    };
    let Some((_, own)) = buffers.iter().find(|(cpu, _)| *cpu == status.cpu) else {
        return results;
    };
    let run = Measurement {
        status,
        own,
        area: &own.area,
        order,
    };
    match (order.subject, probe::of(order.subject)) {
        (Subject::SelftestHang, _) => run.hang(),
        (Subject::SelftestSlow, _) => run.slow(&mut results),
        (_, Some(probe)) => run.operation(probe, &mut results),
        (_, None) => run.routine(&mut results),
    }
    results
}

impl Measurement<'_> {
    pub(crate) fn before(&self, phase: Phase, address: usize) {
        self.status
            .mark
            .before(Site::of(self.order.subject, phase), address);
    }

    pub(crate) fn after(&self, phase: Phase) {
        self.status.mark.after(phase);
    }

    fn time(&self, parts: u32) -> Time {
        let time = ClassTime::of(self.order.samples.saturating_mul(parts));
        Time {
            begun: Instant::now(),
            enough: Duration::from_millis(time.enough_ms / u64::from(parts)),
            longest: Duration::from_millis(time.longest_ms / u64::from(parts)),
        }
    }

    /// Are the samples of a routine or class, of which so many have been measured, to
    /// end here?
    pub(crate) fn deadline(&self) -> impl Fn(usize) -> bool {
        let time = self.time(self.order.parts.max(1));
        let fewest = FEWEST.div_ceil(self.order.parts.max(1) as usize);
        move |measured| time.is_over(measured, fewest)
    }

    const fn lines(&self) -> usize {
        BUFFER_SIZE / self.order.size
    }

    const fn operand(&self, index: usize) -> usize {
        let at = index % self.lines() * self.order.size;
        match self.order.subject.operand() {
            Operand::Code => self.area.code + at,
            _ => self.area.data + at,
        }
    }

    /// Brings lines `[from, to)` into the line state, as far as the initiator can: what
    /// stale threads do was done before they got stuck.
    fn prepare(&self, from: usize, to: usize) {
        if !self.order.subject.takes_line() {
            return;
        }
        self.before(Phase::Prepare, self.operand(from));
        if !self.order.line.needs_stale_core() {
            (from..to).for_each(|line| self.own.bring(self.operand(line), self.order.line));
        }
        // Dirty lines are in the cache by then, and no longer in a store buffer.
        instructions::dsb_sy();
        self.after(Phase::Prepare);
    }

    /// Waits for what samples before have posted.
    fn drain(&self, address: usize) {
        self.before(Phase::Drain, address);
        instructions::dsb_sy();
        self.after(Phase::Drain);
    }

    fn operation(&self, probe: &Probe, results: &mut Results) {
        let counter = COUNTER as usize;
        let half = self.lines() / 2;
        let batched = probe.depth.as_ref().filter(|_| self.order.batch > 1);
        let (size, batch) = (self.order.size, self.order.batch);
        if self.order.only != Some(Class::Complete) {
            let block = |operand| match batched {
                Some(depth) => depth[counter](operand, size, batch).0,
                None => (probe.issue[counter])(operand),
            };
            let issue = self.class(Class::Issue, 0, results, block);
            results.issue = issue;
        }
        if let Some(complete) = &probe.complete
            && self.order.only != Some(Class::Issue)
        {
            let block = |operand| match batched {
                Some(depth) => {
                    let (issue, barrier) = depth[counter](operand, size, batch);
                    issue + barrier
                }
                None => (complete[counter])(operand),
            };
            let complete = self.class(Class::Complete, half, results, block);
            results.complete = complete;
        }
        if self.order.sweep {
            self.sweep(probe, results);
        }
    }

    /// One class of samples, on lines from `first` on.
    fn class(
        &self,
        class: Class,
        first: usize,
        results: &mut Results,
        block: impl Fn(usize) -> u64,
    ) -> Histogram {
        let phase = match class {
            Class::Issue => Phase::Issue,
            Class::Complete => Phase::Complete,
        };
        let mut histogram = Histogram::new();
        self.status.mark.begin();
        let once = self.order.line.needs_stale_core();
        let half = self.lines() / 2;
        let samples = self.order.samples as usize;
        // A line that a stale core touched is in that state once.
        let samples = if once {
            samples.min(half / self.order.batch as usize)
        } else {
            samples
        };
        let mut warm_up = if once { 0 } else { WARM_UP };
        // A batch takes as many lines, none of which one before has had.
        let batch = self.order.batch as usize;
        let is_over = self.deadline();
        let mut values = [0; PASS];
        let mut pass = (half / batch).clamp(1, PASS);
        let (mut measured, mut used) = (0, 0);
        while measured < samples {
            if is_over(measured) || once && used + batch > half {
                results.cut = true;
                break;
            }
            let wanted = (warm_up + samples - measured).min(pass);
            let from = if once { first + used } else { first };
            let wanted = if once {
                wanted.min((half - used) / batch)
            } else {
                wanted
            };
            self.prepare(from, from + wanted * batch);
            let switches = os::switches();
            for (index, value) in values[..wanted].iter_mut().enumerate() {
                let operand = self.operand(from + index * batch);
                self.drain(operand);
                self.before(phase, operand);
                *value = block(operand);
                self.after(phase);
            }
            used += wanted * batch;
            results.taken += wanted as u64;
            if os::switches() != switches {
                results.dropped += wanted as u64;
                pass = (pass / 2).max(1);
                continue;
            }
            let warm = warm_up.min(wanted);
            warm_up -= warm;
            for (index, ticks) in values[..wanted].iter().enumerate().skip(warm) {
                histogram.add(*ticks);
                results.keep_longest(Sample {
                    ticks: *ticks,
                    class,
                    nth: histogram.count() as u32,
                    operand: self.operand(from + index * batch) as u64,
                });
            }
            measured += wanted - warm;
        }
        histogram
    }

    fn sweep(&self, probe: &Probe, results: &mut Results) {
        let Some(depths) = &probe.depth else { return };
        let block = depths[COUNTER as usize];
        let time = self.time(1);
        let mut longest = Duration::ZERO;
        for (nth, depth) in DEPTHS.iter().enumerate() {
            // There is no mark between one operation and the next.
            let late = longest.as_millis() > u128::from(self.order.deadline_ms) / 4;
            if nth > 0 && (late || time.is_over(FEWEST, FEWEST)) {
                results.cut |= *depth <= DEEP_ENOUGH;
                return;
            }
            let (mut issue, mut barrier) = ([0; SWEEP_REPEATS], [0; SWEEP_REPEATS]);
            let mut kept = 0;
            for _ in 0..2 * SWEEP_REPEATS {
                if kept == SWEEP_REPEATS || time.is_over(kept, FEWEST_REPEATS) {
                    break;
                }
                self.prepare(0, *depth as usize);
                let operand = self.operand(0);
                let (switches, begun) = (os::switches(), Instant::now());
                self.before(Phase::Depth, operand);
                let ticks = block(operand, self.order.size, *depth);
                self.after(Phase::Depth);
                longest = longest.max(begun.elapsed());
                results.taken += 1;
                if os::switches() != switches {
                    results.dropped += 1;
                    continue;
                }
                (issue[kept], barrier[kept]) = ticks;
                kept += 1;
            }
            if kept < FEWEST_REPEATS {
                results.cut |= *depth <= DEEP_ENOUGH;
                return;
            }
            let median = |ticks: &mut [u64]| {
                ticks.sort_unstable();
                ticks[ticks.len() / 2]
            };
            results.sweep.push(Depth {
                depth: *depth,
                issue: median(&mut issue[..kept]),
                barrier: median(&mut barrier[..kept]),
            });
        }
    }
}
