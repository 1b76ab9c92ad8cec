//! What an initiator is asked to do, and what comes of it.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use stalecore_model::{
    glossary::{LineState, Subject},
    histogram::Histogram,
    record::{DEPTHS, Depth},
};

use stalecore_routines::counter::Counter;

/// The conductor's order: plain words, so that no lock is needed.
pub struct Job {
    subject: AtomicU8,
    line: AtomicU8,
    samples: AtomicU32,
    counter: AtomicU8,
    batch: AtomicU32,
    sweep: AtomicBool,
    stepped: AtomicBool,
    stale: AtomicU32,
    cpu_off_hold: AtomicBool,
    patient: AtomicBool,
    deadline_ms: AtomicU32,
    dwell_ms: AtomicU32,
}

/// A [`Job`], taken out.
#[derive(Clone, Copy)]
pub struct Order {
    /// What runs.
    pub subject: Subject,
    /// What the caches hold.
    pub line: LineState,
    /// Samples per class.
    pub samples: u32,
    /// What times them.
    pub counter: Counter,
    /// Operations per timed block: 1, or 16 for a coarse counter.
    pub batch: u32,
    /// Run the depth sweep.
    pub sweep: bool,
    /// Run a routine once step by step first, so that the mark knows where.
    pub stepped: bool,
    /// How many cores are stale, for the self-test that is late if any are.
    pub stale: u32,
    /// Release the cores that are held before CPU_OFF as the samples begin.
    pub cpu_off_hold: bool,
    /// Take the longer time for all samples.
    pub patient: bool,
    /// After so many milliseconds without a new mark the sentinel calls an
    /// operation blocked: what has no marks inside must not take as long.
    pub deadline_ms: u32,
    /// Do nothing for so many milliseconds, then one operation: the sample of this
    /// number, in `samples`.
    pub dwell_ms: Option<u32>,
}

/// The word of an order without one.
const NO_DWELL: u32 = u32::MAX;

impl Job {
    /// No order yet.
    pub const fn new() -> Self {
        Self {
            subject: AtomicU8::new(0),
            line: AtomicU8::new(0),
            samples: AtomicU32::new(0),
            counter: AtomicU8::new(0),
            batch: AtomicU32::new(1),
            sweep: AtomicBool::new(false),
            stepped: AtomicBool::new(false),
            stale: AtomicU32::new(0),
            cpu_off_hold: AtomicBool::new(false),
            patient: AtomicBool::new(false),
            deadline_ms: AtomicU32::new(0),
            dwell_ms: AtomicU32::new(NO_DWELL),
        }
    }

    /// Writes an order, before the initiator is asked.
    pub fn put(&self, order: Order) {
        self.subject.store(order.subject as u8, Ordering::Relaxed);
        self.line.store(order.line as u8, Ordering::Relaxed);
        self.samples.store(order.samples, Ordering::Relaxed);
        self.counter.store(order.counter as u8, Ordering::Relaxed);
        self.batch.store(order.batch, Ordering::Relaxed);
        self.sweep.store(order.sweep, Ordering::Relaxed);
        self.stepped.store(order.stepped, Ordering::Relaxed);
        self.stale.store(order.stale, Ordering::Relaxed);
        self.cpu_off_hold
            .store(order.cpu_off_hold, Ordering::Relaxed);
        self.patient.store(order.patient, Ordering::Relaxed);
        self.deadline_ms.store(order.deadline_ms, Ordering::Relaxed);
        self.dwell_ms
            .store(order.dwell_ms.unwrap_or(NO_DWELL), Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Order> {
        Some(Order {
            subject: *Subject::ALL.get(usize::from(self.subject.load(Ordering::Relaxed)))?,
            line: *LineState::ALL.get(usize::from(self.line.load(Ordering::Relaxed)))?,
            samples: self.samples.load(Ordering::Relaxed),
            counter: if self.counter.load(Ordering::Relaxed) == Counter::Pmccntr as u8 {
                Counter::Pmccntr
            } else {
                Counter::Cntvct
            },
            batch: self.batch.load(Ordering::Relaxed),
            sweep: self.sweep.load(Ordering::Relaxed),
            stepped: self.stepped.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
            cpu_off_hold: self.cpu_off_hold.load(Ordering::Relaxed),
            patient: self.patient.load(Ordering::Relaxed),
            deadline_ms: self.deadline_ms.load(Ordering::Relaxed),
            dwell_ms: Some(self.dwell_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NO_DWELL),
        })
    }
}

/// What came of an order.
pub struct Results {
    /// Issue class.
    pub issue: Histogram,
    /// Complete class.
    pub complete: Histogram,
    /// The depth sweep, `depths` of it valid.
    pub sweep: [Depth; DEPTHS.len()],
    /// How many depths were run.
    pub depths: usize,
    /// The time for a class or the sweep was over before all was done.
    pub cut: bool,
    /// ESR, FAR and ELR of a fault that ended it.
    pub fault: Option<[u64; 3]>,
    /// What a routine returned, if not 0.
    pub returned: i64,
    /// The step-by-step pass saw no operation: in this routine a mark would not
    /// say where a block is.
    pub unseen: bool,
    /// The functional check: what the code had to return, and what it did.
    pub stale_code: Option<(u16, u16)>,
}

impl Results {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            issue: Histogram::new(),
            complete: Histogram::new(),
            sweep: [Depth {
                depth: 0,
                issue: 0,
                barrier: 0,
            }; DEPTHS.len()],
            depths: 0,
            cut: false,
            fault: None,
            returned: 0,
            unseen: false,
            stale_code: None,
        }
    }

    pub fn clear(&mut self) {
        self.issue.clear();
        self.complete.clear();
        self.depths = 0;
        self.cut = false;
        self.fault = None;
        self.returned = 0;
        self.unseen = false;
        self.stale_code = None;
    }
}
