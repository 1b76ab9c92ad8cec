//! The board: what firmware says of it, set up once, and described.

pub mod describe;
mod setup;
mod acpi;

pub use setup::{Board, get};
