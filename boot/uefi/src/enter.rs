//! The last steps: out of firmware's translation and caches, into the image.
//!
//! The arm64 boot protocol wants the MMU off and the image and its device tree
//! cleaned to the point of coherency. Everything else stays as firmware left
//! it: the image brings its own.
#![expect(unsafe_code, reason = "turns the MMU off")]

use core::arch::{asm, global_asm};

use stalecore_model::platform::Region;

// x0: image, x1: its end, x2: device tree, x3: its end. No stack, no data: the
// caches go off on the way.
global_asm!(
    ".section .text",
    ".balign 64",
    ".global stalecore_enter_image",
    "stalecore_enter_image:",
    "    msr     DAIFSet, #0xf",
    "    mov     x20, x0",
    "    mov     x21, x2",
    "    mrs     x9, ctr_el0",
    "    ubfx    x9, x9, #16, #4", // DminLine: words, as a power of two
    "    mov     x10, #4",
    "    lsl     x9, x10, x9",
    "    sub     x10, x9, #1",
    // The image, the device tree, and this code, which runs on uncached.
    "    bl      2f",
    "    mov     x0, x2",
    "    mov     x1, x3",
    "    bl      2f",
    "    adr     x0, stalecore_enter_image",
    "    adr     x1, 9f",
    "    bl      2f",
    "    dsb     sy",
    "    mov     x5, #0x1005", // SCTLR_ELx: M, C, I
    "    mrs     x4, CurrentEL",
    "    cmp     x4, #(2 << 2)",
    "    b.eq    1f",
    "    mrs     x4, sctlr_el1",
    "    bic     x4, x4, x5",
    "    msr     sctlr_el1, x4",
    "    isb",
    "    tlbi    vmalle1",
    "    b       3f",
    "1:  mrs     x4, sctlr_el2",
    "    bic     x4, x4, x5",
    "    msr     sctlr_el2, x4",
    "    isb",
    "    tlbi    alle2",
    "3:  ic      iallu",
    "    dsb     nsh",
    "    isb",
    "    mov     x0, x21",
    "    mov     x1, xzr",
    "    mov     x2, xzr",
    "    mov     x3, xzr",
    "    br      x20",
    // Cleans and invalidates [x0, x1) to the point of coherency.
    "2:  bic     x0, x0, x10",
    "4:  dc      civac, x0",
    "    add     x0, x0, x9",
    "    cmp     x0, x1",
    "    b.lo    4b",
    "    ret",
    "9:",
);

unsafe extern "C" {
    fn stalecore_enter_image(image: u64, image_end: u64, tree: u64, tree_end: u64) -> !;
}

/// Enters the image that begins at `image`, with the device tree at `tree`.
pub fn image(image: Region, tree: Region) -> ! {
    // SAFETY: boot services have ended, so nobody else runs or is called
    // again; memory is mapped to itself, so turning the MMU off moves nothing.
    unsafe { stalecore_enter_image(image.base, image.end(), tree.base, tree.end()) }
}

/// This core's MIDR_EL1.
pub fn midr() -> u64 {
    let midr: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack, preserves_flags)) };
    midr
}

/// The exception level that firmware runs at.
pub fn exception_level() -> u8 {
    let level: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, CurrentEL", out(reg) level, options(nomem, nostack, preserves_flags)) };
    (level >> 2 & 3) as u8
}
