//! `symbol+offset` of an address in the image.

use core::fmt;

use stalecore_model::symbols::{Name, Symbols};

use super::layout;

/// The symbol that an address lies in, and how many bytes into it.
pub fn find(address: u64) -> Option<(Name<'static>, u64)> {
    find_with_room(address).map(|(name, offset, _)| (name, offset))
}

/// As [`find`], and how far the next symbol is from it.
pub fn find_with_room(address: u64) -> Option<(Name<'static>, u64, Option<u64>)> {
    let image = layout::image_start() as u64..layout::image_end() as u64;
    if !image.contains(&address) {
        return None;
    }
    Symbols::read(layout::symbols())?.find_with_room(address - image.start)
}

/// An address, shown as `symbol+offset`, or by its distance from the image.
pub struct At(pub u64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = layout::image_start() as u64;
        match find(self.0) {
            Some((name, offset)) => write!(f, "{name}+{offset}"),
            None if self.0 >= start && self.0 < layout::image_end() as u64 => {
                write!(f, "image+{:#x}", self.0 - start)
            }
            None => write!(f, "{:#x}", self.0),
        }
    }
}
