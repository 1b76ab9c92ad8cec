//! Where in a log something stands.

use super::{fields::clean, prefix::Stamp};

/// Where a message stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Line number, from 1.
    pub line: u64,
    /// Time as printed.
    pub time: Option<String>,
}

/// Where a message is being read.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Line number, from 1.
    pub line: u64,
    /// Its stamp.
    pub stamp: Stamp<'a>,
    /// Its line is whole.
    pub whole: bool,
}

impl From<Place<'_>> for Mark {
    fn from(place: Place<'_>) -> Self {
        Self {
            line: place.line,
            time: place.stamp.time.map(clean),
        }
    }
}
