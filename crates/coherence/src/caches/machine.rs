//! What happens to cores and to the machine as a whole: cores tell each other things, are
//! turned off, change their page tables; the machine is reset, and ends.

use std::sync::atomic::Ordering;

use stalecore_model::hazard::Kind;

use super::{Caches, Core, Line, Who};
use crate::{line::PAGE, translate::Memory};

impl Caches {
    /// From now on this core may know what others did.
    pub fn learn(&self, who: Who) {
        let mut core = self.core(who).lock();
        core.learned = core.learned.wrapping_add(1);
    }

    /// This core tells others something: SEV, SGI, a call to firmware.
    pub fn signal(&self, who: Who) {
        let now = self.tick();
        self.signalled[usize::from(who.core)].store(now, Ordering::Relaxed);
        let core = self.core(who).lock();
        for one in &core.pending {
            self.each_line(one.physical, 1, |line, _| {
                if line.dirty.is_some() {
                    line.unfinished = Some(one.who);
                }
            });
        }
    }

    /// This core is turned off: firmware cleans its caches, and when it starts again it
    /// fetches everything anew.
    pub fn turn_off(&self, who: Who) {
        self.off[usize::from(who.core)].fetch_add(1, Ordering::Relaxed);
        let now = self.tick();
        let mut core = self.core(who).lock();
        *core = Core {
            synced: now,
            iallu: (now, now),
            learned: core.learned,
            ..Core::default()
        };
    }

    /// The machine has been reset: nothing is cached, and memory stays as it is.
    pub fn reset(&self) {
        for (_, page) in self.pages.touched() {
            for line in page.lines() {
                *line.lock() = Line::default();
            }
            page.renewed.store(false, Ordering::Relaxed);
            page.walked.store(false, Ordering::Relaxed);
        }
        for core in &self.cores {
            *core.lock() = Core::default();
        }
    }

    /// A `tlbi`: from here on the page tables count as they are now.
    pub fn tlbi(&self) {
        if self.tables_written.swap(false, Ordering::Relaxed) {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A page is used through page tables with this type.
    pub fn mapped(&self, who: Who, physical: u64, memory: Memory) {
        let Some(page) = self.pages.of(physical) else {
            return;
        };
        let generation = self.generation();
        let mut mapped = page.mapped.lock();
        if let Some((since, other, whom)) = *mapped
            && since == generation
            && other != memory
        {
            (self.sink)(Kind::Mismatched, who, whom, physical >> PAGE << PAGE);
        }
        *mapped = Some((generation, memory, who));
    }

    /// The machine has ended: reports what should have been cleaned and never was.
    pub fn finish(&self) {
        for (at, page) in self.pages.touched() {
            for (index, line) in page.lines().enumerate() {
                let line = line.lock();
                if let (Some((writer, _)), Some((reader, _))) = (line.dirty, line.early) {
                    let at = at + ((index as u64) << self.traits.line);
                    (self.sink)(Kind::ReadPastDirty, reader, writer, at);
                }
            }
        }
    }
}
