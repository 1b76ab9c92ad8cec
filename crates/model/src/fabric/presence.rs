//! Which stale state each core is in at the moment; the fabric decides by it whether a
//! core answers.

use crate::{
    cpuset::CpuSet,
    glossary::StaleState,
    sync::{AtomicU8, Ordering},
};

use super::CORES;

/// This bit says that a rung of the release ladder has made the core answer.
const HEALED: u8 = 0x80;

/// Stands for a core that was stuck before this boot. It is in none of our states, and a
/// rung reaches it only if that was asked for.
const INHERITED: u8 = 0x7f;

const _: () = assert!(StaleState::ALL.len() < INHERITED as usize);

/// The stale state of every core, written by whoever puts a core into one and read by
/// every core that waits in the fabric. Plain loads and stores, so the sentinel may use it
/// too.
#[derive(Debug)]
pub struct Presence {
    /// 0, or the state's number plus one, and [`HEALED`].
    cores: [AtomicU8; CORES],
}

impl Default for Presence {
    fn default() -> Self {
        Self::new()
    }
}

impl Presence {
    /// No core is stale.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            cores: [const { AtomicU8::new(0) }; CORES],
        }
    }

    /// No core is stale.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            cores: core::array::from_fn(|_| AtomicU8::new(0)),
        }
    }

    /// The core is in this stale state from now on, and not healed.
    ///
    /// # Panics
    /// If there is no such core.
    pub fn enter(&self, core: usize, state: StaleState) {
        self.cores[core].store(state as u8 + 1, Ordering::Release);
    }

    /// The core is in no stale state from now on.
    ///
    /// # Panics
    /// If there is no such core.
    pub fn leave(&self, core: usize) {
        self.cores[core].store(0, Ordering::Release);
    }

    /// The core was stuck before this boot, and stays so.
    ///
    /// # Panics
    /// If there is no such core.
    pub fn inherit(&self, core: usize) {
        self.cores[core].store(INHERITED, Ordering::Release);
    }

    /// Was the core stuck before this boot?
    pub(super) fn is_inherited(&self, core: usize) -> bool {
        let word = self.cores.get(core);
        word.is_some_and(|word| word.load(Ordering::Acquire) == INHERITED)
    }

    /// The core's stale state, if it is in one of our states.
    pub fn state(&self, core: usize) -> Option<StaleState> {
        self.read(core).0
    }

    /// The core answers from now on, until it enters a stale state again.
    pub(super) fn heal(&self, core: usize) {
        if let Some(word) = self.cores.get(core) {
            word.fetch_or(HEALED, Ordering::AcqRel);
        }
    }

    /// The core's stale state, and whether it was healed in it.
    pub(super) fn read(&self, core: usize) -> (Option<StaleState>, bool) {
        let word = self
            .cores
            .get(core)
            .map_or(0, |word| word.load(Ordering::Acquire));
        let state = (word & !HEALED)
            .checked_sub(1)
            .and_then(StaleState::from_number);
        (state, word & HEALED != 0)
    }

    /// The cores that are in one of our stale states.
    pub fn stale(&self) -> CpuSet {
        (0..CORES)
            .filter(|core| self.state(*core).is_some())
            .collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_healed_until_it_is_stuck_again() {
        let presence = Presence::new();
        assert_eq!(presence.state(77), None);
        presence.enter(77, StaleState::TicketLock);
        presence.heal(77);
        assert_eq!(presence.read(77), (Some(StaleState::TicketLock), true));
        presence.enter(77, StaleState::Parked);
        assert_eq!(presence.read(77), (Some(StaleState::Parked), false));
        assert_eq!(presence.stale(), CpuSet::one(77));
        // What was stuck before us is in no state of ours.
        presence.inherit(78);
        assert!(presence.is_inherited(78) && !presence.is_inherited(77));
        assert_eq!(presence.read(78), (None, false));
        presence.heal(78);
        assert!(presence.read(78).1);
        presence.leave(77);
        assert_eq!(presence.read(77), (None, false));
    }
}
