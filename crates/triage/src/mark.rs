//! Where in a log something stands.

use serde::{Serialize, Serializer};

use super::{fields::clean, prefix::Stamp};

/// The longest time that is kept in place.
const SHORT: usize = 22;

/// A time as printed. Every line that is taken has one, so that those of the kernel are
/// kept in place: a piece of memory for each would cost more than reading it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Time {
    /// Digits and the like, and how many.
    Short([u8; SHORT], u8),
    /// Any other.
    Long(String),
}

impl Time {
    fn of(text: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match short.get_mut(..text.len()) {
            Some(room) if text.iter().all(u8::is_ascii_graphic) => {
                room.copy_from_slice(text);
                Self::Short(short, text.len() as u8)
            }
            _ => Self::Long(clean(text)),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Short(text, length) => {
                str::from_utf8(&text[..usize::from(*length)]).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.text())
    }
}

/// Where a message stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Line number, from 1.
    pub line: u64,
    /// Time as printed.
    pub time: Option<Time>,
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
            time: place.stamp.time.map(Time::of),
        }
    }
}
