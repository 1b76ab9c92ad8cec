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

// The loops of stuck threads and cores; their macros are the image's too.
global_asm!(
    crate::stuck_macros!(),
    ".set SCRATCH_SIZE, {scratch}",
    ".set STORM_SIZE, {storm}",
    include_str!("stuck.S"),
    ".purgem stuck",
    ".purgem end_stuck",
    ".purgem answer",
    scratch = const crate::stuck::SCRATCH_SIZE,
    storm = const crate::stuck::STORM_SIZE,
);
