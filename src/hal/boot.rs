//! How a core gets into the image: the numbers that the entry code needs, what a
//! core finds when it turns its MMU on, and the pen.

#![expect(unsafe_code, reason = "what the entry code reads")]

use core::{
    arch::asm,
    mem::offset_of,
    slice,
    sync::atomic::{AtomicU64, Ordering},
};

use stalecore_model::region::Region;

use super::{arch, controls::SCTLR_ON_WXN};

/// The call that the image's own EL3 serves: an SMCCC fast call of the OEM's
/// range, 64 bits.
pub const EL3_WRITE: u32 = 0xc300_5743;
/// The call that sets EL2 up for the fabric.
pub const EL2_INSTALL: u32 = 0xc300_5744;
/// The call that switches EL1's stage 2 on: VTCR_EL2 in x1, VTTBR_EL2 in x2.
pub const EL2_STAGE2: u32 = 0xc300_5749;

/// The first call of SDEI; all are within 32 of it (Arm DEN0054).
pub const SDEI_CALLS: u32 = 0xc400_0020;
/// SDEI_EVENT_COMPLETE.
pub const SDEI_EVENT_COMPLETE: u32 = 0xc400_0025;

/// What a core needs to turn its MMU on; read with the caches off.
#[repr(C)]
struct MmuSetup {
    mair: AtomicU64,
    tcr: AtomicU64,
    ttbr0: AtomicU64,
    sctlr: AtomicU64,
}

// boot/entry.S stores and loads four words by their number.
const _: () = {
    assert!(size_of::<MmuSetup>() == 32);
    assert!(offset_of!(MmuSetup, tcr) == 8);
    assert!(offset_of!(MmuSetup, ttbr0) == 16);
    assert!(offset_of!(MmuSetup, sctlr) == 24);
};

unsafe extern "C" {
    static mmu_setup: MmuSetup;
    static pen_release: AtomicU64;
    fn secondary_entry();
    fn pen();
    fn sdei_event();
    fn enter_on_own_stacks(core: usize) -> !;
    fn leave_for(start: u64, end: u64, by_el2: bool) -> !;
}

/// The address at which a started core enters the image.
pub fn secondary_entry_address() -> u64 {
    secondary_entry as *const () as u64
}

/// The address of the pen, for firmware that sends cores to an address without
/// a context.
pub fn pen_address() -> u64 {
    pen as *const () as u64
}

/// The address at which EL2 takes SDEI's events.
pub fn sdei_event_address() -> u64 {
    sdei_event as *const () as u64
}

/// A device tree that firmware left: the entry code has checked its magic and its size,
/// and mapped it. Nothing else makes one.
#[repr(C)]
pub struct Tree {
    magic: [u8; 4],
    size: [u8; 4],
}

impl Tree {
    /// Its bytes: they stay mapped until the image's own tables are in use.
    pub fn bytes(&'static self) -> &'static [u8] {
        let size = u32::from_be_bytes(self.size) as usize;
        // SAFETY: the entry code has mapped that many bytes from here on, and nothing
        // writes to them while the image reads them.
        unsafe { slice::from_raw_parts(core::ptr::from_ref(self).cast(), size) }
    }
}

/// Continues at `boot_core_main`, on the stacks of the `Core` at this address.
///
/// # Safety
/// It must be a `Core` whose stacks are mapped and used by nobody yet.
pub unsafe fn switch_stacks(core: usize) -> ! {
    // SAFETY: the caller vouches for the stacks; what is on the boot stacks is
    // static or not needed any more.
    unsafe { enter_on_own_stacks(core) }
}

/// Continues at `entry` with the program's stack at `stack`.
///
/// # Safety
/// `stack` must be the top of a stack that is mapped and used by nobody.
pub unsafe fn go_on(stack: usize, entry: extern "C" fn() -> !) -> ! {
    // SAFETY: the program runs on SP_EL0, which is what SP names; nothing on the old
    // stack is used again.
    unsafe {
        asm!(
            "mov sp, {stack}",
            "mov x29, #0",
            "mov x30, #0",
            "br {entry}",
            stack = in(reg) stack,
            entry = in(reg) entry,
            options(noreturn)
        )
    }
}

/// Leaves this image for what was loaded at `next`, which begins with its first
/// instructions: as the arm64 boot protocol has it, at EL2 if the image was entered there.
pub fn leave(next: &Region, at_el2: bool) -> ! {
    arch::daif_mask();
    // SAFETY: nothing of this image is needed any more; it is mapped to itself, so that
    // the code goes on with the MMU off.
    unsafe { leave_for(next.base, next.end(), at_el2) }
}

/// Writes a line back to memory, for a core whose caches are off.
pub fn clean(address: usize) {
    arch::dc_civac(address);
    arch::dsb_sy();
}

/// From now on cores start with these tables, and with nothing writable
/// executable.
// Not inlined, like all that does maintenance: docs/maintenance-sites.md lists it by name.
#[inline(never)]
pub fn set_tables(ttbr0: u64) {
    // SAFETY: boot/data.S defines it with this layout; all fields are atomics.
    let setup = unsafe { &mmu_setup };
    setup.ttbr0.store(ttbr0, Ordering::Relaxed);
    setup.sctlr.store(SCTLR_ON_WXN, Ordering::Relaxed);
    clean(core::ptr::from_ref(setup) as usize);
}

/// Calls the core that this `Core` is for out of the pen, if it waits there; 0 calls
/// nobody. A single word, so that a slow core cannot take another's `Core` for its own.
#[inline(never)]
pub fn release_from_pen(core: usize) {
    // SAFETY: boot/data.S defines it, as one word that is atomic here.
    let pen = unsafe { &pen_release };
    pen.store(core as u64, Ordering::Release);
    clean(core::ptr::from_ref(pen) as usize);
    arch::sev();
}
