//! The routines themselves.

#![expect(unsafe_code, reason = "the assembly itself")]

use core::arch::global_asm;

// The macros are the caller's too, so they end with this block: with link-time
// optimization all assembly is one file.
global_asm!(
    include_str!("macros.S"),
    include_str!("routines.S"),
    ".purgem routine",
    ".purgem end_routine",
);

#[cfg(target_os = "none")]
global_asm!(
    include_str!("macros.S"),
    include_str!("bare.S"),
    ".purgem routine",
    ".purgem end_routine",
);
