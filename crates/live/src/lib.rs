//! The harness in threads of a running aarch64 Linux: the same timed blocks, routines,
//! rounds and records as the image's, at EL0, with no reboot.
//!
//! `scope` says what a thread cannot be or execute, `start` runs a plan in a process of
//! its own, whose standard output is a console as the image writes it. What it can
//! not show: interrupts masked, TLBI, anything at EL1.
//!
//! On any other system this crate is empty.

#![cfg(all(target_arch = "aarch64", target_os = "linux"))]
#![deny(unsafe_code)]

mod start;
mod conduct;
mod rounds;
mod visits;
mod blocks;
mod outcome;
mod run;
mod watch;
mod entered;
mod threads;
mod table;
mod locks;
mod routine;
mod initiator;
mod calls;
mod status;
mod far;
mod trapped;
mod machine;
mod buffers;
mod flight;
mod offline;
mod mark;
mod report;
pub mod scope;
mod os;
pub mod kexec;

pub use flight::{Flight, Left};
pub use machine::{allowed, is_user_mode};
pub use start::{Config, Harness, start};
pub use threads::may_fifo;
