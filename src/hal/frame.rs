//! What the vectors save of the registers (`boot/vectors.S`), at EL1 and at EL2.

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
