//! The mark: what a thread is about to execute, written before the operation and after
//! it, as the image's is. Whoever watches reads it with plain loads.

use core::sync::atomic::{AtomicU64, Ordering};

use stalecore_model::mark::{Phase, Seen, Site};

/// What an initiator is about to execute, on a line of its own.
#[repr(align(128))]
#[derive(Default)]
pub struct Mark {
    sequence: AtomicU64,
    site: AtomicU64,
    address: AtomicU64,
    returned: AtomicU64,
}

impl Mark {
    /// A class of operations begins: none of them has returned.
    pub fn begin(&self) {
        self.returned.store(0, Ordering::Relaxed);
    }

    /// Writes what comes next.
    #[inline(always)]
    pub fn before(&self, site: Site, address: usize) {
        self.site.store(site.pack(), Ordering::Relaxed);
        self.address.store(address as u64, Ordering::Relaxed);
        self.move_on();
    }

    /// Writes that it has returned.
    #[inline(always)]
    pub fn after(&self, phase: Phase) {
        if !phase.is_between() {
            let returned = self.returned.load(Ordering::Relaxed) + 1;
            self.returned.store(returned, Ordering::Relaxed);
        }
        self.move_on();
    }

    #[inline(always)]
    fn move_on(&self) {
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
    }

    /// Reads it: plain loads.
    pub fn read(&self) -> Seen {
        Seen {
            sequence: self.sequence.load(Ordering::Acquire),
            site: Site::unpack(self.site.load(Ordering::Relaxed)),
            address: self.address.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
        }
    }
}
