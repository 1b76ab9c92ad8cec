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
    gate: Option<&'static str>,
}

impl Facts {
    const fn of(activity: Activity) -> Self {
        Self {
            activity,
            by_default: true,
            gate: None,
        }
    }

    /// It can cost the machine, for this reason: only with `--allow`, and by name.
    const fn gated(self, why: &'static str) -> Self {
        Self {
            gate: Some(why),
            ..self.by_name()
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
        StoreStorm = "store-storm", "a stream of stores over 512 KiB, more than a first-level cache", BUSY;
        StoreStormPages = "store-storm-pages", "a stream of stores that cross from one page to the next, as in CVE-2025-10263", BUSY.by_name();
        PrfmStorm = "prfm-storm", "a stream of prefetches for store of the initiators' lines", BUSY.by_name();
        LoadStorm = "load-storm", "a stream of loads over 512 KiB, more than a first-level cache", BUSY;
        IfetchStorm = "ifetch-storm", "a stream of jumps over many instruction lines", BUSY;
        DcStorm = "dc-storm", "its own stream of dc civac and dsb", BUSY;
        IcStorm = "ic-storm", "its own stream of ic ivau and dsb", BUSY;
        TlbiStorm = "tlbi-storm", "its own stream of tlbi vaae1is and dsb", BUSY;
        SgiStorm = "sgi-storm", "a stream of interrupts to the initiators, whose handler broadcasts an ic ivau of its own, as in i.MX6 ERR003720", BUSY.by_name();
        DeviceStuck = "device-stuck", "in a load from a device that does not answer: takes no interrupt; EL2 stages it (--fabric), or a device that is known for it (--device-stuck-at), with --allow", WAITS.gated("only a reset ends a load that is never answered, as where DSU erratum 798953 loses the answer");
        FaultLoop = "fault-loop", "re-entering a synchronous exception", BUSY;
        MmuOff = "mmu-off", "MMU and caches off, polling in assembly", BUSY;
        CpuOff = "cpu-off", "powered off by PSCI CPU_OFF", OFF;
        CpuOffInflight = "cpu-off-inflight", "inside PSCI CPU_OFF while the operation runs", OFF;
        CpuOffAbandoned = "cpu-off-abandoned", "powered off by a CPU_OFF with a wake-up pending, tried again if firmware gave up, with --allow", OFF.gated("the core may deadlock in power-down: errata 2326639 (Neoverse N2), 2291219 (Cortex-A710, X2), 2313909 (Cortex-X3)");
        CpuOnInflight = "cpu-on-inflight", "off, and on its way up by PSCI CPU_ON while the operation runs", OFF.by_name();
        CpuSuspend = "cpu-suspend", "in PSCI CPU_SUSPEND, standby", WAITS;
        CpuSuspendPowerdown = "cpu-suspend-powerdown", "powered down by PSCI CPU_SUSPEND, by the first such idle state of the device tree", WAITS.by_name();
        SdeiParked = "sdei-parked", "inside an SDEI event that is not completed, as newer Linux parks a CPU that it stops", BUSY.by_name();
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

    /// Why it may cost the machine, if it may: a run has it only with `--allow`.
    pub const fn gate(self) -> Option<&'static str> {
        self.facts().gate
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// What an emulator in one thread can run, and what has to have a thread beside it.
    #[test]
    fn what_waits_gives_its_turn_away_and_what_races_does_not() {
        let of = |is: fn(StaleState) -> bool| -> Vec<&str> {
            let all = StaleState::ALL.iter().filter(|state| is(**state));
            all.map(|state| state.name()).collect()
        };
        let busy = of(StaleState::is_busy);
        assert!(busy.contains(&"spin") && busy.contains(&"tlbi-storm"));
        assert!(!busy.contains(&"wfe") && !busy.contains(&"cpu-off"));
        let off = of(StaleState::powered_off);
        assert!(off.contains(&"cpu-off-inflight") && !off.contains(&"cpu-suspend"));
        assert_eq!(
            of(StaleState::gives_turn_away),
            [
                "parked",
                "wfi-masked",
                "wfe",
                "wfe-masked",
                "qspinlock",
                "device-stuck",
                "cpu-off",
                "cpu-off-abandoned",
                "cpu-suspend",
                "cpu-suspend-powerdown",
                "crash-stopped",
                "never-started"
            ]
        );
        assert!(!StaleState::PrfmStorm.is_default() && StaleState::Wfe.is_default());
    }
}
