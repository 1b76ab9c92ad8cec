//! Which cores may hold the lines under test: the fabric's snoop filter.

use core::ops::Range;

use crate::{
    cpuset::CpuSet,
    glossary::LineState,
    sync::{AtomicU64, Ordering},
};

use super::CORES;

/// The cores that a coherence snoop goes to, out of `touched`: the stale cores that wrote
/// or read the lines before they got stuck. Data maintenance does not snoop instruction
/// caches, so `executed-there` names none.
pub const fn holders(line: LineState, touched: CpuSet) -> CpuSet {
    match line {
        LineState::DirtyThere | LineState::Shared => touched,
        LineState::Cold | LineState::DirtyHere | LineState::ExecutedThere => CpuSet::EMPTY,
    }
}

/// The address range under test and the cores that may hold its lines. Set
/// between cases, while no operation is in flight; read at each trap.
#[derive(Debug)]
pub(super) struct Lines {
    start: AtomicU64,
    end: AtomicU64,
    cores: [AtomicU64; CORES.div_ceil(64)],
}

impl Lines {
    /// No line is held by another core.
    pub(super) fn new() -> Self {
        Self {
            start: AtomicU64::new(0),
            end: AtomicU64::new(0),
            cores: core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// From now on these cores may hold the lines of this range of virtual addresses, and
    /// no core holds any other line.
    pub(super) fn set(&self, range: Range<u64>, cores: &CpuSet) {
        // An empty range while the rest changes: a reader sees no holder
        // rather than one of two cases at once.
        self.end.store(0, Ordering::Release);
        for (i, word) in self.cores.iter().enumerate() {
            let bits = (0..64).filter(|bit| cores.contains(i * 64 + bit));
            word.store(bits.fold(0, |word, bit| word | 1 << bit), Ordering::Release);
        }
        self.start.store(range.start, Ordering::Release);
        self.end.store(range.end, Ordering::Release);
    }

    /// The cores that may hold the line at this virtual address.
    pub(super) fn holders(&self, address: u64) -> CpuSet {
        let mut cores = CpuSet::EMPTY;
        if address >= self.end.load(Ordering::Acquire)
            || address < self.start.load(Ordering::Acquire)
        {
            return cores;
        }
        for (i, word) in self.cores.iter().enumerate() {
            let mut bits = word.load(Ordering::Acquire);
            while bits != 0 {
                cores.insert(i * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
        cores
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_under_test_have_holders() {
        let lines = Lines::new();
        assert!(lines.holders(0).is_empty());
        let cores = CpuSet::parse("0,63-64,511").unwrap();
        lines.set(0x4000..0x5000, &cores);
        assert_eq!(lines.holders(0x4000), cores);
        assert_eq!(lines.holders(0x4fff), cores);
        assert!(lines.holders(0x3fff).is_empty());
        assert!(lines.holders(0x5000).is_empty());
        lines.set(0..u64::MAX, &CpuSet::one(1));
        assert_eq!(lines.holders(0x4000), CpuSet::one(1));
    }

    #[test]
    fn the_line_state_says_who_may_hold_the_lines() {
        let stale = CpuSet::parse("1-3").unwrap();
        for line in LineState::ALL {
            let held = matches!(line, LineState::DirtyThere | LineState::Shared);
            assert_eq!(
                holders(*line, stale),
                if held { stale } else { CpuSet::EMPTY }
            );
        }
    }
}
