//! What is known about the scenario while it runs.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64};

use spin::Once;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::StaleState,
    kdump::{Kernel, image::Segment},
    plan::Case,
};

use crate::{conductor::Conductor, measure::Buffers};

/// The crash image in memory.
pub struct Image {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// The checksum of each, as it was loaded.
    pub sums: Vec<u32>,
    /// The buffers that it lies in.
    pub own: Buffers,
    /// The page that the relocation code is copied to.
    pub control: usize,
    /// The first entry of the list.
    pub list: usize,
}

/// What is known about each core while the scenario runs; written by the core itself.
pub struct Watch {
    /// CNTVCT_EL0 when its watchdog was last satisfied.
    pub touched: AtomicU64,
    /// Its watchdog has found it stuck.
    pub locked_up: AtomicBool,
    /// It has taken the crash-stop interrupt.
    pub stopped: AtomicBool,
    /// Where that hit.
    pub stopped_at: AtomicU64,
}

/// The scenario, set up once.
pub struct Setup {
    /// The core that crashes.
    pub cpu: usize,
    /// The cores with interrupts masked, in [`Setup::state`].
    pub stale: CpuSet,
    /// How the stale cores are stuck.
    pub state: StaleState,
    /// The cores stuck in the lock with interrupts open.
    pub rest: CpuSet,
    /// Every core of the kernel that crashes but the one that crashes it.
    pub others: CpuSet,
    /// The case that is played.
    pub case: Case,
    /// Which kernel crashes.
    pub kernel: Kernel,
    /// The watchdog's threshold, in milliseconds.
    pub threshold_ms: u64,
    /// What the run was told.
    pub conductor: &'static Conductor,
    /// By CPU number.
    pub watches: Vec<Watch>,
    /// The crash image.
    pub image: Image,
}

/// The scenario, once it is set up.
pub static SETUP: Once<Setup> = Once::new();

impl Setup {
    /// What is known about a core.
    pub fn watch(&self, cpu: usize) -> &Watch {
        &self.watches[cpu]
    }

    /// How a core is stuck.
    pub fn state_of(&self, cpu: usize) -> StaleState {
        match self.stale.contains(cpu) {
            true => self.state,
            false => StaleState::Qspinlock,
        }
    }

    /// The cores for which `asked` holds.
    pub fn which(&self, asked: impl Fn(&Watch) -> bool) -> CpuSet {
        self.others
            .iter()
            .filter(|cpu| asked(self.watch(*cpu)))
            .collect()
    }

    /// Who watches, if anybody does.
    pub fn sentinel(&self) -> Option<usize> {
        self.conductor.plan.roles.sentinel
    }
}
