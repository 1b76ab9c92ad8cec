//! The stale states.

/// What a core does in a stale state, as far as others can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// It waits, by WFI or WFE or in firmware. (An emulator gives the turn to
    /// the next core.)
    Waits,
    /// It executes instructions without end, none of which waits.
    Busy,
    /// It is powered off: PSCI AFFINITY_INFO is its proof.
    Off,
}

use Activity::{Busy, Off, Waits};

words! {
    /// How a stale core is stuck.
    StaleState: "stale state", Activity {
        Parked = "parked", "WFI, interrupts open: the control", Waits;
        WfiMasked = "wfi-masked", "WFI, interrupts masked", Waits;
        Wfe = "wfe", "WFE, interrupts open", Waits;
        WfeMasked = "wfe-masked", "WFE, interrupts masked", Waits;
        Spin = "spin", "a load loop on a flag", Busy;
        BranchSelf = "branch-self", "b . (no memory access)", Busy;
        DmbLoop = "dmb-loop", "dmb in a tight loop, as in Cortex-A9 erratum 794072", Busy;
        LdxrStxr = "ldxr-stxr", "an exclusive retry loop", Busy;
        TicketLock = "ticket-lock", "waiting for a ticket lock whose owner never releases it", Busy;
        Qspinlock = "qspinlock", "the MCS queue slow path: ldaxr and wfe on the predecessor", Waits;
        LockHolder = "lock-holder", "stuck while holding a lock", Busy;
        StoreStorm = "store-storm", "a stream of stores", Busy;
        LoadStorm = "load-storm", "a stream of loads", Busy;
        IfetchStorm = "ifetch-storm", "a stream of jumps over many instruction lines", Busy;
        DcStorm = "dc-storm", "its own stream of dc civac and dsb", Busy;
        IcStorm = "ic-storm", "its own stream of ic ivau and dsb", Busy;
        TlbiStorm = "tlbi-storm", "its own stream of tlbi vaae1is and dsb", Busy;
        FaultLoop = "fault-loop", "re-entering a synchronous exception", Busy;
        MmuOff = "mmu-off", "MMU and caches off, polling in assembly", Busy;
        CpuOff = "cpu-off", "powered off by PSCI CPU_OFF", Off;
        CpuOffInflight = "cpu-off-inflight", "inside PSCI CPU_OFF while the operation runs", Off;
        CpuSuspend = "cpu-suspend", "in PSCI CPU_SUSPEND, standby", Waits;
        CrashStopped = "crash-stopped", "what ipi_cpu_crash_stop does: masked, CPU_OFF, or wfe and wfi for ever", Off;
        NeverStarted = "never-started", "never brought up in this boot", Off;
    }
}

impl StaleState {
    /// Is the core powered off, so that PSCI AFFINITY_INFO is its proof?
    pub fn powered_off(self) -> bool {
        *self.facts() == Off
    }

    /// Does the core execute instructions without end, none of which waits?
    pub fn is_busy(self) -> bool {
        *self.facts() == Busy
    }

    /// The state whose number (`as u8`) this is.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}
