//! The identification registers of the core that runs this.

use alloc::vec::Vec;

use aarch64_cpu::registers::{CLIDR_EL1, CSSELR_EL1, ID_AA64DFR0_EL1, MIDR_EL1, Readable};
use stalecore_model::{
    cpuset::CpuSet,
    record::{Cores, Hex},
};

use crate::hal::{
    arch,
    registers::{PMCR_EL0, REVIDR_EL1},
};

/// What a core says about itself; equal on cores of one kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// MIDR_EL1.
    pub midr: u64,
    revidr: u64,
    /// CTR_EL0.
    pub ctr: u64,
    clidr: u64,
    ccsidr: Vec<u64>,
    dczid: u64,
    /// CNTFRQ_EL0.
    pub cntfrq: u64,
    /// Event counters, if there is a PMU.
    pub pmu: Option<u32>,
}

impl Identity {
    /// Reads the registers of this core.
    pub fn read() -> Self {
        let clidr = CLIDR_EL1.get();
        let mut ccsidr = Vec::new();
        for level in 0..7 {
            // CLIDR_EL1.Ctype<n>: 0 none, 1 instruction, 2 data, 3 both, 4 unified.
            let kind = (clidr >> (3 * level)) & 7;
            if kind == 0 {
                break;
            }
            if kind != 1 {
                ccsidr.push(arch::ccsidr_el1(CSSELR_EL1::Level.val(level)));
            }
            if kind == 1 || kind == 3 {
                let selected = CSSELR_EL1::Level.val(level) + CSSELR_EL1::InD::Instruction;
                ccsidr.push(arch::ccsidr_el1(selected));
            }
        }
        // 0: none; 15: not an architected one.
        let pmu_version = ID_AA64DFR0_EL1.read(ID_AA64DFR0_EL1::PMUVer);
        let pmu = (!matches!(pmu_version, 0 | 15)).then(|| PMCR_EL0.read(PMCR_EL0::N) as u32);
        Self {
            midr: MIDR_EL1.get(),
            revidr: REVIDR_EL1.get(),
            ctr: arch::ctr_el0(),
            clidr,
            ccsidr,
            dczid: arch::dczid_el0(),
            cntfrq: arch::cntfrq_el0(),
            pmu,
        }
    }

    /// The record of cores that say this about themselves.
    pub fn record(&self, cpus: CpuSet, mpidr: Vec<Hex>) -> Cores {
        Cores {
            cpus,
            mpidr,
            midr: Hex(self.midr),
            revidr: Hex(self.revidr),
            ctr: Hex(self.ctr),
            clidr: Hex(self.clidr),
            ccsidr: self.ccsidr.iter().copied().map(Hex).collect(),
            dczid: Hex(self.dczid),
            cntfrq: self.cntfrq,
            pmu: self.pmu,
        }
    }
}

/// Bytes of a data line, by CTR_EL0.DminLine.
pub const fn data_line(ctr: u64) -> usize {
    4 << ((ctr >> 16) & 0xf)
}

/// Bytes of an instruction line, by CTR_EL0.IminLine.
pub const fn instruction_line(ctr: u64) -> usize {
    4 << (ctr & 0xf)
}
