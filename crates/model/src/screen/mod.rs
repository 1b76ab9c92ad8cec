//! A screen, for who stands before a machine without a serial line: what is shown, and
//! how that becomes pixels of a [frame buffer](crate::framebuffer).

mod draw;
mod page;

pub use draw::{Screen, glyph};
pub use page::{Ink, Page};
