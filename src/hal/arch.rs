//! One function per instruction, named after it. No policy in here. What EL0 may
//! execute too comes from the crate of the routines.
//!
//! None of the barriers, cache operations and counter reads is `nomem`: the
//! compiler must not move memory accesses over them. `nomem` is for the
//! identification registers alone.

#![expect(unsafe_code, reason = "each function is one instruction")]

use core::arch::asm;

pub use stalecore_routines::instructions::{
    cntfrq_el0, cntvct, ctr_el0, dc_civac, dczid_el0, dmb_st, dsb_ishst, dsb_sy, isb, pause,
    pmccntr, sev,
};

/// Defines functions that execute one instruction without operands.
macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            // SAFETY: a barrier, hint or mask changes no memory and no register
            // that Rust relies on.
            unsafe { asm!($text, options(nostack, preserves_flags)) }
        }
    )*};
}

instructions! {
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

/// Defines functions that read a register.
macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident: $register:literal;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() -> u64 {
            let value: u64;
            // SAFETY: reading an identification or status register has no
            // effect.
            unsafe {
                asm!(
                    concat!("mrs {}, ", $register),
                    out(reg) value,
                    options(nomem, nostack, preserves_flags)
                )
            }
            value
        }
    )*};
}

registers! {
    /// MIDR_EL1: which core this is.
    midr_el1: "midr_el1";
    /// REVIDR_EL1: its revision.
    revidr_el1: "revidr_el1";
    /// MPIDR_EL1: where it is.
    mpidr_el1: "mpidr_el1";
    /// CLIDR_EL1: cache levels.
    clidr_el1: "clidr_el1";
    /// ID_AA64DFR0_EL1: debug features.
    id_aa64dfr0_el1: "id_aa64dfr0_el1";
    /// ID_AA64MMFR0_EL1: memory features.
    id_aa64mmfr0_el1: "id_aa64mmfr0_el1";
    /// PMCR_EL0: the PMU.
    pmcr_el0: "pmcr_el0";
}

/// Defines functions that read, or write, a register of the interrupt controller's
/// interface or of the core's own state.
macro_rules! state {
    (read: $($(#[$doc:meta])* $name:ident: $register:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> u64 {
            let value: u64;
            // SAFETY: a register whose reading has no effect; not `nomem`, as what
            // it says changes.
            unsafe {
                asm!(
                    concat!("mrs {}, ", $register),
                    out(reg) value,
                    options(nostack, preserves_flags)
                )
            }
            value
        }
    )*};
    (write: $($(#[$doc:meta])* $name:ident: $register:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(value: u64) {
            // SAFETY: a register of this core's interface to the interrupt
            // controller: what it changes is which interrupts are taken.
            unsafe {
                asm!(
                    concat!("msr ", $register, ", {}"),
                    in(reg) value,
                    options(nostack, preserves_flags)
                )
            }
        }
    )*};
}

state! { read:
    /// ICC_SRE_EL1.
    icc_sre_el1: "S3_0_C12_C12_5";
    /// ICC_CTLR_EL1.
    icc_ctlr_el1: "S3_0_C12_C12_4";
    /// ISR_EL1: what is pending on this core, A (bit 8), I (7), F (6).
    isr_el1: "isr_el1";
}

state! { write:
    /// ICC_SRE_EL1.
    set_icc_sre_el1: "S3_0_C12_C12_5";
    /// ICC_CTLR_EL1.
    set_icc_ctlr_el1: "S3_0_C12_C12_4";
    /// ICC_BPR1_EL1.
    set_icc_bpr1_el1: "S3_0_C12_C12_3";
    /// ICC_AP1R0_EL1.
    set_icc_ap1r0_el1: "S3_0_C12_C9_0";
    /// ICC_AP1R1_EL1: there with six priority bits and more.
    set_icc_ap1r1_el1: "S3_0_C12_C9_1";
    /// ICC_AP1R2_EL1: there with seven.
    set_icc_ap1r2_el1: "S3_0_C12_C9_2";
    /// ICC_AP1R3_EL1: there with seven.
    set_icc_ap1r3_el1: "S3_0_C12_C9_3";
    /// ICC_SGI1R_EL1: calls cores.
    set_icc_sgi1r_el1: "S3_0_C12_C11_5";
}

/// TPIDR_EL1, which the image keeps a pointer in.
#[inline(always)]
pub fn tpidr_el1() -> u64 {
    let value: u64;
    // SAFETY: reads a register without effects; not `nomem`, as it is written
    // once in between.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) value, options(nostack, preserves_flags)) }
    value
}

/// CCSIDR_EL1 of the cache that `csselr` selects.
pub fn ccsidr_el1(csselr: u64) -> u64 {
    let value: u64;
    // SAFETY: CSSELR_EL1 only chooses what CCSIDR_EL1 shows, on this core.
    unsafe {
        asm!(
            "msr csselr_el1, {}", "isb", "mrs {}, ccsidr_el1",
            in(reg) csselr, out(reg) value,
            options(nostack, preserves_flags)
        )
    }
    value
}

/// Starts the PMU's cycle counter at EL1, where there is a PMU.
pub fn start_cycle_counter() {
    // SAFETY: enables a counter that nothing else here uses: PMCR.E and .LC,
    // the cycle counter at every exception level of the non-secure world.
    unsafe {
        asm!(
            "msr pmccfiltr_el0, {filter}",
            "msr pmcntenset_el0, {cycles}",
            "mrs {pmcr}, pmcr_el0",
            "orr {pmcr}, {pmcr}, #0x40", // LC: 64 bits
            "orr {pmcr}, {pmcr}, #1",    // E
            "msr pmcr_el0, {pmcr}",
            "isb",
            filter = in(reg) 1_u64 << 27, // NSH: count at EL2 too
            cycles = in(reg) 1_u64 << 31,
            pmcr = out(reg) _,
            options(nostack, preserves_flags)
        )
    }
}

/// Switches single-stepping at EL1 on or off: MDSCR_EL1.SS and .KDE, with the
/// OS lock open.
pub fn set_stepping(on: bool) {
    let mdscr: u64 = if on { (1 << 13) | 1 } else { 0 };
    // SAFETY: debug exceptions go to this image's own vectors, which expect
    // them while stepping is on.
    unsafe {
        asm!(
            "msr oslar_el1, xzr", "isb", "msr mdscr_el1, {}", "isb",
            in(reg) mdscr,
            options(nostack, preserves_flags)
        )
    }
}

/// Starts the virtual timer: its interrupt comes when CNTVCT_EL0 reaches `at`.
pub fn start_virtual_timer(at: u64) {
    // SAFETY: the timer only raises its interrupt (CNTV_CTL_EL0.ENABLE).
    unsafe {
        asm!(
            "msr cntv_cval_el0, {}", "msr cntv_ctl_el0, {}", "isb",
            in(reg) at, in(reg) 1_u64,
            options(nostack, preserves_flags)
        )
    }
}

/// Stops the virtual timer.
pub fn stop_virtual_timer() {
    // SAFETY: as above.
    unsafe {
        asm!(
            "msr cntv_ctl_el0, xzr",
            "isb",
            options(nostack, preserves_flags)
        )
    }
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

/// TPIDR_EL2, which EL2 keeps the same pointer in. Undefined at EL1.
pub fn tpidr_el2() -> u64 {
    let value: u64;
    // SAFETY: as `tpidr_el1`.
    unsafe { asm!("mrs {}, tpidr_el2", out(reg) value, options(nostack, preserves_flags)) }
    value
}

/// Asks for EL1's translation of an address for reading; the answer is in PAR_EL1.
/// Undefined at EL1.
pub fn at_s1e1r(address: u64) {
    // SAFETY: a question; it changes PAR_EL1 alone, which nothing else here uses.
    unsafe { asm!("at s1e1r, {}", "isb", in(reg) address, options(nostack, preserves_flags)) }
}

/// Sets TPIDR_EL1, which the image keeps a pointer in.
pub fn set_tpidr_el1(value: u64) {
    // SAFETY: the register has no effect of its own.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// Switches SCTLR_EL1.WXN on: nothing writable is executable.
pub fn forbid_writable_code(sctlr_wxn: u64) {
    // SAFETY: the caller's tables map code read-only, so nothing that runs
    // loses its permission.
    unsafe {
        asm!(
            "mrs {t}, sctlr_el1", "orr {t}, {t}, {wxn}", "msr sctlr_el1, {t}", "isb",
            t = out(reg) _, wxn = in(reg) sctlr_wxn,
            options(nostack, preserves_flags)
        )
    }
}

/// Forgets this core's translations: new tables are in place.
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
