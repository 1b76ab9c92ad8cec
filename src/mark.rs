//! The mark: what a core is about to execute, on a line of its own, written
//! before the operation and after it. The sentinel reads it with plain loads,
//! so it is there when nothing else of the core answers any more.

use core::sync::atomic::{AtomicU32, Ordering};

use stalecore_model::{
    glossary::Subject,
    mark::Marks,
    record::{Hex, Record},
};

pub use stalecore_model::mark::{Phase, Seen, Site};

use crate::{
    core_local::{self, Core, Mark},
    entry, report,
};

/// The number of the case under way, for whoever reads memory.
static CASE: AtomicU32 = AtomicU32::new(0);

/// A case begins.
pub fn begin_case(number: usize) {
    CASE.store(u32::try_from(number).unwrap_or(u32::MAX), Ordering::Relaxed);
}

/// The number of the case under way; 0 before the first.
pub fn case() -> u32 {
    CASE.load(Ordering::Relaxed)
}

/// Tells a debugger where the marks are; none before the cores are known.
pub fn report_places() {
    let [first, rest @ ..] = core_local::all() else {
        return;
    };
    // Memory is mapped where it is, so an address is a physical one.
    let at = |place: usize| Hex(place as u64);
    let core = |core: &Core| core::ptr::from_ref(core) as usize;
    report::record(&Record::Marks(Marks {
        image: at(entry::image_start()),
        symbols: at(entry::symbols_start()),
        case: at(core::ptr::from_ref(&CASE) as usize),
        mark: at(core::ptr::from_ref(&first.mark) as usize),
        state: at(core::ptr::from_ref(&first.life.0.state) as usize),
        stride: rest.first().map_or(0, |second| core(second) - core(first)) as u64,
    }));
}

impl Mark {
    /// Writes what comes next.
    #[inline(always)]
    pub fn before(&self, site: Site, address: usize) {
        self.site.store(site.pack(), Ordering::Relaxed);
        self.address.store(address as u64, Ordering::Relaxed);
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
    }

    /// A class of operations begins: none of them has returned.
    pub fn begin(&self) {
        self.returned.store(0, Ordering::Relaxed);
    }

    /// Writes that it has returned.
    #[inline(always)]
    pub fn after(&self) {
        // Byte 1 of the site is the phase; lines being prepared do not count.
        if self.site.load(Ordering::Relaxed).to_le_bytes()[1] != Phase::Prepare as u8 {
            let returned = self.returned.load(Ordering::Relaxed) + 1;
            self.returned.store(returned, Ordering::Relaxed);
        }
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
}

/// Reads the mark of a core: plain loads.
pub fn read(core: &Core) -> Seen {
    let mark = &core.mark.0;
    Seen {
        sequence: mark.sequence.load(Ordering::Acquire),
        site: Site::unpack(mark.site.load(Ordering::Relaxed)),
        address: mark.address.load(Ordering::Relaxed),
        returned: mark.returned.load(Ordering::Relaxed),
    }
}
