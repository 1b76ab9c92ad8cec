//! The image's own symbol table, so that it can print `symbol+offset` on a
//! board with nobody to ask. `stalecore flatten` builds it from the ELF file
//! into a section that the linker script reserves.
//!
//! Layout, little endian: the magic `stsy`, the number of symbols; each one's offset from
//! the image's start, ascending, four bytes; how many pairs of bytes behind the first name
//! its own is, two bytes; the names, each once and in an even place, with its length in
//! front as one byte.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

const MAGIC: [u8; 4] = *b"stsy";

/// A symbol table to look names up in.
#[derive(Clone, Copy)]
pub struct Symbols<'a> {
    table: &'a [u8],
    count: usize,
}

impl<'a> Symbols<'a> {
    /// Reads a table; `None` if there is none, or a damaged one.
    pub fn read(table: &'a [u8]) -> Option<Self> {
        if table.get(..4)? != MAGIC {
            return None;
        }
        let count = usize::try_from(word(table, 4)?).ok()?;
        table.get(..names_at(count)?)?;
        Some(Self { table, count })
    }

    /// The symbol that contains or precedes `offset` (from the image's start), and
    /// the distance from it.
    pub fn find(&self, offset: u64) -> Option<(&'a str, u64)> {
        self.find_with_room(offset).map(|(name, at, _)| (name, at))
    }

    /// As [`Self::find`], and how many bytes there are from the symbol to the
    /// next one: its size, the padding behind it included. The last has none.
    pub fn find_with_room(&self, offset: u64) -> Option<(&'a str, u64, Option<u64>)> {
        let offset = u32::try_from(offset).ok()?;
        let at = |index: usize| word(self.table, 8 + index * 4);
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if at(middle)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = low.checked_sub(1)?;
        let pairs = self.table.get(8 + self.count * 4 + index * 2..)?;
        let pairs = u16::from_le_bytes(*pairs.first_chunk()?);
        let name = names_at(self.count)? + 2 * usize::from(pairs);
        let length = usize::from(*self.table.get(name)?);
        let name = self.table.get(name + 1..name + 1 + length)?;
        let start = at(index)?;
        let room = if low < self.count {
            Some(u64::from(at(low)?.saturating_sub(start)))
        } else {
            None
        };
        Some((
            core::str::from_utf8(name).ok()?,
            u64::from(offset - start),
            room,
        ))
    }
}

/// Where the names of so many symbols begin.
fn names_at(count: usize) -> Option<usize> {
    count.checked_mul(4 + 2)?.checked_add(8)
}

fn word(table: &[u8], at: usize) -> Option<u32> {
    table
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

/// Builds a table of at most `capacity` bytes from (offset, name) pairs; names
/// longer than 255 bytes are cut. Of several symbols at one offset the first
/// given is kept.
///
/// # Errors
/// How many bytes it would take, if that is more than `capacity`.
pub fn build(mut symbols: Vec<(u32, String)>, capacity: usize) -> Result<Vec<u8>, usize> {
    symbols.sort_by_key(|(offset, _)| *offset);
    symbols.dedup_by_key(|(offset, _)| *offset);
    let mut names: Vec<u8> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    let mut kept = BTreeMap::new();
    let mut table = Vec::new();
    table.extend(MAGIC);
    table.extend((symbols.len() as u32).to_le_bytes());
    for (offset, name) in &symbols {
        let mut end = name.len().min(255);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        // Generic code stands many times under one name.
        let at = *kept.entry(&name[..end]).or_insert_with(|| {
            names.resize(names.len().next_multiple_of(2), 0);
            let at = names.len();
            names.push(end as u8);
            names.extend(&name.as_bytes()[..end]);
            at
        });
        table.extend(offset.to_le_bytes());
        places.push(at);
    }
    let needed = table.len() + 2 * places.len() + names.len();
    if needed > capacity.min(2 * usize::from(u16::MAX)) {
        return Err(needed);
    }
    table.extend(places.iter().flat_map(|at| ((at / 2) as u16).to_le_bytes()));
    table.extend(names);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};
    use proptest::prelude::*;

    #[test]
    fn finds_the_report_own_place() {
        let table = build(
            vec![
                (0x200, "flush_icache_range".to_string()),
                (0x100, "entry".to_string()),
            ],
            4096,
        )
        .unwrap();
        let symbols = Symbols::read(&table).unwrap();
        assert_eq!(symbols.find(0x200 + 92), Some(("flush_icache_range", 92)));
        assert_eq!(symbols.find(0x1ff), Some(("entry", 0xff)));
        assert_eq!(symbols.find(0xff), None);
        assert_eq!(
            symbols.find_with_room(0x101),
            Some(("entry", 1, Some(0x100)))
        );
        assert_eq!(
            symbols.find_with_room(0x200),
            Some(("flush_icache_range", 0, None))
        );
    }

    #[test]
    fn an_empty_section_is_no_table() {
        assert!(Symbols::read(&[0; 64]).is_none());
    }

    #[test]
    fn a_name_that_stands_twice_is_kept_once() {
        let named = |name: &str| vec![(0x100, "timed".to_string()), (0x200, name.to_string())];
        let table = build(named("timed"), 4096).unwrap();
        assert_eq!(build(named("other"), 4096).unwrap().len(), table.len() + 6);
        let symbols = Symbols::read(&table).unwrap();
        assert_eq!(symbols.find(0x104), Some(("timed", 4)));
        assert_eq!(symbols.find(0x208), Some(("timed", 8)));
    }

    #[test]
    fn too_many_names_are_refused_with_what_they_need() {
        assert_eq!(build(vec![(0, "x".repeat(100))], 50), Err(8 + 6 + 101));
    }

    proptest! {
        #[test]
        fn damaged_tables_never_panic(mut table in proptest::collection::vec(any::<u8>(), 0..80), offset in any::<u64>()) {
            for (byte, magic) in table.iter_mut().zip(MAGIC) {
                *byte = magic;
            }
            if let Some(symbols) = Symbols::read(&table) {
                let _ = symbols.find(offset);
            }
        }
    }
}
