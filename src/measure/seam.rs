//! A page that is taken away while stale cores store over its edge: once TLBI and DSB have
//! returned, no store may come there any more.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use stalecore_model::glossary::{StaleState, Subject};
use stalecore_routines::{area::PAGE, probe::Block};

use super::measurement::Measurement;
use crate::{
    cores::{job::Results, mark::Phase, percpu},
    hal::{
        arch,
        arena::Pages,
        clock,
        memory::{Behind, SEAM, Seam},
    },
};

/// Bytes of the pages: one in front of the edge, and two that are behind it in turn.
pub const SEAM_SIZE: usize = 3 * PAGE;
/// How often it is taken away in a class of samples.
const LOOKS: usize = 8;
/// By when a stale core must have stored to it before, in milliseconds: an emulator may not
/// run it for a while.
const STORED_MS: u64 = 100;
/// How long the page is looked at behind the DSB, in microseconds: many stores of a core …
const LOOK_US: u64 = 200;
/// … and at most, until each stale core has run into the missing page.
const LONGEST_US: u64 = 100_000;

struct Pieces {
    words: &'static [AtomicU64],
    behind: Behind,
}

static PIECES: Once<Pieces> = Once::new();

/// Takes the pages into use.
pub fn set_up(pages: Pages, seam: Seam) {
    let words = pages.words();
    PIECES.call_once(|| Pieces {
        words,
        behind: seam.open(),
    });
}

impl Pieces {
    /// The first word of a page, to which the stores go on over the edge.
    fn stored_to(&self, page: usize) -> &AtomicU64 {
        &self.words[page * PAGE / size_of::<u64>()]
    }

    fn address(&self, page: usize) -> usize {
        core::ptr::from_ref(self.stored_to(page)) as usize
    }
}

impl Measurement<'_> {
    /// Takes the page away, as the kernel does: descriptor, TLBI, DSB. A store that comes to
    /// it behind that shows that the DSB returned too early.
    pub(super) fn look_behind(&self, block: Block, results: &mut Results) {
        if self.order.state != StaleState::StoreStormPages || !self.order.looks {
            return;
        }
        let Some(pieces) = PIECES.get() else { return };
        let page = SEAM / PAGE + 1;
        let operand = match self.order.subject {
            Subject::TlbiVaae1is | Subject::TlbiVaale1is => page,
            Subject::TlbiVae1is | Subject::TlbiVale1is => pieces.behind.asid << 48 | page,
            Subject::TlbiVmalle1is => 0,
            _ => return,
        };
        self.watch(&[block as usize]);
        let time = self.time();
        for nth in 0..LOOKS {
            let old = match pieces.behind.page() == pieces.address(1) {
                true => 1,
                false => 2,
            };
            let word = pieces.stored_to(old);
            let differs = |from| word.load(Ordering::Relaxed) != from;
            let from = word.load(Ordering::Relaxed);
            if !clock::wait_ms(STORED_MS, || differs(from)) || time.is_over(nth, 1) {
                return;
            }
            pieces.behind.take_away();
            self.before(Phase::Complete, SEAM + PAGE);
            block(operand);
            self.core.mark.after();
            let last = word.load(Ordering::Relaxed);
            let begun = arch::cntvct();
            let over = |us| clock::us_since(begun) >= us;
            // A core that is not run stores nothing, and proves nothing.
            let mut gone = true;
            for core in percpu::all() {
                let faults = core.ack.load(Ordering::Acquire);
                let stores = core.state() == Some(StaleState::StoreStormPages);
                while stores && core.ack.load(Ordering::Acquire) == faults && !differs(last) {
                    if over(LONGEST_US) {
                        gone = false;
                        break;
                    }
                    arch::pause();
                }
            }
            while !differs(last) && !over(LOOK_US) {
                arch::pause();
            }
            let late = differs(last);
            pieces.behind.lead_to(pieces.address(3 - old));
            // Then it proves nothing.
            if self.over() {
                return;
            }
            results.looks += u32::from(gone || late);
            if late {
                results.stale_store = Some(pieces.address(old));
                return;
            }
        }
    }
}
