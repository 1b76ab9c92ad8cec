//! The identification registers of the core that runs this.

use alloc::vec::Vec;

use stalecore_model::{
    cpuset::CpuSet,
    record::{Cores, Hex},
};

use crate::{arch, core_local};

/// What a core says of itself; equal on cores of one kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    midr: u64,
    revidr: u64,
    /// CTR_EL0.
    pub ctr: u64,
    clidr: u64,
    ccsidr: Vec<u64>,
    dczid: u64,
    cntfrq: u64,
    /// Event counters, if there is a PMU.
    pub pmu: Option<u32>,
}

impl Identity {
    /// Reads the registers of this core.
    pub fn read() -> Self {
        let clidr = arch::clidr_el1();
        let mut ccsidr = Vec::new();
        for level in 0..7 {
            // CLIDR_EL1.Ctype<n>: 0 none, 1 instruction, 2 data, 3 both, 4 unified.
            let kind = (clidr >> (3 * level)) & 7;
            if kind == 0 {
                break;
            }
            if kind != 1 {
                ccsidr.push(arch::ccsidr_el1(level << 1));
            }
            if kind == 1 || kind == 3 {
                ccsidr.push(arch::ccsidr_el1(level << 1 | 1));
            }
        }
        // ID_AA64DFR0_EL1.PMUVer: 0 none, 15 not an architected one.
        let pmu_version = (arch::id_aa64dfr0_el1() >> 8) & 0xf;
        let pmu =
            (!matches!(pmu_version, 0 | 15)).then(|| ((arch::pmcr_el0() >> 11) & 0x1f) as u32);
        Self {
            midr: arch::midr_el1(),
            revidr: arch::revidr_el1(),
            ctr: arch::ctr_el0(),
            clidr,
            ccsidr,
            dczid: arch::dczid_el0(),
            cntfrq: arch::cntfrq_el0(),
            pmu,
        }
    }
}

/// Bytes of a data line that CTR_EL0 (DminLine) gives.
pub const fn data_line(ctr: u64) -> usize {
    4 << ((ctr >> 16) & 0xf)
}

/// Bytes of an instruction line that CTR_EL0 (IminLine) gives.
pub const fn instruction_line(ctr: u64) -> usize {
    4 << (ctr & 0xf)
}

/// The cores that have been up.
pub fn known() -> CpuSet {
    core_local::all()
        .iter()
        .filter(|core| core.identity.get().is_some())
        .map(|core| core.index)
        .collect()
}

/// Those of `cpus` that have been up, equal registers together.
pub fn groups(cpus: &CpuSet) -> Vec<Cores> {
    let mut groups: Vec<(&Identity, CpuSet)> = Vec::new();
    for core in core_local::all()
        .iter()
        .filter(|core| cpus.contains(core.index))
    {
        let Some(identity) = core.identity.get() else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == identity) {
            Some((_, cpus)) => {
                cpus.insert(core.index);
            }
            None => groups.push((identity, CpuSet::one(core.index))),
        }
    }
    groups
        .into_iter()
        .map(|(identity, cpus)| Cores {
            cpus,
            mpidr: cpus
                .iter()
                .map(|cpu| Hex(core_local::all()[cpu].cpu.mpidr))
                .collect(),
            midr: Hex(identity.midr),
            revidr: Hex(identity.revidr),
            ctr: Hex(identity.ctr),
            clidr: Hex(identity.clidr),
            ccsidr: identity.ccsidr.iter().copied().map(Hex).collect(),
            dczid: Hex(identity.dczid),
            cntfrq: identity.cntfrq,
            pmu: identity.pmu,
        })
        .collect()
}

/// The smallest data and instruction lines of the cores that are up, in bytes,
/// and whether cores differ in CTR_EL0.
pub fn smallest_lines() -> (usize, usize, bool) {
    let mut ctrs = core_local::all()
        .iter()
        .filter_map(|c| c.identity.get())
        .map(|i| i.ctr);
    let first = ctrs.next().unwrap_or_else(arch::ctr_el0);
    ctrs.fold(
        (data_line(first), instruction_line(first), false),
        |(d, i, differ), ctr| {
            (
                d.min(data_line(ctr)),
                i.min(instruction_line(ctr)),
                differ || ctr != first,
            )
        },
    )
}
