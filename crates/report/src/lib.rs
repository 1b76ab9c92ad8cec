//! `report.html`: a run, or several side by side, as one page that needs no
//! network and no script.
//!
//! Each section has its file; [`page()`] puts them together. Everything that a
//! console or a file said goes through [`text::Said`] and maud's escaping;
//! only numbers and words of the glossary are written without them.

#![forbid(unsafe_code)]

mod answer;
mod axis;
mod blocks;
mod case;
mod cores;
mod crash;
mod differ;
#[cfg(test)]
mod golden_tests;
mod hazards;
mod heat;
mod how;
mod lines;
mod machine;
mod page;
mod plot;
mod stale_count;
mod sweep;
mod text;
mod view;

pub use page::{GENERATOR, page};

/// The file's name within a run's directory.
pub const FILE: &str = "report.html";
