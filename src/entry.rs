//! The assembly of `boot/`, and the numbers that it shares with Rust.

#![expect(unsafe_code, reason = "the assembly itself, and the linker's symbols")]

use core::{
    arch::global_asm,
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{arch, core_local::Core, exception, stuck::SCRATCH_SIZE};

/// MAIR_EL1: attribute 0 is Device-nGnRE, 1 Normal write-back, 2 Normal
/// non-cacheable.
pub const MAIR: u64 = 0x04 | 0xff << 8 | 0x44 << 16;
/// TCR_EL1: 48 bits of TTBR0, 4 KiB pages, write-back Inner-Shareable walks,
/// no TTBR1. The output size is added at boot.
const TCR: u64 = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23;
/// SCTLR_EL1 with its RES1 bits and nothing on.
const SCTLR_OFF: u64 = 0x30d0_0800;
/// MMU, data and instruction caches, stack alignment.
const SCTLR_ON: u64 = SCTLR_OFF | 1 | 1 << 2 | 1 << 12 | 1 << 3 | 1 << 4;
/// Nothing writable is executable (SCTLR_EL1.WXN).
pub const SCTLR_WXN: u64 = 1 << 19;
/// The call that the image's own EL3 serves: an SMCCC fast call of the OEM's
/// range, 64 bits.
pub const EL3_WRITE: u32 = 0xc300_5743;
/// The call that sets EL2 up for the fabric.
pub const EL2_INSTALL: u32 = 0xc300_5744;
/// HCR_EL2 while nothing is trapped: RW, and pointer authentication not
/// trapped (APK, API).
pub const HCR: u64 = 1 << 31 | 3 << 40;
/// The affinity fields of MPIDR_EL1.
pub const MPIDR_AFFINITY: u64 = 0xff_00ff_ffff;

global_asm!(
    ".set MAIR_VALUE, {mair}",
    ".set TCR_VALUE, {tcr}",
    ".set SCTLR_OFF, {sctlr_off}",
    ".set SCTLR_ON, {sctlr_on}",
    // EL2: RES1 only.
    ".set SCTLR_EL2_OFF, 0x30c50830",
    ".set SCTLR_EL2_ON, 0x30c50830 | 1 | (1 << 2) | (1 << 12) | (1 << 3)",
    ".set HCR_VALUE, {hcr}",
    ".set EL2_INSTALL, {el2_install}",
    // NS, RES1, HCE, RW, and pointer authentication not trapped.
    ".set SCR_EL3_VALUE, 0x1 | 0x30 | (1 << 8) | (1 << 10) | (3 << 16)",
    ".set CPTR_EL2_RES1, 0x33ff",
    ".set CPACR_FPEN, 3 << 20",
    ".set SPSR_EL1H, 0x3c5",
    ".set SPSR_EL2H, 0x3c9",
    ".set MPIDR_AFFINITY, {affinity}",
    ".set EL3_WRITE, {el3_write}",
    // A valid block: attribute 1, inner shareable, accessed, not for EL0.
    ".set EARLY_BLOCK, 1 | (1 << 2) | (3 << 8) | (1 << 10) | (1 << 54)",
    ".set FDT_MAGIC, 0xd00dfeed",
    ".set FDT_MAX_SIZE, 0x200000",
    ".set ELECTION_SPINS, 0x10000",
    ".set R_AARCH64_RELATIVE, 1027",
    ".set CORE_STACKS, {core_stacks}",
    ".set FRAME_SIZE, {frame}",
    ".set SCRATCH_SIZE, {scratch}",
    include_str!("../boot/entry.S"),
    include_str!("../boot/levels.S"),
    include_str!("../boot/vectors.S"),
    include_str!("../boot/routines.S"),
    include_str!("../boot/stale.S"),
    include_str!("../boot/kdump.S"),
    include_str!("../boot/data.S"),
    mair = const MAIR,
    tcr = const TCR,
    sctlr_off = const SCTLR_OFF,
    sctlr_on = const SCTLR_ON,
    affinity = const MPIDR_AFFINITY,
    el3_write = const EL3_WRITE,
    el2_install = const EL2_INSTALL,
    hcr = const HCR,
    core_stacks = const offset_of!(Core, stacks),
    frame = const size_of::<exception::Frame>(),
    scratch = const SCRATCH_SIZE,
    primary_main = sym crate::primary_main,
    secondary_main = sym crate::worker::secondary_main,
    boot_core_main = sym crate::boot_core_main,
    crash_kernel_main = sym crate::kdump::capture::crash_kernel_main,
    exception = sym exception::handle,
    el2_exception = sym crate::fabric::el2::handle,
);

/// What a core needs to turn its MMU on; read with the caches off.
#[repr(C)]
struct MmuSetup {
    mair: AtomicU64,
    tcr: AtomicU64,
    ttbr0: AtomicU64,
    sctlr: AtomicU64,
}

/// The word that calls a core out of the pen, and the `Core` for it.
#[repr(C)]
struct PenRelease {
    /// MPIDR affinity + 1 of the core to go.
    who: AtomicU64,
    core: AtomicU64,
}

unsafe extern "C" {
    static mmu_setup: MmuSetup;
    static pen_release: PenRelease;
    fn secondary_entry();
    fn pen();
    fn enter_on_own_stacks(core: usize) -> !;
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

/// Goes on at `boot_core_main`, on the stacks of this core.
pub fn switch_stacks(core: &'static Core) -> ! {
    // SAFETY: the stacks of `core` are mapped and nobody has used them yet;
    // what is on the boot stacks is static or not needed any more.
    unsafe { enter_on_own_stacks(core::ptr::from_ref(core) as usize) }
}

/// Writes a line back to memory, for a core whose caches are off.
pub fn clean(address: usize) {
    // SAFETY: `address` is that of a value that is borrowed here or by the
    // caller, so it is mapped.
    unsafe { arch::dc_civac(address) }
    arch::dsb_sy();
}

/// From now on cores start with these tables, and with nothing writable
/// executable.
pub fn set_tables(ttbr0: u64) {
    // SAFETY: boot/data.S defines it with this layout; all fields are atomics.
    let setup = unsafe { &mmu_setup };
    setup.ttbr0.store(ttbr0, Ordering::Relaxed);
    setup.sctlr.store(SCTLR_ON | SCTLR_WXN, Ordering::Relaxed);
    clean(core::ptr::from_ref(setup) as usize);
}

/// Calls the core of that MPIDR out of the pen, if it waits there.
pub fn release_from_pen(mpidr: u64, core: &'static Core) {
    // SAFETY: as in `set_tables`.
    let pen = unsafe { &pen_release };
    pen.core
        .store(core::ptr::from_ref(core) as u64, Ordering::Relaxed);
    pen.who
        .store((mpidr & MPIDR_AFFINITY) + 1, Ordering::Release);
    clean(core::ptr::from_ref(pen) as usize);
    arch::sev();
}

/// Defines functions that give the addresses of the linker script's symbols.
macro_rules! linker_symbols {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident;)*) => {
        $(
            $(#[$doc])*
            pub fn $name() -> usize {
                unsafe extern "C" {
                    #[link_name = stringify!($symbol)]
                    static SYMBOL: u8;
                }
                &raw const SYMBOL as usize
            }
        )*
    };
}

linker_symbols! {
    /// The image's first byte.
    image_start = image_head;
    /// Behind the image's last byte.
    image_end = image_end;
    /// Code.
    text_start = text_start;
    /// Behind the code.
    text_end = text_end;
    /// Constants.
    rodata_start = rodata_start;
    /// Behind the constants.
    rodata_end = rodata_end;
    /// Data, zeroed data and early tables, to the image's end.
    data_start = data_start;
    /// The kernel's routines.
    routines_start = routines_start;
    /// Behind them.
    routines_end = routines_end;
    /// The loops of stale cores.
    stuck_start = stuck_start;
    /// Behind them.
    stuck_end = stuck_end;
    /// The exception table.
    ex_table_start = ex_table_start;
    /// Behind it.
    ex_table_end = ex_table_end;
    /// The symbol table's section.
    symbols_start = symbols_start;
    /// Behind it.
    symbols_end = symbols_end;
}
