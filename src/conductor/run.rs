//! A run under way: what it was told, what has come of it so far.

use alloc::vec::Vec;

use stalecore_model::{
    cpuset::CpuSet, measured::Judge, options::AfterBlock, outcomes::Outcomes, plan::Plan,
};

use stalecore_routines::counter::Counter;

use crate::{cores::survey, report::recorder::Left};

/// Everything that the conductor needs, made at boot.
pub struct Conductor {
    /// What to do.
    pub plan: Plan,
    /// Samples per case and class.
    pub samples: u32,
    /// The slow-down that counts against the exit code, if any.
    pub max_slowdown: Option<u32>,
    /// What times them.
    pub counter: Counter,
    /// How cases are judged.
    pub judge: Judge,
    /// Look for the smallest set of stale cores that still blocks?
    pub bisect: bool,
    /// How long a blocked operation may take to return by itself, in milliseconds, if
    /// that was asked for.
    pub wait_ms: Option<u32>,
    /// What follows a block that nothing releases.
    pub after_block: AfterBlock,
    /// What an earlier boot has left of this plan.
    pub left: Option<Left>,
    /// The cores that answer.
    pub present: CpuSet,
    /// The cores that were stuck before this boot, beside each case.
    pub inherited: CpuSet,
    /// Those of them that may be interrupted, when nothing else releases an operation.
    pub disturbed: CpuSet,
    /// Does the emulator count instructions, all cores sharing one thread?
    pub counts_instructions: bool,
    /// The core that booted: it was started, whatever the plan wants.
    pub boot_cpu: usize,
    /// CNTVCT_EL0 at entry.
    pub started: u64,
}

/// A run under way.
pub struct Run<'a> {
    pub(super) conductor: &'a Conductor,
    pub(super) outcomes: Outcomes,
    /// Cores whose registers have been reported.
    pub(super) reported: CpuSet,
    /// The cores that answer, as far as is known.
    pub(super) present: CpuSet,
    /// Asynchronous aborts that have been reported.
    pub(super) serrors: u64,
    /// The culprits of earlier cases, which the next search tries first.
    pub(super) suspects: Vec<CpuSet>,
    /// An initiator is held up for good: nothing more can be run.
    pub(super) ended: bool,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub fn new(conductor: &'a Conductor) -> Self {
        Self {
            conductor,
            outcomes: Outcomes::new(conductor.max_slowdown.is_some()),
            reported: survey::known(),
            present: conductor.present,
            serrors: 0,
            suspects: Vec::new(),
            ended: false,
        }
    }
}
