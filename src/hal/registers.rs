//! System registers that `aarch64-cpu` lacks, or has without the fields that the image
//! needs, in the same style: `NAME.read(NAME::FIELD)`. Names and fields are those of the
//! Arm Architecture Reference Manual (DDI 0487), and for the interrupt controller those
//! of Arm IHI 0069.

#![expect(unsafe_code, reason = "registers go by their number")]

use core::arch::asm;

use tock_registers::{
    interfaces::{Readable, Writeable},
    register_bitfields,
};

register_bitfields! {u64,
    /// The revision of the core.
    pub REVIDR_EL1 [ALL OFFSET(0) NUMBITS(64) []],
    /// TLB maintenance: ranges from 2 on; atomic instructions: FEAT_LSE from 2 on.
    pub ID_AA64ISAR0_EL1 [
        TLB OFFSET(56) NUMBITS(4) [],
        Atomic OFFSET(20) NUMBITS(4) []
    ],
    /// The PMU: event counters, a cycle counter of 64 bits, counters are on.
    pub PMCR_EL0 [
        N OFFSET(11) NUMBITS(5) [],
        LC OFFSET(6) NUMBITS(1) [],
        E OFFSET(0) NUMBITS(1) []
    ],
    /// Counters that are on: the cycle counter.
    pub PMCNTENSET_EL0 [C OFFSET(31) NUMBITS(1) []],
    /// Where the cycle counter counts: at EL2 too.
    pub PMCCFILTR_EL0 [NSH OFFSET(27) NUMBITS(1) []],
    /// What is pending on this core: an asynchronous abort.
    pub ISR_EL1 [A OFFSET(8) NUMBITS(1) []],
    /// Is the interrupt controller reached by system registers?
    pub ICC_SRE_EL1 [SRE OFFSET(0) NUMBITS(1) []],
    /// This core's interface: priority bits, less one; does the end of an interrupt
    /// only drop its priority?
    pub ICC_CTLR_EL1 [
        PRIbits OFFSET(8) NUMBITS(3) [],
        EOImode OFFSET(1) NUMBITS(1) []
    ],
    /// The priority mask.
    pub ICC_PMR_EL1 [Priority OFFSET(0) NUMBITS(8) []],
    /// Which priorities preempt.
    pub ICC_BPR1_EL1 [BinaryPoint OFFSET(0) NUMBITS(3) []],
    /// Which priorities are active; the second is there with six priority bits, the
    /// others with seven.
    pub ICC_AP1R0_EL1 [ALL OFFSET(0) NUMBITS(64) []],
    pub ICC_AP1R1_EL1 [ALL OFFSET(0) NUMBITS(64) []],
    pub ICC_AP1R2_EL1 [ALL OFFSET(0) NUMBITS(64) []],
    pub ICC_AP1R3_EL1 [ALL OFFSET(0) NUMBITS(64) []],
    /// Are interrupts of group 1 signalled?
    pub ICC_IGRPEN1_EL1 [Enable OFFSET(0) NUMBITS(1) []],
    /// Calls cores; `platform::gic::sgi1r` makes the value.
    pub ICC_SGI1R_EL1 [ALL OFFSET(0) NUMBITS(64) []],
    /// Acknowledges an interrupt of group 1.
    pub ICC_IAR1_EL1 [INTID OFFSET(0) NUMBITS(24) []],
    /// Ends one.
    pub ICC_EOIR1_EL1 [INTID OFFSET(0) NUMBITS(24) []],
    /// Deactivates one.
    pub ICC_DIR_EL1 [INTID OFFSET(0) NUMBITS(24) []],
    /// Fields of ICH_VMCR_EL2: the priority mask; is group 1 signalled?
    pub ICH_VMCR_FIELDS [
        VPMR OFFSET(24) NUMBITS(8) [],
        VENG1 OFFSET(1) NUMBITS(1) []
    ],
    /// Fields of SCR_EL3: EL2 may write the registers of fine-grained traps, HCRX_EL2;
    /// pointer authentication, and its keys' registers, are not trapped.
    pub SCR_EL3_FIELDS [
        FGTEn2 OFFSET(59) NUMBITS(1) [],
        HXEn OFFSET(38) NUMBITS(1) [],
        FGTEn OFFSET(27) NUMBITS(1) [],
        API OFFSET(17) NUMBITS(1) [],
        APK OFFSET(16) NUMBITS(1) []
    ],
    /// Fields of CNTHCTL_EL2 while HCR_EL2.E2H is set: EL1 may use the physical timer,
    /// and the physical counter.
    pub CNTHCTL_EL2_E2H [
        EL1PTEN OFFSET(11) NUMBITS(1) [],
        EL1PCTEN OFFSET(10) NUMBITS(1) []
    ]
}

/// Defines how registers are read and written.
macro_rules! registers {
    (read $name:ident, $register:literal) => {
        impl Readable for $name::Register {
            type T = u64;
            type R = Self;

            #[inline(always)]
            fn get(&self) -> u64 {
                let value: u64;
                // SAFETY: reading it changes at most which interrupt is active, where it
                // acknowledges one. Not `nomem`, as its value changes.
                unsafe {
                    asm!(
                        concat!("mrs {}, ", $register),
                        out(reg) value,
                        options(nostack, preserves_flags)
                    )
                }
                value
            }
        }
    };
    (write $name:ident, $register:literal) => {
        impl Writeable for $name::Register {
            type T = u64;
            type R = Self;

            #[inline(always)]
            fn set(&self, value: u64) {
                // SAFETY: it changes which interrupts this core takes, or what it
                // counts: nothing in memory.
                unsafe {
                    asm!(
                        concat!("msr ", $register, ", {}"),
                        in(reg) value,
                        options(nostack, preserves_flags)
                    )
                }
            }
        }
    };
    ($($name:ident = $register:literal: $($access:ident)+;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`.")]
        pub const $name: $name::Register = $name::Register;
        $(registers!($access $name, $register);)+
    )*};
}

registers! {
    REVIDR_EL1 = "revidr_el1": read;
    ID_AA64ISAR0_EL1 = "id_aa64isar0_el1": read;
    PMCR_EL0 = "pmcr_el0": read write;
    PMCNTENSET_EL0 = "pmcntenset_el0": write;
    PMCCFILTR_EL0 = "pmccfiltr_el0": write;
    ISR_EL1 = "isr_el1": read;
    ICC_SRE_EL1 = "S3_0_C12_C12_5": read write;
    ICC_CTLR_EL1 = "S3_0_C12_C12_4": read write;
    ICC_PMR_EL1 = "S3_0_C4_C6_0": write;
    ICC_BPR1_EL1 = "S3_0_C12_C12_3": write;
    ICC_AP1R0_EL1 = "S3_0_C12_C9_0": write;
    ICC_AP1R1_EL1 = "S3_0_C12_C9_1": write;
    ICC_AP1R2_EL1 = "S3_0_C12_C9_2": write;
    ICC_AP1R3_EL1 = "S3_0_C12_C9_3": write;
    ICC_IGRPEN1_EL1 = "S3_0_C12_C12_7": write;
    ICC_SGI1R_EL1 = "S3_0_C12_C11_5": write;
    ICC_IAR1_EL1 = "S3_0_C12_C12_0": read;
    ICC_EOIR1_EL1 = "S3_0_C12_C12_1": write;
    ICC_DIR_EL1 = "S3_0_C12_C11_1": write;
}

/// Programs breakpoint `nth` of this core, of the six that the image may use:
/// `DBGBVR<n>_EL1` and `DBGBCR<n>_EL1`. Off while it changes.
pub fn set_breakpoint(nth: usize, address: u64, control: u64) {
    macro_rules! breakpoint {
        ($value:literal, $control:literal) => {
            // SAFETY: it causes debug exceptions and nothing else; whoever asks for
            // them has a handler.
            unsafe {
                asm!(
                    concat!("msr ", $control, ", xzr"),
                    concat!("msr ", $value, ", {address}"),
                    concat!("msr ", $control, ", {control}"),
                    address = in(reg) address,
                    control = in(reg) control,
                    options(nostack, preserves_flags)
                )
            }
        };
    }
    match nth {
        0 => breakpoint!("dbgbvr0_el1", "dbgbcr0_el1"),
        1 => breakpoint!("dbgbvr1_el1", "dbgbcr1_el1"),
        2 => breakpoint!("dbgbvr2_el1", "dbgbcr2_el1"),
        3 => breakpoint!("dbgbvr3_el1", "dbgbcr3_el1"),
        4 => breakpoint!("dbgbvr4_el1", "dbgbcr4_el1"),
        _ => breakpoint!("dbgbvr5_el1", "dbgbcr5_el1"),
    }
}
