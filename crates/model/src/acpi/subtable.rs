//! Walks the structures that follow one another in a table, each beginning
//! with its type and length.

use alloc::format;
use zerocopy::FromBytes;

use super::{notes::Notes, table::Table};

/// How a table's structures give their length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// One byte after the type (MADT, PPTT).
    Byte,
    /// Two bytes after the type (GTDT).
    Half,
}

/// One structure, from its type to its end.
#[derive(Clone, Copy)]
pub struct Subtable<'a> {
    /// What it is; the meaning is the table's.
    pub kind: u8,
    /// Where it begins, in bytes from the start of the table.
    pub offset: usize,
    /// All of it.
    pub bytes: &'a [u8],
}

impl Subtable<'_> {
    /// Reads the structure as a `T`; a longer one is fine (later revisions append
    /// fields), a shorter one is noted and gives `None`.
    pub fn read<T: FromBytes>(
        &self,
        table: &'static str,
        what: &str,
        notes: &mut Notes,
    ) -> Option<T> {
        let read = T::read_from_prefix(self.bytes).ok();
        if read.is_none() {
            notes.add(
                table,
                self.offset,
                format!("{what} of {} bytes is too short, skipped", self.bytes.len()),
            );
        }
        read.map(|(value, _)| value)
    }
}

/// Calls `each` with the structures of `table` from `offset` on, at most `most` of
/// them. A structure with an impossible length ends the walk with a note, as it is then
/// unknown where the next one begins.
pub fn walk<'a>(
    table: &Table<'a>,
    mut offset: usize,
    most: usize,
    length: Length,
    notes: &mut Notes,
    mut each: impl FnMut(Subtable<'a>, &mut Notes),
) {
    for _ in 0..most {
        let rest = table.bytes().get(offset..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let (head, long) = match (length, rest) {
            (Length::Byte, [_, l, ..]) => (2, usize::from(*l)),
            (Length::Half, [_, low, high, ..]) => {
                (3, usize::from(u16::from_le_bytes([*low, *high])))
            }
            _ => (1, 0),
        };
        let Some(bytes) = rest.get(..long).filter(|_| long >= head) else {
            let text = format!(
                "structure of length {long} with {} bytes left; nothing after it is read",
                rest.len()
            );
            notes.add(table.name(), offset, text);
            break;
        };
        let kind = bytes[0];
        each(
            Subtable {
                kind,
                offset,
                bytes,
            },
            notes,
        );
        offset += long;
    }
}
