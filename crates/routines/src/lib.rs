//! The kernel's cache-maintenance routines, instruction for instruction, and the
//! timed blocks: what a bare image and a Linux command execute alike.
//!
//! [`kernel`] has the routines, [`run`] calls them over an [`area`], [`probe`]
//! times one operation, [`mod@instructions`] are what a caller needs around them.
//!
//! A bare image runs at EL1 or above. What EL0 may not execute (`ic ialluis`,
//! `ic iallu`, `tlbi`, masking) is left out where there is an operating system:
//! [`probe::of`] and [`kernel::leaf`] have no entry for it there. What EL0 may
//! execute only where the kernel allows it (`dc`, `ic ivau`, `CTR_EL0`, a cycle
//! counter) is in: Linux allows all but the last.
//!
//! On any other architecture this crate is empty, so that nothing which calls it
//! builds: there is no instruction here that could be left out in silence.

#![cfg(target_arch = "aarch64")]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod area;
mod assembly;
pub mod code;
pub mod counter;
pub mod instructions;
pub mod kernel;
pub mod kexec_list;
pub mod probe;
pub mod run;
pub mod stuck;
