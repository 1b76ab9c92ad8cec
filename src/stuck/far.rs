//! Memory that is far from every core: lines that nothing has touched since boot, handed
//! out one after another for accesses that must miss every cache without maintenance of
//! their own; a ring of jumps that is larger than a core's first-level caches; and what
//! storms of loads and stores go over, which all cores share.

use core::{
    ops::Range,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use spin::Once;
use stalecore_routines::{kernel, stuck::STORM_SIZE};

use crate::hal::{arena::Pages, memory::executable};

/// Bytes from one line that is handed out to the next: no cache has longer lines.
const APART: usize = 256;
/// How many lines: more than a run without `--ops` takes, and most others.
const LINES: usize = 4096;
/// How many lines on the next one is: further than any prefetcher goes, over page
/// boundaries; odd, so that each line comes up once.
const STEP: usize = 1229;
/// Bytes from one jump of the ring to the next, and of the ring.
const JUMP: usize = 64;
const RING: usize = 512 * 1024;
/// Bytes of lines and ring, which are executed.
pub const FAR_CODE: usize = LINES * APART + RING;
/// Bytes of all of it.
pub const FAR_SIZE: usize = FAR_CODE + STORM_SIZE;

/// `br x16`: what a line begins with.
const BACK: u64 = 0xd61f_0200;

struct Far {
    start: usize,
    next: AtomicUsize,
}

static FAR: Once<Far> = Once::new();

/// `b`, `by` bytes forward or back.
const fn branch(by: isize) -> u64 {
    0x1400_0000 | (by / 4) as u64 & 0x3ff_ffff
}

/// Fills it, and cleans it to memory. Only while every core answers: it broadcasts.
pub fn set_up(pages: Pages) {
    let start = pages.start();
    // Of each line the first word counts, and of what storms go over none.
    let (lines, ring) = pages
        .words_as_found()
        .split_at(LINES * APART / size_of::<u64>());
    let ring = &ring[..RING / size_of::<u64>()];
    let fill = |words: &[AtomicU64], apart: usize, value: u64| {
        for word in words.iter().step_by(apart / size_of::<u64>()) {
            word.store(value, Ordering::Relaxed);
        }
    };
    fill(lines, APART, BACK);
    fill(ring, JUMP, branch(JUMP.cast_signed()));
    let last = &ring[(RING - JUMP) / size_of::<u64>()];
    last.store(
        branch(JUMP.cast_signed() - RING.cast_signed()),
        Ordering::Relaxed,
    );
    let view = executable(start);
    kernel::dcache_clean_inval_poc(start, start + FAR_CODE);
    kernel::icache_inval_pou(view, view + FAR_CODE);
    FAR.call_once(|| Far {
        start,
        next: AtomicUsize::new(0),
    });
}

/// The address of the next line: one that no cache holds, until all have been handed out
/// once.
pub fn next_line() -> usize {
    FAR.get().map_or(0, |far| {
        let nth = far.next.fetch_add(1, Ordering::Relaxed);
        far.start + nth.wrapping_mul(STEP) % LINES * APART
    })
}

/// Where storms of loads and stores go: [`STORM_SIZE`] bytes.
pub fn storm() -> usize {
    FAR.get().map_or(0, |far| far.start + FAR_CODE)
}

/// The jumps of the ring, where they can be executed.
pub fn ring() -> Range<usize> {
    FAR.get().map_or(0..0, |far| {
        let start = executable(far.start + LINES * APART);
        start..start + RING
    })
}
