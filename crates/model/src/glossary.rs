//! The project's words, each meaning one thing: operations, routines, stale
//! states, line states, verdicts. The command line, the image's tables, the
//! records and the documentation all use the names given here.

/// Defines an enum whose variants have a kebab-case name and a one-line
/// explanation, with `ALL`, `name`, `about`, `from_name` and serde by name.
macro_rules! words {
    ($(#[$meta:meta])* $kind:ident: $what:literal {
        $($(#[$vmeta:meta])* $variant:ident = $name:literal, $about:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum $kind {
            $(
                #[doc = $about]
                #[serde(rename = $name)]
                $(#[$vmeta])*
                $variant,
            )*
        }

        impl $kind {
            /// Every value, in the order of the glossary.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the command line and in records.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it is, in one line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),* }
            }

            /// Finds the value of that name.
            ///
            /// # Errors
            /// Names the unknown word and lists the allowed ones.
            pub fn from_name(name: &str) -> Result<Self, alloc::string::String> {
                Self::ALL.iter().copied().find(|v| v.name() == name).ok_or_else(|| {
                    let allowed: alloc::vec::Vec<_> =
                        Self::ALL.iter().map(|v| v.name()).collect();
                    alloc::format!(
                        "'{name}' is no {}; allowed: {}", $what, allowed.join(", ")
                    )
                })
            }
        }

        impl core::fmt::Display for $kind {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words! {
    /// What a case runs and times: an operation, a routine or a self-test.
    Subject: "operation or routine" {
        None = "none", "the empty timed block";
        DcCivac = "dc-civac", "clean and invalidate a data line to the point of coherency";
        DcCvau = "dc-cvau", "clean a data line to the point of unification";
        DcCvac = "dc-cvac", "clean a data line to the point of coherency";
        IcIvau = "ic-ivau", "invalidate an instruction line, broadcast";
        IcIalluis = "ic-ialluis", "invalidate all instruction caches, broadcast";
        TlbiVaae1is = "tlbi-vaae1is", "invalidate one address's TLB entries, broadcast";
        TlbiVmalle1is = "tlbi-vmalle1is", "invalidate all EL1 TLB entries, broadcast";
        DsbIsh = "dsb-ish", "the barrier (inner shareable) behind one posted ic ivau";
        DsbSy = "dsb-sy", "the barrier (full system) behind one posted ic ivau";
        IcIallu = "ic-iallu", "control: invalidate this core's instruction cache";
        TlbiVmalle1 = "tlbi-vmalle1", "control: invalidate this core's EL1 TLB entries";
        DsbIdle = "dsb-idle", "control: a dsb ish with nothing pending";
        FlushDcacheArea = "flush-dcache-area", "__flush_dcache_area over one page";
        FlushIcacheRange = "flush-icache-range", "flush_icache_range over one page, end given";
        FlushIcacheRangeSize = "flush-icache-range-size", "the report's own call: a size for an end, so one dc cvau and one ic ivau";
        KexecListFlush = "kexec-list-flush", "kexec_list_flush over a list of entries and pages";
        MachineKexec = "machine-kexec", "copy, __flush_dcache_area, flush_icache_range, kexec_list_flush";
        FlushIcacheRangeIdc = "flush-icache-range-idc", "flush_icache_range as patched where CTR_EL0.IDC is set";
        FlushIcacheRangeDic = "flush-icache-range-dic", "flush_icache_range as patched where CTR_EL0.DIC is set";
        FlushIcacheRangeIdcDic = "flush-icache-range-idc-dic", "flush_icache_range as patched where IDC and DIC are set";
        FlushIcacheRangeCleanCache = "flush-icache-range-clean-cache", "flush_icache_range as patched by ARM64_WORKAROUND_CLEAN_CACHE";
        CachesCleanInvalPou = "caches-clean-inval-pou", "flush_icache_range's name from 5.14 on";
        DcacheCleanInvalPoc = "dcache-clean-inval-poc", "__flush_dcache_area's name from 5.14 on, end given";
        IcacheInvalPou = "icache-inval-pou", "the ic ivau loop alone, 5.14 on";
        SelftestHang = "selftest-hang", "self-test: never returns, DAIF masked; must give blocked";
        SelftestFault = "selftest-fault", "self-test: dc zva on an unmapped address; must give faulted";
        SelftestSlow = "selftest-slow", "self-test: late when stale cores exist; must give slowed";
        SelftestStale = "selftest-stale", "self-test: runs older code after its flush; must give incoherent";
        SelftestUnseen = "selftest-unseen", "self-test: a routine without an operation to see in it; must give inconclusive";
    }
}

/// What kind of thing a [`Subject`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One instruction, timed alone.
    Operation,
    /// A kernel loop built of operations, timed as a whole.
    Routine,
    /// Exists so that a verdict can be proved anywhere.
    Selftest,
}

impl Subject {
    /// Operation, routine or self-test?
    pub const fn kind(self) -> Kind {
        match self as u8 {
            n if n <= Self::DsbIdle as u8 => Kind::Operation,
            n if n <= Self::IcacheInvalPou as u8 => Kind::Routine,
            _ => Kind::Selftest,
        }
    }

    /// The instruction or kernel symbol, as an engineer writes it.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::DcCivac => "dc civac",
            Self::DcCvau => "dc cvau",
            Self::DcCvac => "dc cvac",
            Self::IcIvau => "ic ivau",
            Self::IcIalluis => "ic ialluis",
            Self::TlbiVaae1is => "tlbi vaae1is",
            Self::TlbiVmalle1is => "tlbi vmalle1is",
            Self::DsbIsh | Self::DsbIdle => "dsb ish",
            Self::DsbSy => "dsb sy",
            Self::IcIallu => "ic iallu",
            Self::TlbiVmalle1 => "tlbi vmalle1",
            Self::FlushDcacheArea => "__flush_dcache_area",
            Self::FlushIcacheRange | Self::FlushIcacheRangeSize => "flush_icache_range",
            Self::KexecListFlush => "kexec_list_flush",
            Self::MachineKexec => "machine_kexec",
            Self::FlushIcacheRangeIdc => "flush_icache_range_idc",
            Self::FlushIcacheRangeDic => "flush_icache_range_dic",
            Self::FlushIcacheRangeIdcDic => "flush_icache_range_idc_dic",
            Self::FlushIcacheRangeCleanCache => "flush_icache_range_clean_cache",
            Self::CachesCleanInvalPou => "caches_clean_inval_pou",
            Self::DcacheCleanInvalPoc => "dcache_clean_inval_poc",
            Self::IcacheInvalPou => "icache_inval_pou",
            Self::SelftestHang => "selftest_hang",
            Self::SelftestFault => "selftest_fault",
            Self::SelftestSlow => "selftest_slow",
            Self::SelftestStale => "selftest_stale",
            Self::SelftestUnseen => "selftest_unseen",
        }
    }

    /// What a run without `--ops` measures: every operation, and the routines
    /// of the report. The patched and renamed routines come with `--ops all`.
    pub fn default_set() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|s| (*s as u8) <= Self::MachineKexec as u8)
    }

    /// Does it run on a line, so that the line state matters?
    pub const fn takes_line(self) -> bool {
        !matches!(
            self,
            Self::None
                | Self::IcIalluis
                | Self::TlbiVmalle1is
                | Self::IcIallu
                | Self::TlbiVmalle1
                | Self::DsbIdle
                | Self::SelftestHang
        )
    }
}

words! {
    /// How a stale core is stuck.
    StaleState: "stale state" {
        Parked = "parked", "WFI, interrupts open: the control";
        WfiMasked = "wfi-masked", "WFI, interrupts masked";
        Wfe = "wfe", "WFE, interrupts open";
        WfeMasked = "wfe-masked", "WFE, interrupts masked";
        Spin = "spin", "a load loop on a flag";
        BranchSelf = "branch-self", "b . (no memory access)";
        DmbLoop = "dmb-loop", "dmb in a tight loop, as in Cortex-A9 erratum 794072";
        LdxrStxr = "ldxr-stxr", "an exclusive retry loop";
        TicketLock = "ticket-lock", "waiting for a ticket lock whose owner never releases it";
        Qspinlock = "qspinlock", "the MCS queue slow path: ldaxr and wfe on the predecessor";
        LockHolder = "lock-holder", "stuck while holding a lock";
        StoreStorm = "store-storm", "a stream of stores";
        LoadStorm = "load-storm", "a stream of loads";
        IfetchStorm = "ifetch-storm", "a stream of jumps over many instruction lines";
        DcStorm = "dc-storm", "its own stream of dc civac and dsb";
        IcStorm = "ic-storm", "its own stream of ic ivau and dsb";
        TlbiStorm = "tlbi-storm", "its own stream of tlbi vaae1is and dsb";
        FaultLoop = "fault-loop", "re-entering a synchronous exception";
        MmuOff = "mmu-off", "MMU and caches off, polling in assembly";
        CpuOff = "cpu-off", "powered off by PSCI CPU_OFF";
        CpuOffInflight = "cpu-off-inflight", "inside PSCI CPU_OFF while the operation runs";
        CpuSuspend = "cpu-suspend", "in PSCI CPU_SUSPEND, standby";
        CrashStopped = "crash-stopped", "what ipi_cpu_crash_stop does: masked, CPU_OFF, or wfe and wfi for ever";
        NeverStarted = "never-started", "never brought up in this boot";
    }
}

impl StaleState {
    /// Is the core powered off, so that PSCI AFFINITY_INFO is its proof?
    pub const fn powered_off(self) -> bool {
        matches!(
            self,
            Self::CpuOff | Self::CpuOffInflight | Self::CrashStopped | Self::NeverStarted
        )
    }

    /// Does the core execute instructions without end, none of which waits? (WFE
    /// waits: an emulator gives the turn to the next core.)
    pub const fn is_busy(self) -> bool {
        matches!(
            self,
            Self::Spin
                | Self::BranchSelf
                | Self::DmbLoop
                | Self::LdxrStxr
                | Self::TicketLock
                | Self::LockHolder
                | Self::StoreStorm
                | Self::LoadStorm
                | Self::IfetchStorm
                | Self::DcStorm
                | Self::IcStorm
                | Self::TlbiStorm
                | Self::FaultLoop
                | Self::MmuOff
        )
    }

    /// The state whose number (`as u8`) this is.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

words! {
    /// What the caches hold before the operation.
    LineState: "line state" {
        Cold = "cold", "in no cache: cleaned and invalidated to the point of coherency";
        DirtyHere = "dirty-here", "modified by the initiator";
        DirtyThere = "dirty-there", "modified by a stale core before it got stuck";
        Shared = "shared", "read by the initiator and the stale cores";
        ExecutedThere = "executed-there", "in the stale cores' instruction caches";
    }
}

impl LineState {
    /// Do the stale cores have to touch the lines before they get stuck?
    pub const fn needs_stale_core(self) -> bool {
        matches!(self, Self::DirtyThere | Self::Shared | Self::ExecutedThere)
    }
}

words! {
    /// What was found of a case, least serious first.
    Verdict: "verdict" {
        Completed = "completed", "returned, within the slow-down threshold of its baseline";
        Skipped = "skipped", "not run, for the reason given";
        Inconclusive = "inconclusive", "ran, but a control shows that it proves nothing";
        Slowed = "slowed", "returned, later than the threshold allows against its baseline";
        Faulted = "faulted", "took an exception and returned through its fixup";
        Blocked = "blocked", "had not returned when the deadline passed";
        Incoherent = "incoherent", "returned, and stale data or instructions were seen";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_are_unique_kebab_case_and_found_again() {
        for subject in Subject::ALL {
            assert_eq!(Subject::from_name(subject.name()), Ok(*subject));
            assert!(
                subject
                    .name()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
        }
        let names: BTreeSet<_> = StaleState::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), 24);
    }

    #[test]
    fn unknown_word_is_named_with_the_allowed_ones() {
        let error = LineState::from_name("warm").unwrap_err();
        assert!(
            error.contains("'warm'") && error.contains("dirty-there"),
            "{error}"
        );
    }

    #[test]
    fn kinds_split_the_list() {
        assert_eq!(Subject::DsbIdle.kind(), Kind::Operation);
        assert_eq!(Subject::FlushDcacheArea.kind(), Kind::Routine);
        assert_eq!(Subject::IcacheInvalPou.kind(), Kind::Routine);
        assert_eq!(Subject::SelftestHang.kind(), Kind::Selftest);
        assert_eq!(Subject::default_set().count(), 18);
    }
}
