//! The registers that the vectors save (`boot/vectors.S`), at EL1 and at EL2.

use core::mem::offset_of;

/// The registers as the vectors save them.
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP_EL0.
    pub sp: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    fpcr: u64,
    fpsr: u64,
    q: [u128; 32],
}

// boot/vectors.S saves by these numbers: x0 to x30 and seven more words, then the SIMD
// registers, 16 bytes each.
const _: () = {
    assert!(size_of::<Frame>() == 816);
    assert!(offset_of!(Frame, sp) == 248);
    assert!(offset_of!(Frame, elr) == 256);
    assert!(offset_of!(Frame, esr) == 272);
    assert!(offset_of!(Frame, fpcr) == 288);
    assert!(offset_of!(Frame, q) == 304);
};
