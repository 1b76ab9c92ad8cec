//! The caches of a machine, as pessimistic as the architecture allows.
//!
//! What is assumed: any line that is mapped cacheable may be cached clean at any
//! time, as cores speculate and firmware ran before; any line that is mapped
//! executable may be in an instruction cache; only dirty lines are written back,
//! at any time. Cores are coherent with each other (inner shareable).
//!
//! A DSB is what completes maintenance: until then the line is as it was.

mod machine;
mod maintenance;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use stalecore_model::hazard::Kind;

use self::maintenance::{Pending, clean};
use crate::{
    line::{Line, PAGE, Pages, SMALLEST_LINE, What, Who},
    translate::Memory,
};

/// How often a core may read past the caches what another has just written and may
/// still clean; after that, nobody is going to clean it. One that polls does so a hundred
/// thousand times while a busy host keeps the other from its next instruction.
const PATIENCE: u32 = 1_000_000;

/// Takes a hazard: its kind, the access that is wrong, the one that it collides with, the
/// line's physical address.
pub type Sink = Box<dyn Fn(Kind, Who, Who, u64) + Send + Sync>;

/// What the caches of this machine are like.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// log2 of the bytes of a line.
    pub line: u32,
    /// CTR_EL0.IDC: instruction fetch sees data without a clean.
    pub idc: bool,
    /// CTR_EL0.DIC: instruction fetch needs no invalidate of instruction caches.
    pub dic: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            line: SMALLEST_LINE,
            idc: false,
            dic: false,
        }
    }
}

/// The state of one core.
#[derive(Default)]
struct Core {
    pending: Vec<Pending>,
    /// `ic iallu` and `ic ialluis` that no DSB has completed: when; is it of all cores?
    pending_all: Vec<(u64, bool)>,
    by_set_way: bool,
    /// Its last `ic iallu`: executed, completed.
    iallu: (u64, u64),
    /// When it last discarded what it had fetched.
    synced: u64,
    /// When it last executed a DMB or DSB.
    barrier: u64,
    /// Counts how often it may have learned from others: by loads of what they wrote,
    /// exceptions, waits.
    learned: u32,
}

/// The machine's caches.
pub struct Caches {
    traits: Traits,
    time: AtomicU64,
    pages: Pages,
    cores: Vec<Mutex<Core>>,
    /// How often each core was turned off: what it had left dirty is then clean.
    off: Vec<AtomicU32>,
    /// When each core last told others something.
    signalled: Vec<AtomicU64>,
    /// The last `ic ialluis`: executed, completed.
    ialluis: Mutex<(u64, u64)>,
    tables_written: AtomicBool,
    generation: AtomicU64,
    sink: Sink,
}

impl Caches {
    /// All clean, all cores just started.
    pub fn new(cores: usize, traits: Traits, sink: Sink) -> Self {
        Self {
            traits,
            time: AtomicU64::new(1),
            pages: Pages::default(),
            cores: (0..cores).map(|_| Mutex::default()).collect(),
            off: (0..cores).map(|_| AtomicU32::new(0)).collect(),
            signalled: (0..cores).map(|_| AtomicU64::new(0)).collect(),
            ialluis: Mutex::default(),
            tables_written: AtomicBool::new(false),
            generation: AtomicU64::new(1),
            sink,
        }
    }

    fn now(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    /// A new time, later than all that came before, and not later than what follows.
    fn tick(&self) -> u64 {
        self.time.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn core(&self, who: Who) -> &Mutex<Core> {
        &self.cores[usize::from(who.core)]
    }

    /// Counts the changes of page tables that a `tlbi` has made effective.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// A core that was turned off left nothing dirty.
    fn settle(&self, line: &mut Line) {
        if let Some((who, power)) = line.dirty
            && self.off[usize::from(who.core)].load(Ordering::Relaxed) != power
        {
            clean(line, self.now());
        }
    }

    fn each_line(&self, physical: u64, size: u64, mut act: impl FnMut(&mut Line, u64)) {
        let shift = self.traits.line;
        let last = (physical + size.max(1) - 1) >> shift;
        for at in (physical >> shift..=last).map(|line| line << shift) {
            if let Some(page) = self.pages.of(at) {
                let mut line = page.line(at, shift).lock();
                self.settle(&mut line);
                act(&mut line, at);
            }
        }
    }

    /// A load, or a page table read by the core itself.
    pub fn read(&self, who: Who, physical: u64, size: u64, memory: Memory) {
        let mut core = self.core(who).lock();
        self.each_line(physical, size, |line, at| {
            if memory.is_cached() {
                self.read_cached(who, line, at, core.learned);
            } else {
                self.read_past(who, line, at);
            }
            if line.changed > 0 && line.by.core != who.core {
                core.learned = core.learned.wrapping_add(1);
            }
        });
        if who.what == What::Walk
            && let Some(page) = self.pages.of(physical)
        {
            page.walked.store(true, Ordering::Relaxed);
        }
    }

    fn read_cached(&self, who: Who, line: &mut Line, at: u64, learned: u32) {
        let Some(writer) = line.bypassed else { return };
        // A core that has just invalidated the line, and has learned nothing from others
        // since, polls: it would read again.
        if writer.core == who.core || line.polled != Some((who.core, learned)) {
            (self.sink)(Kind::ReadStale, who, writer, at);
        }
        line.bypassed = None;
    }

    fn read_past(&self, who: Who, line: &mut Line, at: u64) {
        if let Some((writer, _)) = line.dirty {
            let told = self.signalled[usize::from(writer.core)].load(Ordering::Relaxed);
            let before = line.early.map_or(0, |(_, times)| times);
            if writer.core == who.core || line.changed < told || before >= PATIENCE {
                (self.sink)(Kind::ReadPastDirty, who, writer, at);
            } else {
                line.early = Some((who, before + 1));
            }
        } else if let Some(maintenance) = line.unfinished.filter(|m| m.core != who.core) {
            (self.sink)(Kind::NoDsb, who, maintenance, at);
            line.unfinished = None;
        }
    }

    /// A store, or a block that is zeroed.
    pub fn write(&self, who: Who, physical: u64, stored: &[u8], memory: Memory) {
        let size = stored.len() as u64;
        let same = self.store(physical, stored);
        let whole = who.what == What::Zero && size >= 1 << self.traits.line;
        self.each_line(physical, size, |line, at| {
            if memory.is_cached() {
                if let Some(writer) = line.bypassed.take()
                    && !whole
                {
                    (self.sink)(Kind::WriteStale, who, writer, at);
                }
                if memory == Memory::WriteBack {
                    let power = self.off[usize::from(who.core)].load(Ordering::Relaxed);
                    line.dirty = Some((who, power));
                }
            } else {
                if let Some((writer, _)) = line.dirty.take() {
                    (self.sink)(Kind::WritePastDirty, who, writer, at);
                }
                line.unclean = false;
                line.bypassed = Some(who);
            }
            (line.changed, line.by) = (self.now(), who);
            line.unfinished = None;
            // The same bytes once more change nothing that is fetched.
            if !same {
                (line.renewed, line.author) = (line.changed, who);
                line.at_pou = line.changed;
                line.unclean = memory.is_cached() && !self.traits.idc;
            }
        });
        if let Some(page) = self.pages.of(physical) {
            if !same {
                page.renewed.store(true, Ordering::Relaxed);
            }
            if page.walked.load(Ordering::Relaxed) {
                self.tables_written.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Notes what was stored. Did memory hold the same before?
    fn store(&self, physical: u64, stored: &[u8]) -> bool {
        // A store across a page's end is in two pages.
        let room = (1 << PAGE) - (physical & ((1 << PAGE) - 1));
        let (first, second) = stored.split_at(stored.len().min(room as usize));
        let store = |at: u64, bytes: &[u8]| self.pages.of(at).is_some_and(|p| p.store(at, bytes));
        let same = store(physical, first);
        same & (second.is_empty() || store(physical + room, second))
    }

    /// Instructions fetched from one line.
    pub fn fetch(&self, who: Who, physical: u64, cached: bool) {
        let Some(page) = self.pages.of(physical) else {
            return;
        };
        if !page.renewed.load(Ordering::Relaxed) {
            return;
        }
        let core = self.core(who).lock();
        self.each_line(physical, 1, |line, at| {
            if line.renewed == 0 {
                return;
            }
            if !cached {
                if let Some((writer, _)) = line.dirty {
                    (self.sink)(Kind::ReadPastDirty, who, writer, at);
                }
                return;
            }
            if line.unclean {
                (self.sink)(Kind::FetchNotClean, who, line.author, at);
                return;
            }
            // When the invalidate that made the newest bytes visible was completed.
            let done = if self.traits.dic {
                Some(line.at_pou)
            } else {
                [line.invalidated, core.iallu, *self.ialluis.lock()]
                    .into_iter()
                    .filter(|(issued, _)| *issued > line.at_pou)
                    .map(|(_, done)| done)
                    .min()
            };
            match done {
                None => (self.sink)(Kind::FetchNotInvalidated, who, line.author, at),
                Some(done) if core.synced <= done => {
                    (self.sink)(Kind::FetchNoIsb, who, line.author, at);
                }
                Some(_) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests;
