//! What stalecore can compute without hardware.
//!
//! The image and the host command share this crate: the words of the glossary,
//! the command line, the plan, the histogram, the verdict and the records of
//! the report. No `unsafe`, no hardware, no host: everything here is tested by
//! `cargo test` in milliseconds.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod again;
pub mod alone;
pub mod acpi;
pub mod bisect;
pub mod clock;
pub mod console;
pub mod cpuset;
pub mod deploy;
pub mod efi;
pub mod errata;
pub mod exit;
pub mod fabric;
pub mod fingerprint;
pub mod framebuffer;
pub mod glossary;
pub mod handover;
pub mod hazard;
pub mod hex;
pub mod histogram;
pub mod kdump;
pub mod kexec;
pub mod ktap;
pub mod mailbox;
pub mod maintenance;
pub mod mark;
pub mod measured;
pub mod options;
pub mod order;
pub mod outcomes;
pub mod part;
pub mod plan;
pub mod platform;
mod property;
pub mod ramoops;
pub mod reader;
pub mod record;
pub mod recorder;
pub mod region;
pub mod registers;
pub mod rounds;
pub mod run;
#[cfg(test)]
mod schema;
pub mod screen;
pub mod shell;
pub mod sorted;
pub mod stage2;
pub mod symbols;
mod sync;
pub mod syndrome;
pub mod topology;
pub mod uart;
pub mod verdict;
pub mod wait;
pub mod witness;
pub mod words;
