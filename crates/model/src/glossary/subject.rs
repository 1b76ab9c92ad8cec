//! What a case runs: operations, routines and self-tests.

use crate::{
    hazard,
    maintenance::{Maintenance, MessageClass},
};

/// CTR_EL0.IDC: instruction fetch sees data without a clean.
pub const IDC: u64 = 1 << 28;
/// CTR_EL0.DIC: instruction fetch needs no invalidate of instruction caches.
pub const DIC: u64 = 1 << 29;

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

/// What a [`Subject`] runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// Nothing: the line state does not matter to it.
    Nothing,
    /// Lines of data.
    Data,
    /// Lines of code.
    Code,
    /// The number of a page of data.
    Page,
    /// An address that is mapped nowhere.
    Unmapped,
    /// A line that no cache holds: a new one each time, never touched before.
    Far,
    /// A device's register.
    Device,
}

use Operand::{Code, Data, Device, Far, Nothing, Page, Unmapped};

/// What a subject needs that a machine, or a stale state, may not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// FEAT_LSE.
    Lse,
    /// FEAT_TLBIRANGE.
    TlbRange,
    /// PSCI.
    Psci,
    /// A core that takes interrupts where it is stuck.
    Taker,
    /// EL2, as the image was entered there.
    El2,
}

/// What is known about a subject besides its name.
struct Facts {
    kind: Kind,
    symbol: &'static str,
    operand: Operand,
    sends: Option<MessageClass>,
    instruction: Option<Maintenance>,
    needs: Option<Need>,
    by_default: bool,
    makes_code_visible: bool,
    /// The bits of CTR_EL0 without which it does not: [`IDC`], [`DIC`].
    relies_on: u64,
    parts: &'static [Subject],
}

/// A maintenance instruction.
const fn operation(instruction: Maintenance, operand: Operand) -> Facts {
    Facts {
        instruction: Some(instruction),
        ..barrier(instruction.name(), operand, instruction.class())
    }
}

/// A barrier, or nothing at all.
const fn barrier(symbol: &'static str, operand: Operand, sends: MessageClass) -> Facts {
    Facts {
        kind: Kind::Operation,
        sends: Some(sends),
        ..routine(symbol, operand)
    }
    .by_default()
}

/// Something to compare maintenance with that is none: what it runs on and sends.
const fn control(symbol: &'static str, operand: Operand, sends: MessageClass) -> Facts {
    barrier(symbol, operand, sends).by_name()
}

/// A routine of the kernel, by its symbol there.
const fn routine(symbol: &'static str, operand: Operand) -> Facts {
    Facts {
        kind: Kind::Routine,
        symbol,
        operand,
        sends: None,
        instruction: None,
        needs: None,
        by_default: false,
        makes_code_visible: false,
        relies_on: 0,
        parts: &[],
    }
}

/// A self-test.
const fn selftest(symbol: &'static str, operand: Operand) -> Facts {
    Facts {
        kind: Kind::Selftest,
        ..routine(symbol, operand)
    }
}

impl Facts {
    /// It is in a run without `--ops`.
    const fn by_default(self) -> Self {
        Self {
            by_default: true,
            ..self
        }
    }

    /// A run has it only by name, or with `all`.
    const fn by_name(self) -> Self {
        Self {
            by_default: false,
            ..self
        }
    }

    /// It needs something that not every machine has.
    const fn needs(self, need: Need) -> Self {
        Self {
            needs: Some(need),
            ..self
        }
    }

    /// It makes freshly written code visible to instruction fetch if CTR_EL0 has these
    /// bits, and leaves out what is needed without them.
    const fn relies_on(self, bits: u64) -> Self {
        Self {
            relies_on: bits,
            ..self.makes_code_visible()
        }
    }

    /// It makes freshly written code visible to instruction fetch.
    const fn makes_code_visible(self) -> Self {
        Self {
            makes_code_visible: true,
            ..self
        }
    }

    /// It runs these routines.
    const fn of(self, parts: &'static [Subject]) -> Self {
        Self { parts, ..self }
    }
}

use Subject as S;

words! {
    /// What a case runs and times: an operation, a routine or a self-test.
    Subject: "operation or routine", Facts {
        None = "none", "the empty timed block", barrier("none", Nothing, MessageClass::Local);
        DcCivac = "dc-civac", "clean and invalidate a data line to the point of coherency", operation(Maintenance::DcCivac, Data);
        DcCvau = "dc-cvau", "clean a data line to the point of unification", operation(Maintenance::DcCvau, Code);
        DcCvac = "dc-cvac", "clean a data line to the point of coherency", operation(Maintenance::DcCvac, Data);
        DcIvac = "dc-ivac", "invalidate a data line to the point of coherency: throws dirty data away, so by name only", operation(Maintenance::DcIvac, Data).by_name();
        IcIvau = "ic-ivau", "invalidate an instruction line, broadcast", operation(Maintenance::IcIvau, Code);
        IcIvauNsh = "ic-ivau-nsh", "control: the same, and the barrier of this core alone behind it", operation(Maintenance::IcIvau, Code).by_name();
        IcIalluis = "ic-ialluis", "invalidate all instruction caches, broadcast", operation(Maintenance::IcIalluis, Nothing);
        TlbiVaae1is = "tlbi-vaae1is", "invalidate one address's TLB entries, broadcast", operation(Maintenance::TlbiVaae1is, Page);
        TlbiVae1is = "tlbi-vae1is", "invalidate one address's TLB entries of one ASID, broadcast", operation(Maintenance::TlbiVae1is, Page).by_name();
        TlbiVale1is = "tlbi-vale1is", "the same, last level alone: what Linux issues for a page", operation(Maintenance::TlbiVale1is, Page).by_name();
        TlbiVaale1is = "tlbi-vaale1is", "one address's last-level TLB entries of every ASID, broadcast", operation(Maintenance::TlbiVaale1is, Page).by_name();
        TlbiAside1is = "tlbi-aside1is", "one ASID's TLB entries, broadcast", operation(Maintenance::TlbiAside1is, Nothing).by_name();
        TlbiRvae1is = "tlbi-rvae1is", "a range of addresses' TLB entries (FEAT_TLBIRANGE), broadcast", operation(Maintenance::TlbiRvae1is, Page).by_name().needs(Need::TlbRange);
        TlbiVmalle1is = "tlbi-vmalle1is", "invalidate all EL1 TLB entries, broadcast", operation(Maintenance::TlbiVmalle1is, Nothing);
        TlbiAlle2is = "tlbi-alle2is", "invalidate all EL2 TLB entries, broadcast by EL2, the call of EL2 included", operation(Maintenance::TlbiAlle2is, Nothing).by_name().needs(Need::El2);
        TlbiVmalls12e1is = "tlbi-vmalls12e1is", "invalidate all EL1 TLB entries of both stages, broadcast by EL2, the call of EL2 included", operation(Maintenance::TlbiVmalls12e1is, Nothing).by_name().needs(Need::El2);
        DsbIsh = "dsb-ish", "the barrier (inner shareable) behind one posted ic ivau", barrier("dsb ish", Code, MessageClass::Sync);
        DsbSy = "dsb-sy", "the barrier (full system) behind one posted ic ivau", barrier("dsb sy", Code, MessageClass::Sync);
        DsbNsh = "dsb-nsh", "control: the barrier of this core alone behind one posted ic ivau", barrier("dsb nsh", Code, MessageClass::Local).by_name();
        DsbOsh = "dsb-osh", "the barrier (outer shareable) behind one posted ic ivau", barrier("dsb osh", Code, MessageClass::Sync).by_name();
        DsbIshTlbi = "dsb-ish-tlbi", "the barrier (inner shareable) behind one posted tlbi vaae1is", barrier("dsb ish", Page, MessageClass::Sync).by_name();
        IcIallu = "ic-iallu", "control: invalidate this core's instruction cache", operation(Maintenance::IcIallu, Nothing);
        TlbiVmalle1 = "tlbi-vmalle1", "control: invalidate this core's EL1 TLB entries", operation(Maintenance::TlbiVmalle1, Nothing);
        TlbiVae1 = "tlbi-vae1", "control: this core's TLB entries of one address and ASID", operation(Maintenance::TlbiVae1, Page).by_name();
        TlbiVaae1 = "tlbi-vaae1", "control: this core's TLB entries of one address", operation(Maintenance::TlbiVaae1, Page).by_name();
        DsbIdle = "dsb-idle", "control: a dsb ish with nothing pending", barrier("dsb ish", Nothing, MessageClass::Local);
        LdrCold = "ldr-cold", "control, no maintenance: a load from a line that no cache holds", control("ldr", Far, MessageClass::Access).by_default();
        IfetchCold = "ifetch-cold", "control, no maintenance: a jump to a line that no cache holds", control("br", Far, MessageClass::Access).by_default();
        LdrDevice = "ldr-device", "control, no maintenance: a load from a register of the interrupt controller", control("ldr", Device, MessageClass::Access);
        DcZva = "dc-zva", "control, no maintenance: a block of memory set to zero", control("dc zva", Data, MessageClass::Access);
        Stxr = "stxr", "control, no maintenance: ldxr and stxr on a line that no cache holds", control("stxr", Far, MessageClass::Access);
        Ldadd = "ldadd", "control, no maintenance: an atomic add on a line that no cache holds", control("ldadd", Far, MessageClass::Access).needs(Need::Lse);
        AffinityInfo = "affinity-info", "control, no maintenance: does firmware answer PSCI AFFINITY_INFO?", control("AFFINITY_INFO", Nothing, MessageClass::Firmware).needs(Need::Psci);
        PsciVersion = "psci-version", "control, no maintenance: does firmware answer PSCI_VERSION?", control("PSCI_VERSION", Nothing, MessageClass::Firmware).needs(Need::Psci);
        Sgi = "sgi", "control, no maintenance: an interrupt, until another core has taken it", control("sgi", Nothing, MessageClass::Interrupt).needs(Need::Taker);
        FlushDcacheArea = "flush-dcache-area", "__flush_dcache_area over one page", routine("__flush_dcache_area", Data).by_default();
        FlushIcacheRange = "flush-icache-range", "flush_icache_range over one page, end given", routine("flush_icache_range", Code).by_default().makes_code_visible();
        FlushIcacheRangeSize = "flush-icache-range-size", "the report's own call: a size for an end, so one dc cvau and one ic ivau", routine("flush_icache_range", Code).by_default().makes_code_visible();
        KexecListFlush = "kexec-list-flush", "kexec_list_flush over a list of entries and pages", routine("kexec_list_flush", Code).by_default().of(&[S::FlushDcacheArea]);
        MachineKexec = "machine-kexec", "copy, __flush_dcache_area, flush_icache_range, kexec_list_flush", routine("machine_kexec", Code).by_default().makes_code_visible().of(&[S::FlushDcacheArea, S::FlushIcacheRangeSize, S::KexecListFlush]);
        FlushIcacheRangeIdc = "flush-icache-range-idc", "flush_icache_range as patched where CTR_EL0.IDC is set", routine("flush_icache_range_idc", Code).relies_on(IDC);
        FlushIcacheRangeDic = "flush-icache-range-dic", "flush_icache_range as patched where CTR_EL0.DIC is set", routine("flush_icache_range_dic", Code).relies_on(DIC);
        FlushIcacheRangeIdcDic = "flush-icache-range-idc-dic", "flush_icache_range as patched where IDC and DIC are set", routine("flush_icache_range_idc_dic", Code).relies_on(IDC | DIC);
        FlushIcacheRangeCleanCache = "flush-icache-range-clean-cache", "flush_icache_range as patched by ARM64_WORKAROUND_CLEAN_CACHE", routine("flush_icache_range_clean_cache", Code).makes_code_visible();
        CachesCleanInvalPou = "caches-clean-inval-pou", "flush_icache_range's name from 5.14 on", routine("caches_clean_inval_pou", Code).makes_code_visible();
        DcacheCleanInvalPoc = "dcache-clean-inval-poc", "__flush_dcache_area's name from 5.14 on, end given", routine("dcache_clean_inval_poc", Data);
        IcacheInvalPou = "icache-inval-pou", "the ic ivau loop alone, 5.14 on", routine("icache_inval_pou", Code).relies_on(IDC);
        SelftestHang = "selftest-hang", "self-test: never returns, DAIF masked; must give blocked", selftest("selftest_hang", Nothing);
        SelftestFault = "selftest-fault", "self-test: dc zva on an unmapped address; must give faulted", selftest("selftest_fault", Unmapped);
        SelftestSlow = "selftest-slow", "self-test: late when stale cores exist; must give slowed", selftest("selftest_slow", Data);
        SelftestStale = "selftest-stale", "self-test: runs older code after its flush; must give incoherent", selftest("selftest_stale", Code).relies_on(IDC | DIC).of(&[S::FlushIcacheRange]);
        SelftestUnseen = "selftest-unseen", "self-test: a routine without an operation to see in it; must give inconclusive", selftest("selftest_unseen", Code).of(&[S::FlushIcacheRangeIdcDic]);
    }
}

impl Subject {
    /// Operation, routine or self-test?
    pub const fn kind(self) -> Kind {
        self.facts().kind
    }

    /// The instruction or kernel symbol, as an engineer writes it.
    pub const fn symbol(self) -> &'static str {
        self.facts().symbol
    }

    /// What it runs on.
    pub const fn operand(self) -> Operand {
        self.facts().operand
    }

    /// Does it run on a line, so that the line state matters?
    pub const fn takes_line(self) -> bool {
        !matches!(self.operand(), Nothing | Far | Device)
    }

    /// Does it run on an address, which a report can name?
    pub const fn takes_address(self) -> bool {
        !matches!(self.operand(), Nothing)
    }

    /// What it needs that not every machine or stale state has.
    pub const fn needs(self) -> Option<Need> {
        self.facts().needs
    }

    /// Is it no maintenance, and not built of any: a control that shows whether only
    /// maintenance is held up?
    pub fn is_no_maintenance(self) -> bool {
        self.sends().is_some_and(|class| !class.is_maintenance())
    }

    /// What it sends to other cores; `None` for what is built of several
    /// operations (routines, self-tests).
    pub const fn sends(self) -> Option<MessageClass> {
        self.facts().sends
    }

    /// The maintenance instruction that it is, if it is a single one.
    pub const fn maintenance(self) -> Option<Maintenance> {
        self.facts().instruction
    }

    /// Is freshly written code executed after it? It makes the code visible to instruction
    /// fetch, unless [it is wrong](Self::hazard).
    pub const fn makes_code_visible(self) -> bool {
        self.facts().makes_code_visible
    }

    /// What it does wrong on purpose, to memory under test, on a machine with this CTR_EL0:
    /// a routine that is patched for another machine, a self-test that does not flush what
    /// it executes, an invalidate of dirty data (whether it is dirty depends on the line
    /// state).
    pub const fn hazard(self, ctr: u64) -> Option<hazard::Kind> {
        let missing = self.facts().relies_on & !ctr;
        if matches!(self, Self::DcIvac) {
            Some(hazard::Kind::DirtyDiscarded)
        } else if missing & IDC != 0 {
            Some(hazard::Kind::FetchNotClean)
        } else if missing & DIC != 0 {
            Some(hazard::Kind::FetchNotInvalidated)
        } else {
            None
        }
    }

    /// The routines that it runs, in order, if it is composed of others.
    pub const fn parts(self) -> &'static [Self] {
        self.facts().parts
    }

    /// Is it in a run without `--ops`? That has one maintenance operation of each kind, the
    /// controls that read memory, and the routines of the report; `--ops all` has the rest.
    pub const fn is_default(self) -> bool {
        self.facts().by_default
    }

    /// The subjects of a run without `--ops`.
    pub fn default_set() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|s| s.is_default())
    }

    /// The operation that is this maintenance instruction.
    pub fn of(what: Maintenance) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|s| s.maintenance() == Some(what))
    }

    /// The operation that this instruction is, whatever its register (Arm ARM, C6.2).
    pub fn decode(word: u32) -> Option<Self> {
        match word {
            0xd503_3b9f => Some(Self::DsbIsh),
            0xd503_3f9f => Some(Self::DsbSy),
            0xd503_379f => Some(Self::DsbNsh),
            0xd503_339f => Some(Self::DsbOsh),
            _ => Maintenance::decode(word).and_then(Self::of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_besides_an_operation() {
        use Subject::{AffinityInfo, DcCivac, FlushIcacheRange, IcIvau, Ldadd, TlbiAlle2is};
        for subject in [Ldadd, AffinityInfo] {
            assert!(subject.is_no_maintenance(), "{subject}");
        }
        for subject in [IcIvau, DcCivac, FlushIcacheRange] {
            assert!(!subject.is_no_maintenance(), "{subject}");
            assert_eq!(subject.needs(), None, "{subject}");
        }
        assert_eq!(Ldadd.needs(), Some(Need::Lse));
        assert_eq!(TlbiAlle2is.needs(), Some(Need::El2));
        assert!(FlushIcacheRange.makes_code_visible() && !DcCivac.makes_code_visible());
    }

    #[test]
    fn barriers_are_read_by_their_domain() {
        use Subject::{DsbIsh, DsbNsh, DsbOsh, DsbSy};
        for (word, is) in [
            (0xd503_3b9f, Some(DsbIsh)),
            (0xd503_3f9f, Some(DsbSy)),
            (0xd503_379f, Some(DsbNsh)),
            (0xd503_339f, Some(DsbOsh)),
            // ishst, isb.
            (0xd503_3a9f, None),
            (0xd503_3fdf, None),
        ] {
            assert_eq!(Subject::decode(word), is, "{word:#x}");
        }
    }

    #[test]
    fn what_is_wrong_on_purpose_depends_on_the_machine() {
        use hazard::Kind::{DirtyDiscarded, FetchNotClean, FetchNotInvalidated};
        // Neither, IDC, both: Cortex-A72, Cortex-A710, Neoverse V1.
        for (subject, wrong) in [
            (S::FlushIcacheRange, [None; 3]),
            (S::SelftestUnseen, [None; 3]),
            (S::FlushIcacheRangeIdc, [Some(FetchNotClean), None, None]),
            (S::IcacheInvalPou, [Some(FetchNotClean), None, None]),
            (
                S::FlushIcacheRangeDic,
                [Some(FetchNotInvalidated), Some(FetchNotInvalidated), None],
            ),
            (
                S::SelftestStale,
                [Some(FetchNotClean), Some(FetchNotInvalidated), None],
            ),
            (S::DcIvac, [Some(DirtyDiscarded); 3]),
        ] {
            let ctrs = [0x8444_c004, 0x9444_c004, 0xb444_c004];
            assert_eq!(ctrs.map(|ctr| subject.hazard(ctr)), wrong, "{subject}");
        }
    }

    #[test]
    fn the_default_is_an_operation_of_each_kind_and_the_routines_of_the_report() {
        let default: alloc::vec::Vec<_> = Subject::default_set().collect();
        // 13 operations, one of each kind; two controls that are no maintenance; five
        // routines.
        assert_eq!(default.len(), 13 + 2 + 5);
        assert!(!S::DcIvac.is_default());
        assert_eq!(default.last(), Some(&Subject::MachineKexec));
        assert!(default.iter().all(|s| s.kind() != Kind::Selftest));
    }

    #[test]
    fn parts_are_routines() {
        for subject in Subject::ALL {
            assert!(subject.parts().iter().all(|p| p.kind() == Kind::Routine));
        }
    }

    #[test]
    fn instructions_are_decoded() {
        for (word, subject) in [
            (0xd50b_7e23, Some(Subject::DcCivac)),
            (0xd50b_7b24, Some(Subject::DcCvau)),
            (0xd50b_7a20, Some(Subject::DcCvac)),
            (0xd50b_7520, Some(Subject::IcIvau)),
            (0xd503_3b9f, Some(Subject::DsbIsh)),
            (0xd503_3f9f, Some(Subject::DsbSy)),
            (0xd65f_03c0, None), // ret
        ] {
            assert_eq!(Subject::decode(word), subject, "{word:#x}");
        }
    }
}
