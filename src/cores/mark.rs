//! The mark: what a core is about to execute, on a line of its own, written
//! before the operation and after it. The sentinel reads it with plain loads,
//! so it is there when nothing else of the core answers any more.

use core::{
    mem::offset_of,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

pub use stalecore_model::mark::{Phase, Seen, Site};
use stalecore_model::{glossary::Subject, mark::MARK_SIZE};

/// The number of the case under way, for a debugger that reads memory.
static CASE: AtomicU32 = AtomicU32::new(0);

/// A case begins.
pub fn begin_case(number: usize) {
    CASE.store(u32::try_from(number).unwrap_or(u32::MAX), Ordering::Relaxed);
}

/// Where that number is, for a debugger.
pub fn case_address() -> usize {
    core::ptr::from_ref(&CASE) as usize
}

/// The number of the case under way; 0 before the first.
pub fn case() -> u32 {
    CASE.load(Ordering::Relaxed)
}

/// What a core is about to execute, written before it and after it; laid out as
/// [`stalecore_model::mark::MARK_SIZE`] says.
#[repr(C)]
pub struct Mark {
    /// Odd while an operation is in flight; twice the number that have returned.
    pub sequence: AtomicU64,
    /// The instruction, and where: see [`Site`].
    pub site: AtomicU64,
    /// The address operated on.
    pub address: AtomicU64,
    /// Operations of the same class that have returned.
    pub returned: AtomicU64,
}

// The host reads marks out of memory: `stalecore_model::mark::Marks::read`.
const _: () = {
    assert!(size_of::<Mark>() == MARK_SIZE);
    assert!(offset_of!(Mark, sequence) == 0);
    assert!(offset_of!(Mark, site) == 8);
    assert!(offset_of!(Mark, address) == 16);
    assert!(offset_of!(Mark, returned) == 24);
};

impl Mark {
    /// Nothing in flight yet.
    pub const fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            site: AtomicU64::new(0),
            address: AtomicU64::new(0),
            returned: AtomicU64::new(0),
        }
    }

    /// Writes what comes next.
    #[inline(always)]
    pub fn before(&self, site: Site, address: usize) {
        self.before_packed(site.pack(), address);
    }

    /// The same, of a site that was packed before.
    #[inline(always)]
    pub fn before_packed(&self, site: u64, address: usize) {
        self.site.store(site, Ordering::Relaxed);
        self.address.store(address as u64, Ordering::Relaxed);
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
    }

    /// A class of operations begins: none of them has returned.
    pub fn begin(&self) {
        self.returned.store(0, Ordering::Relaxed);
    }

    /// Writes that the operation has returned.
    #[inline(always)]
    pub fn after(&self) {
        let returned = self.returned.load(Ordering::Relaxed) + 1;
        self.returned.store(returned, Ordering::Relaxed);
        self.after_between();
    }

    /// Writes that what is no operation under test has returned:
    /// [`Phase::is_between`].
    #[inline(always)]
    pub fn after_between(&self) {
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
    }

    /// EL2 has trapped an instruction while an operation was in flight: names
    /// it, and where it is if that is in a routine.
    pub fn trapped(&self, offset: Option<u16>, instruction: Subject, address: u64) {
        if self.sequence.load(Ordering::Relaxed).is_multiple_of(2) {
            return; // not an operation under test
        }
        if let Some(offset) = offset {
            self.step(offset, instruction, address);
        } else if let Some(site) = Site::unpack(self.site.load(Ordering::Relaxed)) {
            self.site.store(
                Site {
                    instruction,
                    ..site
                }
                .pack(),
                Ordering::Relaxed,
            );
            if address != 0 {
                self.address.store(address, Ordering::Relaxed);
            }
            let next = self.sequence.load(Ordering::Relaxed) + 2;
            self.sequence.store(next, Ordering::Release);
        }
    }

    /// Moves the mark within a routine: the step before has returned.
    pub fn step(&self, offset: u16, instruction: Subject, address: u64) {
        if let Some(site) = Site::unpack(self.site.load(Ordering::Relaxed)) {
            let site = Site {
                phase: Phase::Step,
                offset,
                instruction,
                ..site
            };
            self.site.store(site.pack(), Ordering::Relaxed);
            self.address.store(address, Ordering::Relaxed);
            let next = self.sequence.load(Ordering::Relaxed) + 2;
            self.sequence.store(next, Ordering::Release);
        }
    }

    /// What the mark says, as it is in memory, by plain loads.
    #[inline(always)]
    pub fn words(&self) -> [u64; MARK_SIZE / 8] {
        [
            self.sequence.load(Ordering::Acquire),
            self.site.load(Ordering::Relaxed),
            self.address.load(Ordering::Relaxed),
            self.returned.load(Ordering::Relaxed),
        ]
    }

    /// Reads the mark, by plain loads.
    pub fn read(&self) -> Seen {
        Seen {
            sequence: self.sequence.load(Ordering::Acquire),
            site: Site::unpack(self.site.load(Ordering::Relaxed)),
            address: self.address.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
        }
    }
}
