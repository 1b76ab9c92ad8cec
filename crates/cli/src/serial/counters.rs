//! What this host's UART says was lost or damaged on the way.

use std::{
    fs::File,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rustix::{
    io,
    ioctl::{Getter, Opcode, ioctl},
};

/// Linux's TIOCGICOUNT, for `struct serial_icounter_struct`: twenty integers,
/// of which the ones below matter.
const TIOCGICOUNT: Opcode = 0x545d;
const FRAME: usize = 6;
const OVERRUN: usize = 7;
const PARITY: usize = 8;
const BUFFER_OVERRUN: usize = 10;

/// Counts over all the times that a line was open.
#[derive(Default)]
pub struct Counters {
    /// How often the UART could be asked.
    asked: AtomicU64,
    lost: Pair,
    damaged: Pair,
}

/// A counter that starts anywhere and wraps round at 32 bits.
#[derive(Default)]
struct Pair {
    last: AtomicU64,
    total: AtomicU64,
}

impl Pair {
    fn begin(&self, value: u32) {
        self.last.store(value.into(), Relaxed);
    }

    fn look(&self, value: u32) {
        let last = self.last.swap(value.into(), Relaxed) as u32;
        let more = value.wrapping_sub(last);
        self.total.fetch_add(more.into(), Relaxed);
    }
}

impl Counters {
    /// The line was opened: what was counted before is not ours.
    pub fn begin(&self, file: &File) {
        if let Ok((lost, damaged)) = ask(file) {
            self.lost.begin(lost);
            self.damaged.begin(damaged);
        }
    }

    /// Something was read: adds what has been counted since.
    pub fn look(&self, file: &File) {
        if let Ok((lost, damaged)) = ask(file) {
            self.lost.look(lost);
            self.damaged.look(damaged);
            self.asked.fetch_add(1, Relaxed);
        }
    }

    /// Overruns: at least this many bytes never came. `None` where nobody counts.
    pub fn lost(&self) -> Option<u64> {
        self.known(&self.lost)
    }

    /// Bytes with a wrong stop or parity bit. `None` where nobody counts.
    pub fn damaged(&self) -> Option<u64> {
        self.known(&self.damaged)
    }

    fn known(&self, pair: &Pair) -> Option<u64> {
        (self.asked.load(Relaxed) > 0).then(|| pair.total.load(Relaxed))
    }
}

/// Lost and damaged bytes since the host started, as far as 32 bits go.
#[expect(unsafe_code, reason = "an ioctl that rustix has no name for")]
fn ask(file: &File) -> io::Result<(u32, u32)> {
    // SAFETY: TIOCGICOUNT writes a serial_icounter_struct, which is twenty
    // integers, and nothing else.
    let getter = unsafe { Getter::<TIOCGICOUNT, [u32; 20]>::new() };
    // SAFETY: the getter is right for its opcode, as said above.
    let counts = unsafe { ioctl(file, getter) }?;
    let sum = |a: usize, b: usize| counts[a].wrapping_add(counts[b]);
    Ok((sum(OVERRUN, BUFFER_OVERRUN), sum(FRAME, PARITY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_begins_anywhere_and_goes_round() {
        let pair = Pair::default();
        pair.begin(u32::MAX);
        pair.look(u32::MAX);
        pair.look(2);
        assert_eq!(pair.total.load(Relaxed), 3);
        // Opened again, on another device.
        pair.begin(100);
        pair.look(101);
        assert_eq!(pair.total.load(Relaxed), 4);
    }

    #[test]
    fn what_has_no_uart_counts_nothing() {
        let counters = Counters::default();
        let file = File::open("/dev/null").unwrap();
        counters.begin(&file);
        counters.look(&file);
        assert_eq!((counters.lost(), counters.damaged()), (None, None));
    }
}
