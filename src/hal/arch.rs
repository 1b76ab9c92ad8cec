//! One function per instruction, named after it, and short fixed sequences. No policy
//! in here. What EL0 may execute too comes from the routines' crate.
//!
//! What must be ordered against memory is here: barriers, maintenance, masks, counters.
//! The accesses of `aarch64-cpu` are `nomem`; over these functions the compiler moves no
//! access to memory.

#![expect(unsafe_code, reason = "each function is one instruction")]

use core::arch::asm;

use aarch64_cpu::registers::{
    CCSIDR_EL1, CNTV_CTL_EL0, CNTV_CVAL_EL0, CSSELR_EL1, MDSCR_EL1, OSLAR_EL1, ReadWriteable,
    Readable, SCTLR_EL1, Writeable,
};
use tock_registers::fields::FieldValue;

use super::registers::{ID_AA64ISAR0_EL1, PMCCFILTR_EL0, PMCNTENSET_EL0, PMCR_EL0};
pub use stalecore_routines::instructions::{
    cntfrq_el0, cntvct, ctr_el0, dc_civac, dczid_el0, dmb_st, dsb_ishst, dsb_sy, isb, pause,
    pmccntr, sev,
};

stalecore_routines::instructions! {
    /// Waits for an interrupt.
    wfi: "wfi";
    /// Waits for an event.
    wfe: "wfe";
    /// Opens SErrors (PSTATE.A), for which the vectors have a handler.
    serror_open: "msr DAIFClr, #4";
    /// Masks debug exceptions, SError, IRQ and FIQ.
    daif_mask: "msr DAIFSet, #0xf";
    /// Opens IRQ.
    irq_open: "msr DAIFClr, #2";
    /// Masks IRQ.
    irq_mask: "msr DAIFSet, #2";
    /// Opens debug exceptions.
    debug_open: "msr DAIFClr, #8";
    /// Masks debug exceptions.
    debug_mask: "msr DAIFSet, #8";
}

/// Does this core have the atomic instructions of FEAT_LSE?
pub fn has_lse() -> bool {
    ID_AA64ISAR0_EL1.read(ID_AA64ISAR0_EL1::Atomic) >= 2
}

/// Does this core have the TLB maintenance by range of FEAT_TLBIRANGE?
pub fn has_tlb_ranges() -> bool {
    ID_AA64ISAR0_EL1.read(ID_AA64ISAR0_EL1::TLB) >= 2
}

/// CCSIDR_EL1 of the cache that is selected.
pub fn ccsidr_el1(selected: FieldValue<u64, CSSELR_EL1::Register>) -> u64 {
    CSSELR_EL1.write(selected);
    isb();
    CCSIDR_EL1.get()
}

/// Starts the PMU's cycle counter, which nothing else here uses, at EL1 and EL2,
/// where there is a PMU.
pub fn start_cycle_counter() {
    PMCCFILTR_EL0.write(PMCCFILTR_EL0::NSH::SET);
    PMCNTENSET_EL0.write(PMCNTENSET_EL0::C::SET);
    PMCR_EL0.modify(PMCR_EL0::LC::SET + PMCR_EL0::E::SET);
    isb();
}

/// Switches single-stepping at EL1 on or off, with the OS lock open: debug exceptions
/// go to this image's own vectors, which expect them while it is on.
pub fn set_stepping(on: bool) {
    OSLAR_EL1.write(OSLAR_EL1::OSLK::Unlocked);
    isb();
    MDSCR_EL1.write(match on {
        true => MDSCR_EL1::SS::SoftwareStepEnabled + MDSCR_EL1::KDE::AllDebugExceptionsEnabled,
        false => MDSCR_EL1::SS::SoftwareStepDisabled,
    });
    isb();
}

/// Starts the virtual timer: its interrupt comes when CNTVCT_EL0 reaches `at`.
pub fn start_virtual_timer(at: u64) {
    CNTV_CVAL_EL0.set(at);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    isb();
}

/// Stops the virtual timer.
pub fn stop_virtual_timer() {
    CNTV_CTL_EL0.set(0);
    isb();
}

/// An address in the function that this is inlined into.
#[inline(always)]
pub fn program_counter() -> u64 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("adr {}, .", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// The frame pointer of the function that this is inlined into.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Asks for EL1's translation of an address for reading; the answer is in PAR_EL1.
/// Undefined at EL1.
pub fn at_s1e1r(address: u64) {
    // SAFETY: it only asks, and changes only PAR_EL1, which nothing else here uses.
    unsafe { asm!("at s1e1r, {}", "isb", in(reg) address, options(nostack, preserves_flags)) }
}

/// Switches SCTLR_EL1.WXN on: nothing writable is executable. The tables in use map
/// code read-only, so no running code loses its permission.
pub fn forbid_writable_code() {
    SCTLR_EL1.modify(SCTLR_EL1::WXN::Enable);
    isb();
}

/// Drops this core's cached translations: new tables are in place.
pub fn flush_local_tlb() {
    // SAFETY: translations are walked again.
    unsafe {
        asm!(
            "dsb nshst",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}

/// The registers at the caller: pc, PSTATE as an SPSR has it, sp; x0 to x30.
/// x17 is the address that they are written to.
#[inline(always)]
pub fn registers() -> ([u64; 3], [u64; 31]) {
    let mut x = [0_u64; 31];
    let mut own = [0_u64; 3];
    // SAFETY: stores this core's registers into the two arrays.
    unsafe {
        asm!(
            "stp x0, x1, [x17]",
            "stp x2, x3, [x17, #16]",
            "stp x4, x5, [x17, #32]",
            "stp x6, x7, [x17, #48]",
            "stp x8, x9, [x17, #64]",
            "stp x10, x11, [x17, #80]",
            "stp x12, x13, [x17, #96]",
            "stp x14, x15, [x17, #112]",
            "stp x16, x17, [x17, #128]",
            "stp x18, x19, [x17, #144]",
            "stp x20, x21, [x17, #160]",
            "stp x22, x23, [x17, #176]",
            "stp x24, x25, [x17, #192]",
            "stp x26, x27, [x17, #208]",
            "stp x28, x29, [x17, #224]",
            "str x30, [x17, #240]",
            "adr x16, .",
            "str x16, [x18]",
            "mrs x16, nzcv",
            "mrs x17, daif",
            "orr x16, x16, x17",
            "mrs x17, CurrentEL",
            "orr x16, x16, x17",
            "mrs x17, SPSel",
            "orr x16, x16, x17",
            "mov x17, sp",
            "stp x16, x17, [x18, #8]",
            inout("x17") x.as_mut_ptr() => _,
            inout("x18") own.as_mut_ptr() => _,
            out("x16") _,
            options(nostack, preserves_flags)
        )
    }
    (own, x)
}
