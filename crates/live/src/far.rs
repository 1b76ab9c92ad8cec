//! A ring of jumps that is larger than a core's first caches.

use std::{
    io,
    ops::Range,
    sync::{OnceLock, atomic::Ordering},
};

use stalecore_routines::kernel;

use crate::os::Code;

/// Bytes from one jump to the next, and of the ring.
const JUMP: usize = 64;
const RING: usize = 512 * 1024;

static AT: OnceLock<usize> = OnceLock::new();

/// `b`, so many bytes on, or back.
const fn branch(by: isize) -> u64 {
    0x1400_0000 | (by / 4) as u64 & 0x3ff_ffff
}

/// Makes it.
///
/// # Errors
/// There is no memory that may be executed.
pub fn set_up() -> io::Result<()> {
    let code = Code::new(RING)?;
    let ring = code.words;
    for word in ring.iter().step_by(JUMP / size_of::<u64>()) {
        word.store(branch(JUMP.cast_signed()), Ordering::Relaxed);
    }
    let back = branch(JUMP.cast_signed() - RING.cast_signed());
    ring[(RING - JUMP) / size_of::<u64>()].store(back, Ordering::Relaxed);
    let at = code.executed;
    kernel::caches_clean_inval_pou(at, at + RING);
    AT.get_or_init(|| at);
    Ok(())
}

/// Where it is.
pub fn ring() -> Range<usize> {
    AT.get().map_or(0..0, |at| *at..*at + RING)
}
