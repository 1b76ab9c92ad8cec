//! What an initiator is asked to measure, and its results.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use spin::{Mutex, MutexGuard};
use stalecore_model::{
    glossary::{LineState, StaleState, Subject},
    histogram::Histogram,
    measured::Sample,
    record::{DEPTHS, Depth},
    rounds::Class,
};
use stalecore_routines::counter::Counter;

use crate::hal::arch;

/// What an initiator is to do, one order after the other, and the results of each.
pub struct Job {
    orders: Mutex<Vec<Order>>,
    results: Box<[Mutex<Results>]>,
    /// How many orders are done.
    done: AtomicUsize,
    /// Are the remaining orders to be dropped?
    stopped: AtomicBool,
}

/// One thing to measure.
#[derive(Clone, Copy)]
pub struct Order {
    /// The case's number.
    pub case: usize,
    /// What runs.
    pub subject: Subject,
    /// What the caches hold.
    pub line: LineState,
    /// How the stale cores are stuck.
    pub state: StaleState,
    /// Samples per class.
    pub samples: u32,
    /// In how many parts a case takes its samples: this order is one of them, with its
    /// part of the time.
    pub parts: u32,
    /// The one class that is wanted, if not all are.
    pub only: Option<Class>,
    /// What times them.
    pub counter: Counter,
    /// Operations per timed block: 1, or 16 for a coarse counter.
    pub batch: u32,
    /// Run the depth sweep.
    pub sweep: bool,
    /// Run a routine step by step once first, so that the mark says where it is.
    pub stepped: bool,
    /// How many cores are stale, for the self-test that is late if any are.
    pub stale: u32,
    /// Release the cores that are held before CPU_OFF as the samples begin.
    pub cpu_off_hold: bool,
    /// Leave interrupts open.
    pub interrupted: bool,
    /// Look for what comes behind a DSB that must not: only one initiator may.
    pub looks: bool,
    /// Take the longer time for all samples.
    pub patient: bool,
    /// After so many milliseconds without a new mark the sentinel calls an
    /// operation blocked: what has no marks inside must not take as long.
    pub deadline_ms: u32,
    /// Do nothing for so many milliseconds, then one operation: the sample of this
    /// number, in `samples`.
    pub dwell_ms: Option<u32>,
}

impl Job {
    /// For at most `most` orders, none given yet.
    pub fn new(most: usize) -> Self {
        Self {
            orders: Mutex::new(Vec::new()),
            results: (0..most).map(|_| Mutex::new(Results::new())).collect(),
            done: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Gives orders, before the initiator is asked; it has done all earlier ones.
    pub fn put(&self, orders: impl Iterator<Item = Order>) {
        let mut own = self.orders.lock();
        own.clear();
        own.extend(orders.take(self.results.len()));
        self.done.store(0, Ordering::Relaxed);
        self.stopped.store(false, Ordering::Relaxed);
    }

    /// Carries them out, on the initiator.
    pub fn run(&self, mut each: impl FnMut(Order, &mut Results)) {
        let orders = self.orders.lock();
        for (order, results) in orders.iter().zip(&self.results) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let mut results = results.lock();
            results.clear();
            each(*order, &mut results);
            drop(results);
            self.done.fetch_add(1, Ordering::Release);
        }
    }

    /// How many orders are done; the next one may be under way.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Acquire)
    }

    /// Has the initiator stop after the order that is under way.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// The results of an order that is done.
    pub fn results(&self, nth: usize) -> Option<MutexGuard<'_, Results>> {
        self.results.get(nth)?.try_lock()
    }
}

/// The results of an order.
pub struct Results {
    /// Issue class.
    pub issue: Histogram,
    /// Complete class.
    pub complete: Histogram,
    /// The longest sample of both, and CNTVCT_EL0 when it had ended.
    pub longest: Option<(Sample, u64)>,
    /// The depth sweep, `depths` of it valid.
    pub sweep: [Depth; DEPTHS.len()],
    /// How many depths were run.
    pub depths: usize,
    /// The time for a class or the sweep was over before all was done.
    pub cut: bool,
    /// Cycles and ticks of CNTVCT_EL0 that all of it took, where samples are cycles.
    pub clock: Option<(u64, u64)>,
    /// The state that passes had passed before the first sample.
    pub missed: bool,
    /// ESR, FAR and ELR of a fault that ended it.
    pub fault: Option<[u64; 3]>,
    /// What a routine returned, if not 0.
    pub returned: i64,
    /// The step-by-step pass saw no operation: in this routine a mark would not
    /// say where a block is.
    pub unseen: bool,
    /// The functional check: what the code had to return, and what it did.
    pub stale_code: Option<(u16, u16)>,
    /// How often it was looked for a store to a page that had been taken away.
    pub looks: u32,
    /// The page to which one came.
    pub stale_store: Option<usize>,
}

impl Results {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            issue: Histogram::new(),
            complete: Histogram::new(),
            longest: None,
            sweep: [Depth {
                depth: 0,
                issue: 0,
                barrier: 0,
            }; DEPTHS.len()],
            depths: 0,
            cut: false,
            clock: None,
            missed: false,
            fault: None,
            returned: 0,
            unseen: false,
            stale_code: None,
            looks: 0,
            stale_store: None,
        }
    }

    /// Takes in a sample, which has just ended.
    #[inline(always)]
    pub fn add(&mut self, class: Class, ticks: u64, operand: usize) {
        let histogram = match class {
            Class::Issue => &mut self.issue,
            Class::Complete => &mut self.complete,
        };
        histogram.add(ticks);
        if self
            .longest
            .is_none_or(|(longest, _)| longest.ticks < ticks)
        {
            let sample = Sample {
                ticks,
                class,
                nth: histogram.count() as u32,
                operand: operand as u64,
            };
            self.longest = Some((sample, arch::cntvct()));
        }
    }

    /// Nothing again.
    pub fn clear(&mut self) {
        self.issue.clear();
        self.complete.clear();
        self.longest = None;
        self.depths = 0;
        self.cut = false;
        self.missed = false;
        self.clock = None;
        self.fault = None;
        self.returned = 0;
        self.unseen = false;
        self.stale_code = None;
        self.looks = 0;
        self.stale_store = None;
    }
}
