//! One function per instruction, named after it. No policy in here.
//!
//! None of the barriers, cache operations and counter reads is `nomem`: the
//! compiler must not move memory accesses over them. `nomem` is for the
//! identification registers alone.

#![expect(unsafe_code, reason = "each function is one instruction")]

use core::arch::asm;

/// Defines functions that execute one instruction without operands: a barrier, hint or
/// mask.
#[macro_export]
macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            // SAFETY: a barrier, hint or mask changes no memory and no register
            // that Rust relies on.
            unsafe { core::arch::asm!($text, options(nostack, preserves_flags)) }
        }
    )*};
}

instructions! {
    /// Waits for all accesses and maintenance, full system.
    dsb_sy: "dsb sy";
    /// Waits for all stores, inner shareable.
    dsb_ishst: "dsb ishst";
    /// Orders stores before against stores after.
    dmb_st: "dmb st";
    /// Discards what was fetched.
    isb: "isb";
    /// Signals an event to all cores.
    sev: "sev";
    /// Tells an emulator or another thread that this one only polls.
    pause: "yield";
}

/// Cleans and invalidates a data line to the point of coherency. The address
/// should be mapped: where it is not, the fault ends the program.
#[inline(always)]
pub fn dc_civac(address: usize) {
    // SAFETY: a cache may write a dirty line back, and drop one, at any moment;
    // this only says when. No value that a program can read changes, whatever the
    // address.
    unsafe { asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags)) }
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
    /// CTR_EL0: cache line sizes, IDC and DIC.
    ctr_el0: "ctr_el0";
    /// DCZID_EL0: the block that DC ZVA zeroes.
    dczid_el0: "dczid_el0";
    /// CNTFRQ_EL0 in Hz.
    cntfrq_el0: "cntfrq_el0";
    /// MIDR_EL1, which Linux reads for EL0 where it says so (HWCAP_CPUID).
    midr_el1: "midr_el1";
}

/// CNTVCT_EL0, read after all that precedes.
#[inline(always)]
pub fn cntvct() -> u64 {
    let value: u64;
    // SAFETY: reads a counter; the isb keeps it from being read early.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nostack, preserves_flags)) }
    value
}

/// PMCCNTR_EL0, read after all that precedes.
#[inline(always)]
pub fn pmccntr() -> u64 {
    let value: u64;
    // SAFETY: reads a counter; the isb keeps it from being read early.
    unsafe { asm!("isb", "mrs {}, pmccntr_el0", out(reg) value, options(nostack, preserves_flags)) }
    value
}
