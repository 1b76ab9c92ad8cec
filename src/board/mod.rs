//! The board: what firmware says about it, set up once, and described.

pub mod describe;
mod setup;
mod acpi;
mod uefi;

pub use setup::{Board, get};
