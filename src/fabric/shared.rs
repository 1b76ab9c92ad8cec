//! What EL1 and EL2 share of the fabric.

use core::{mem::offset_of, sync::atomic::AtomicU64};

use spin::Once;
use stalecore_model::fabric::{Fabric, Presence};

/// Which stale state each core is in, as the model sees it.
pub static PRESENCE: Presence = Presence::new();

/// The fabric, if there is one.
pub static FABRIC: Once<&'static Shared> = Once::new();

/// What EL2 works with on all cores.
pub struct Shared {
    /// The model.
    pub model: Fabric,
    /// What it is set up with.
    pub install: Install,
    /// Interrupts go to EL2 first, so that a kick reaches masked cores.
    pub kicks: bool,
}

/// What `el2_call` loads; read with EL2's caches off.
#[repr(C, align(64))]
pub struct Install {
    /// MAIR_EL2.
    pub mair: AtomicU64,
    /// TCR_EL2.
    pub tcr: AtomicU64,
    /// TTBR0_EL2.
    pub ttbr0: AtomicU64,
    /// HCR_EL2.
    pub hcr: AtomicU64,
    /// MDCR_EL2.
    pub mdcr: AtomicU64,
}

// boot/levels.S loads five words by their number.
const _: () = {
    assert!(align_of::<Install>() == 64 && size_of::<Install>() == 64);
    assert!(offset_of!(Install, tcr) == 8);
    assert!(offset_of!(Install, ttbr0) == 16);
    assert!(offset_of!(Install, hcr) == 24);
    assert!(offset_of!(Install, mdcr) == 32);
};

/// The most barriers that are watched at once: every core has at least two
/// breakpoints, and the longest routine has three barriers.
pub const MAX_BARRIERS: usize = 6;
