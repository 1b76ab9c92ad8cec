//! The assembly of `boot/`, with the numbers that it shares with Rust and the
//! functions that it enters. Nobody imports this.

#![expect(unsafe_code, reason = "the assembly itself")]

use core::{arch::global_asm, mem::offset_of};

use crate::{
    cores::percpu::Core,
    exception, fabric,
    hal::{
        boot::{EL2_INSTALL, EL3_WRITE, HCR, MAIR, MPIDR_AFFINITY, SCTLR_OFF, SCTLR_ON, TCR},
        frame::Frame,
    },
    run, stuck, worker,
};

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
    // A valid block: attribute 1, inner shareable, accessed, of its ASID alone,
    // not for EL0.
    ".set EARLY_BLOCK, 1 | (1 << 2) | (3 << 8) | (1 << 10) | (1 << 11) | (1 << 54)",
    ".set FDT_MAGIC, 0xd00dfeed",
    ".set FDT_MAX_SIZE, 0x200000",
    ".set ELECTION_SPINS, 0x10000",
    ".set CORE_STACKS, {core_stacks}",
    ".set FRAME_SIZE, {frame}",
    ".set SCRATCH_SIZE, {scratch}",
    include_str!("../boot/entry.S"),
    include_str!("../boot/levels.S"),
    include_str!("../boot/vectors.S"),
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
    frame = const size_of::<Frame>(),
    scratch = const stuck::SCRATCH_SIZE,
    primary_main = sym run::primary_main,
    secondary_main = sym worker::secondary_main,
    boot_core_main = sym run::boot_core_main,
    crash_kernel_main = sym worker::crash_kernel_main,
    exception = sym exception::handle,
    el2_exception = sym fabric::el2::handle,
);
