//! An operation under way in the node.

use crate::cpuset::CpuSet;

/// How far an operation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Not complete for its requester: look again later.
    Waiting,
    /// Complete for its requester.
    Done,
    /// It faults: inject [`super::trap::INJECTED_ESR_EL1`].
    Faulted,
}

/// An operation that its requester has posted and not seen complete. Dropping
/// it is what a reset or a kicked core does: what was accepted stays in the
/// node until it is answered.
#[derive(Debug)]
#[must_use = "the operation is complete only when `Fabric::poll` says so"]
pub struct Ticket {
    pub(super) core: usize,
    /// The tick at which it was posted.
    pub(super) posted: u64,
    /// The tick until which it is held, whoever answers.
    pub(super) held_until: u64,
    pub(super) state: State,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum State {
    Done,
    Faulted,
    /// A DVM message that found no place yet.
    Posting,
    /// A DVM message in a place, not completed early.
    Open {
        place: usize,
        generation: u32,
    },
    /// A Sync behind messages that are not finished, or behind another Sync.
    Held,
    /// The Sync.
    Syncing {
        generation: u32,
    },
    /// A coherence snoop. Only its requester ever looks at it.
    Snooping {
        missing: CpuSet,
        due: u64,
    },
}
