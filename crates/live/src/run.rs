//! A run under way: what it was told, what has come of it so far.

use std::{path::PathBuf, time::Instant};

use stalecore_model::{
    cpuset::CpuSet, glossary::Subject, measured::Judge, options::Options, outcomes::Outcomes,
    plan::Plan,
};

use crate::{flight::Flight, offline::Tell, threads::Threads};

/// A run under way.
pub struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) options: &'a Options,
    pub(crate) judge: Judge,
    pub(crate) threads: Threads,
    pub(crate) tell: Tell,
    pub(crate) flight: Flight,
    pub(crate) dir: PathBuf,
    /// Bytes of a line.
    pub(crate) size: usize,
    /// Instructions that end a program here.
    pub(crate) lacking: Vec<Subject>,
    /// Why no CPU can be taken offline, if none can.
    pub(crate) offline: Option<&'static str>,
    pub(crate) started: Instant,
    pub(crate) outcomes: Outcomes,
    pub(crate) generation: u16,
    pub(crate) dropped: u64,
    pub(crate) taken: u64,
    /// An initiator is held up for good.
    pub(crate) ended: bool,
}

impl Run<'_> {
    /// The stale CPUs.
    pub(crate) fn stale(&self) -> CpuSet {
        self.plan.roles.stale
    }

    /// How long after the run's beginning that was, in milliseconds.
    pub(crate) fn ms_until(&self, at: Instant) -> u64 {
        let passed = at.duration_since(self.started);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}
