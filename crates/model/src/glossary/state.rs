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

/// What is known about a state besides its name.
struct Facts {
    activity: Activity,
    by_default: bool,
}

impl Facts {
    const fn of(activity: Activity) -> Self {
        Self {
            activity,
            by_default: true,
        }
    }

    /// A run has it only by name, or with `all`.
    const fn by_name(self) -> Self {
        Self {
            by_default: false,
            ..self
        }
    }
}

const WAITS: Facts = Facts::of(Activity::Waits);
const BUSY: Facts = Facts::of(Activity::Busy);
const OFF: Facts = Facts::of(Activity::Off);

words! {
    /// How a stale core is stuck.
    StaleState: "stale state", Facts {
        Parked = "parked", "WFI, interrupts open: the control", WAITS;
        WfiMasked = "wfi-masked", "WFI, interrupts masked", WAITS;
        Wfe = "wfe", "WFE, interrupts open", WAITS;
        WfeMasked = "wfe-masked", "WFE, interrupts masked", WAITS;
        Spin = "spin", "a load loop on a flag", BUSY;
        BranchSelf = "branch-self", "b . (no memory access)", BUSY;
        DmbLoop = "dmb-loop", "dmb in a tight loop, as in Cortex-A9 erratum 794072", BUSY;
        LdxrStxr = "ldxr-stxr", "an exclusive retry loop", BUSY;
        TicketLock = "ticket-lock", "waiting for a ticket lock whose owner never releases it", BUSY;
        Qspinlock = "qspinlock", "the MCS queue slow path: ldaxr and wfe on the predecessor", WAITS;
        LockHolder = "lock-holder", "stuck while holding a lock", BUSY;
        StoreStorm = "store-storm", "a stream of stores", BUSY;
        StoreStormPages = "store-storm-pages", "a stream of stores that cross from one page to the next, as in CVE-2025-10263", BUSY.by_name();
        PrfmStorm = "prfm-storm", "a stream of prefetches for store of the initiators' lines", BUSY.by_name();
        LoadStorm = "load-storm", "a stream of loads", BUSY;
        IfetchStorm = "ifetch-storm", "a stream of jumps over many instruction lines", BUSY;
        DcStorm = "dc-storm", "its own stream of dc civac and dsb", BUSY;
        IcStorm = "ic-storm", "its own stream of ic ivau and dsb", BUSY;
        TlbiStorm = "tlbi-storm", "its own stream of tlbi vaae1is and dsb", BUSY;
        DeviceStuck = "device-stuck", "in a load from a device that does not answer: takes no interrupt; EL2 stages it (--fabric)", WAITS.by_name();
        FaultLoop = "fault-loop", "re-entering a synchronous exception", BUSY;
        MmuOff = "mmu-off", "MMU and caches off, polling in assembly", BUSY;
        CpuOff = "cpu-off", "powered off by PSCI CPU_OFF", OFF;
        CpuOffInflight = "cpu-off-inflight", "inside PSCI CPU_OFF while the operation runs", OFF;
        CpuOffAbandoned = "cpu-off-abandoned", "powered off by a CPU_OFF with a wake-up pending, tried again if firmware gave up", OFF.by_name();
        CpuOnInflight = "cpu-on-inflight", "off, and on its way up by PSCI CPU_ON while the operation runs", OFF.by_name();
        CpuSuspend = "cpu-suspend", "in PSCI CPU_SUSPEND, standby", WAITS;
        CrashStopped = "crash-stopped", "what ipi_cpu_crash_stop does: masked, CPU_OFF, or wfe and wfi for ever", OFF;
        NeverStarted = "never-started", "never brought up in this boot", OFF;
    }
}

impl StaleState {
    /// Is the core powered off, so that PSCI AFFINITY_INFO is its proof?
    pub fn powered_off(self) -> bool {
        self.facts().activity == Activity::Off
    }

    /// Does the core execute instructions without end, none of which waits?
    pub fn is_busy(self) -> bool {
        self.facts().activity == Activity::Busy
    }

    /// Does an emulator that runs all cores in turn go on to the next at once? What races
    /// with the operation is to run beside it.
    pub fn gives_turn_away(self) -> bool {
        !self.is_busy() && !matches!(self, Self::CpuOffInflight | Self::CpuOnInflight)
    }

    /// Is it in a run without `--stale`?
    pub const fn is_default(self) -> bool {
        self.facts().by_default
    }

    /// The states of a run without `--stale`.
    pub fn default_set() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|s| s.is_default())
    }

    /// The state whose number (`as u8`) this is.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}
