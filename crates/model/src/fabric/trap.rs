//! What traps to EL2, and what a trap says: ESR_EL2 decoded into the instruction, and the
//! bits that make it trap.
//!
//! Bit positions are those of the Arm ARM's register pages; the tests check the syndromes
//! against an assembler's encodings.

use super::options::FabricOptions;
use crate::maintenance::Maintenance;

/// HCR_EL2.TSW, bit 22: trap data cache maintenance by set/way.
pub const HCR_EL2_TSW: u64 = 1 << 22;
/// HCR_EL2.TPC (TPCP), bit 23: trap data cache maintenance to the point of
/// coherency or persistence (`dc civac`, `cvac`, `cvap`, `cvadp`, `ivac`).
pub const HCR_EL2_TPC: u64 = 1 << 23;
/// HCR_EL2.TPU, bit 24: trap maintenance to the point of unification
/// (`ic ivau`, `ic iallu`, `ic ialluis`, `dc cvau`).
pub const HCR_EL2_TPU: u64 = 1 << 24;
/// HCR_EL2.TTLB, bit 25: trap TLB maintenance, broadcast and local.
pub const HCR_EL2_TTLB: u64 = 1 << 25;

/// MDCR_EL2.TDE, bit 8: debug exceptions of EL1 go to EL2. EL1's accesses to
/// the debug registers then trap too, so EL2 has to program them.
pub const MDCR_EL2_TDE: u64 = 1 << 8;
/// MDSCR_EL1.MDE, bit 15: breakpoints are on. With TDE, EL1's DAIF.D and
/// MDSCR_EL1.KDE do not matter.
pub const MDSCR_EL1_MDE: u64 = 1 << 15;
/// `DBGBCR<n>_EL1` for an unlinked breakpoint at EL1 only: E, PMC = 0b01, all
/// four BAS bits.
pub const DBGBCR_EL1_ONLY: u64 = 1 | 0b01 << 1 | 0b1111 << 5;

/// ESR_EL1 of the fault that EL2 injects for `fault=OPERATION`: a data abort
/// without a change of exception level, by cache maintenance (CM, which comes
/// with WnR), translation fault at level 3. FAR_EL1 takes the address.
pub const INJECTED_ESR_EL1: u64 = 0x25 << 26 | 1 << 25 | 1 << 8 | 1 << 6 | 0x07;

/// The bits of HCR_EL2 that bring EL1's maintenance to the fabric; none if no fabric was
/// asked for. Set/way maintenance reaches no other core, and is not trapped.
pub const fn traps_for(options: Option<&FabricOptions>) -> u64 {
    match options {
        Some(_) => HCR_EL2_TPC | HCR_EL2_TPU | HCR_EL2_TTLB,
        None => 0,
    }
}

/// Why EL2 was entered, from ESR_EL2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A maintenance instruction (EC 0x18).
    Maintenance {
        /// Which.
        what: Maintenance,
        /// The number of its register; 31 reads as zero, and stands for no register.
        rt: u8,
    },
    /// Another system instruction or register access (EC 0x18).
    System {
        /// `op0, op1, CRn, CRm, op2`.
        register: (u8, u8, u8, u8, u8),
        /// The number of the register that is read or written.
        rt: u8,
        /// Is it an `mrs`?
        read: bool,
    },
    /// WFI, WFE or their timed forms (EC 0x01).
    WaitFor {
        /// TI: 0 is WFI, 1 WFE, 2 WFIT, 3 WFET.
        kind: u8,
    },
    /// HVC (EC 0x16) with its immediate.
    Hvc(u16),
    /// SMC (EC 0x17) with its immediate.
    Smc(u16),
    /// A hardware breakpoint in a lower exception level (EC 0x30).
    Breakpoint,
    /// A hardware breakpoint in EL2 itself (EC 0x31).
    OwnBreakpoint,
    /// A data abort in a lower exception level (EC 0x24).
    DataAbort {
        /// ISS.CM: by cache maintenance.
        maintenance: bool,
        /// ISS.DFSC.
        status: u8,
    },
    /// Anything else.
    Other {
        /// The exception class.
        class: u8,
        /// The rest, bits 24:0.
        iss: u32,
    },
}

/// Reads ESR_EL2.
pub const fn decode(esr: u64) -> Trap {
    let class = (esr >> 26 & 0x3f) as u8;
    let iss = esr as u32 & 0x1ff_ffff;
    match class {
        0x01 => Trap::WaitFor {
            kind: (iss & 0b11) as u8,
        },
        0x16 => Trap::Hvc(iss as u16),
        0x17 => Trap::Smc(iss as u16),
        0x18 => system(iss),
        0x24 => Trap::DataAbort {
            maintenance: iss & 1 << 8 != 0,
            status: (iss & 0x3f) as u8,
        },
        0x30 => Trap::Breakpoint,
        0x31 => Trap::OwnBreakpoint,
        _ => Trap::Other { class, iss },
    }
}

const fn system(iss: u32) -> Trap {
    let op0 = (iss >> 20 & 0b11) as u8;
    let op2 = (iss >> 17 & 0b111) as u8;
    let op1 = (iss >> 14 & 0b111) as u8;
    let crn = (iss >> 10 & 0xf) as u8;
    let rt = (iss >> 5 & 0x1f) as u8;
    let crm = (iss >> 1 & 0xf) as u8;
    let read = iss & 1 != 0;
    match Maintenance::from_encoding(op1, crn, crm, op2) {
        Some(what) if op0 == 1 && !read => Trap::Maintenance { what, rt },
        _ => Trap::System {
            register: (op0, op1, crn, crm, op2),
            rt,
            read,
        },
    }
}

/// Is the instruction an `mrs` of PMCCNTR_EL0 or CNTVCT_EL0?
pub const fn reads_counter(instruction: u32) -> bool {
    matches!(instruction & !0x1f, 0xd53b_9d00 | 0xd53b_e040)
}

/// A DSB, as found in the instruction at a breakpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Barrier {
    /// The option field, CRm: 0b1011 is `ish`, 0b1111 is `sy`.
    pub option: u8,
}

impl Barrier {
    /// Those that wait for loads and stores, by name.
    pub const NAMED: &'static [(&'static str, Self)] = &[
        ("nsh", Self { option: 0b0111 }),
        ("ish", Self { option: 0b1011 }),
        ("osh", Self { option: 0b0011 }),
        ("sy", Self { option: 0b1111 }),
    ];

    /// The A64 instruction.
    pub const fn encode(self) -> u32 {
        0xd503_309f | (self.option as u32) << 8
    }

    /// Reads an A64 instruction; `None` if it is not a DSB.
    pub const fn decode(instruction: u32) -> Option<Self> {
        let option = (instruction >> 8 & 0xf) as u8;
        // Without access types (bits 1:0) it is SSBB, PSSBB or a DSB nXS.
        if instruction & 0xffff_f0ff == 0xd503_309f && option & 0b11 != 0 {
            Some(Self { option })
        } else {
            None
        }
    }

    /// Does it complete only after this core's maintenance has completed on the other
    /// cores? A DSB for loads and stores does (Arm ARM, DSB); one only for loads or only
    /// for stores (`ishst`), or only for this core (`nsh`), does not.
    pub const fn waits_for_maintenance(self) -> bool {
        self.option & 0b11 == 0b11 && self.option >> 2 != 0b01
    }
}

#[cfg(test)]
#[path = "trap_tests.rs"]
mod tests;
