//! What the image sets the control registers to, by their fields: for Rust, and for
//! the assembly of `boot/`.

use aarch64_cpu::registers::{
    CNTHCTL_EL2, CPACR_EL1, HCR_EL2, MAIR_EL1, MPIDR_EL1, SCR_EL3, SCTLR_EL1, SCTLR_EL2, SPSR_EL1,
    SPSR_EL2, TCR_EL1, TCR_EL2,
};

use super::registers::{CNTHCTL_EL2_E2H, SCR_EL3_FIELDS};

/// MAIR_EL1, and MAIR_EL2, by the indices of `memory`: 0 is Device-nGnRE, 1 Normal
/// write-back, 2 Normal non-cacheable.
pub const MAIR: u64 = MAIR_EL1::Attr0_Device::nonGathering_nonReordering_EarlyWriteAck.value
    | MAIR_EL1::Attr1_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr1_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr2_Normal_Inner::NonCacheable.value
    | MAIR_EL1::Attr2_Normal_Outer::NonCacheable.value;

/// Bits of an address that the page tables translate.
const ADDRESS_BITS: u64 = 48;

/// TCR_EL1: 48 bits of TTBR0, 4 KiB pages, write-back Inner-Shareable walks, no TTBR1.
/// The output size is added at boot.
pub const TCR: u64 = TCR_EL1::T0SZ.val(64 - ADDRESS_BITS).value
    | TCR_EL1::TG0::KiB_4.value
    | TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::SH0::Inner.value
    | TCR_EL1::EPD1::DisableTTBR1Walks.value;

/// TCR_EL2: as TCR_EL1, with its RES1 bits 23 and 31.
pub const TCR_AT_EL2: u64 = TCR_EL2::T0SZ.val(64 - ADDRESS_BITS).value
    | TCR_EL2::TG0::KiB_4.value
    | TCR_EL2::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL2::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL2::SH0::Inner.value
    | 1 << 23
    | 1 << 31;

/// SCTLR_EL1 with nothing on: the bits that are RES1 where their feature is missing
/// (29, 28, 23, 22, 20, 11).
pub const SCTLR_OFF: u64 = 0x30d0_0800;
/// MMU, data and instruction caches, stack alignment.
pub const SCTLR_ON: u64 = SCTLR_OFF
    | SCTLR_EL1::M::Enable.value
    | SCTLR_EL1::C::Cacheable.value
    | SCTLR_EL1::I::Cacheable.value
    | SCTLR_EL1::SA::Enable.value
    | SCTLR_EL1::SA0::Enable.value;
/// [`SCTLR_ON`], and nothing writable is executable.
pub const SCTLR_ON_WXN: u64 = SCTLR_ON | SCTLR_EL1::WXN::Enable.value;

/// SCTLR_EL2 with nothing on: its RES1 bits (29, 28, 23, 22, 18, 16, 11, 5, 4).
pub const SCTLR_EL2_OFF: u64 = 0x30c5_0830;
/// MMU, data and instruction caches, stack alignment.
pub const SCTLR_EL2_ON: u64 = SCTLR_EL2_OFF
    | SCTLR_EL2::M::Enable.value
    | SCTLR_EL2::C::Cacheable.value
    | SCTLR_EL2::I::Cacheable.value
    | SCTLR_EL2::SA::Enable.value;

/// HCR_EL2 while nothing is trapped, not even pointer authentication.
pub const HCR: u64 = HCR_EL2::RW::EL1IsAarch64.value
    | HCR_EL2::APK::DisableTrapPointerAuthKeyRegsToEl2.value
    | HCR_EL2::API::DisableTrapPointerAuthInstToEl2.value;
/// With interrupts going to EL2.
pub const HCR_INTERRUPTS: u64 = HCR_EL2::IMO::EnableVirtualIRQ.value;

/// SCR_EL3: the non-secure world below, HVC, pointer authentication not trapped, and
/// the RES1 bits 4 and 5.
pub const SCR: u64 = SCR_EL3::NS::NonSecure.value
    | SCR_EL3::HCE::HvcEnabled.value
    | SCR_EL3::RW::NextELIsAarch64.value
    | SCR_EL3_FIELDS::APK::SET.value
    | SCR_EL3_FIELDS::API::SET.value
    | 0b11 << 4;
/// To be added where there are fine-grained traps, the second set of them, HCRX_EL2.
pub const SCR_FGT: u64 = SCR_EL3_FIELDS::FGTEn::SET.value;
/// As [`SCR_FGT`].
pub const SCR_FGT2: u64 = SCR_EL3_FIELDS::FGTEn2::SET.value;
/// As [`SCR_FGT`].
pub const SCR_HCX: u64 = SCR_EL3_FIELDS::HXEn::SET.value;

/// CNTHCTL_EL2: EL1 may use the physical timer and counter.
pub const CNTHCTL: u64 = CNTHCTL_EL2::EL1PCTEN::SET.value | CNTHCTL_EL2::EL1PCEN::SET.value;
/// The same while HCR_EL2.E2H is set.
pub const CNTHCTL_E2H: u64 =
    CNTHCTL_EL2_E2H::EL1PCTEN::SET.value | CNTHCTL_EL2_E2H::EL1PTEN::SET.value;

/// CPACR_EL1: SIMD is not trapped.
pub const CPACR: u64 = CPACR_EL1::FPEN::TrapNothing.value;
/// CPTR_EL2: the same, which is only its RES1 bits (13, 12, 9 to 0). While HCR_EL2.E2H
/// is set it is laid out like CPACR_EL1.
pub const CPTR: u64 = 0x33ff;

/// SPSR_ELx: EL1 on its own stack, everything masked: how it enters an exception.
pub const SPSR_EL1H: u64 = SPSR_EL1::M::EL1h.value | MASKED;
/// The same for EL2.
pub const SPSR_EL2H: u64 = SPSR_EL2::M::EL2h.value | MASKED;
const MASKED: u64 = SPSR_EL1::D::Masked.value
    | SPSR_EL1::A::Masked.value
    | SPSR_EL1::I::Masked.value
    | SPSR_EL1::F::Masked.value;
/// SPSR_ELx.SS: execute one instruction, then step.
pub const SPSR_STEP: u64 = SPSR_EL1::SS::SET.value;

/// The affinity fields of MPIDR_EL1.
pub const MPIDR_AFFINITY: u64 = MPIDR_EL1::Aff0::SET.value
    | MPIDR_EL1::Aff1::SET.value
    | MPIDR_EL1::Aff2::SET.value
    | MPIDR_EL1::Aff3::SET.value;

// The values behind these names, in one place.
const _: () = {
    assert!(MAIR == 0x44_ff04 && TCR == 0x80_3510 && TCR_AT_EL2 == 0x8080_3510);
    assert!(SCTLR_ON == 0x30d0_181d && SCTLR_EL2_ON == 0x30c5_183d);
    assert!(HCR == 0x300_8000_0000 && SCR == 0x3_0531);
    assert!(SPSR_EL1H == 0x3c5 && SPSR_EL2H == 0x3c9);
    assert!(CNTHCTL == 3 && CNTHCTL_E2H == 3 << 10 && CPACR == 3 << 20);
    assert!(MPIDR_AFFINITY == 0xff_00ff_ffff);
};
