//! The crash image in memory: its segments, the kexec list that says where
//! their pages go, and the checksum by which they are checked.

use alloc::vec::Vec;

/// The kernel's page, in bytes.
pub const PAGE: u64 = 4096;

/// A flag in the low bits of a list entry: where following pages go.
pub const DESTINATION: u64 = 1;
/// The list goes on in that page.
pub const INDIRECTION: u64 = 2;
/// The list ends.
pub const DONE: u64 = 4;
/// A page to move.
pub const SOURCE: u64 = 8;
/// All flags.
pub const FLAGS: u64 = 15;

/// A part of the crash image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// What it is.
    pub name: &'static str,
    /// Where it was loaded; a page's address.
    pub source: u64,
    /// Where it goes; a page's address.
    pub destination: u64,
    /// Its size in pages.
    pub pages: u64,
}

/// Lays out a list over `list_pages`, with up to `capacity` entries in each: pairs of an
/// entry's address and its value. `None` if the pages do not suffice.
pub fn layout(
    segments: &[Segment],
    list_pages: &[u64],
    capacity: usize,
) -> Option<Vec<(u64, u64)>> {
    let mut values = Vec::new();
    for segment in segments {
        values.push(segment.destination | DESTINATION);
        values.extend((0..segment.pages).map(|page| (segment.source + page * PAGE) | SOURCE));
    }
    values.push(DONE);
    let mut entries = Vec::new();
    let mut pages = list_pages.iter();
    let mut at = *pages.next()?;
    let mut used = 0;
    for value in values {
        // The last entry of a page leads to the next.
        if used + 1 == capacity && value != DONE {
            let next = *pages.next()?;
            entries.push((at, next | INDIRECTION));
            (at, used) = (next, 0);
        }
        entries.push((at, value));
        at += size_of::<u64>() as u64;
        used += 1;
    }
    Some(entries)
}

/// Fills memory with words that differ everywhere and by `seed` (splitmix64).
pub fn pattern(seed: u64, words: usize) -> impl Iterator<Item = u64> {
    (0..words as u64).map(move |index| {
        let mut word = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    })
}

/// CRC-32 (ISO-HDLC, reflected 0xedb88320) of words in little-endian order.
pub fn crc32(words: impl Iterator<Item = u64>) -> u32 {
    let mut table = [0_u32; 16];
    for (nibble, slot) in table.iter_mut().enumerate() {
        *slot = (0..4).fold(nibble as u32, |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        });
    }
    !words.fold(u32::MAX, |crc, word| {
        (0..16).fold(crc, |crc, nibble| {
            let index = (crc ^ (word >> (nibble * 4)) as u32) & 15;
            crc >> 4 ^ table[index as usize]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    /// Walks a list as the relocation code does: (destination, source) pairs.
    fn walk(entries: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let memory: BTreeMap<u64, u64> = entries.iter().copied().collect();
        assert_eq!(memory.len(), entries.len(), "an entry was written twice");
        let (mut at, mut to, mut moved) = (entries[0].0, 0, Vec::new());
        loop {
            let value = memory[&at];
            let page = value & !(PAGE - 1);
            at += 8;
            match value & FLAGS {
                DESTINATION => to = page,
                INDIRECTION => at = page,
                SOURCE => {
                    moved.push((to, page));
                    to += PAGE;
                }
                _ => return moved,
            }
        }
    }

    fn segments() -> [Segment; 2] {
        [
            Segment {
                name: "kernel",
                source: 0x1000,
                destination: 0x10_0000,
                pages: 3,
            },
            Segment {
                name: "dtb",
                source: 0x8000,
                destination: 0x20_0000,
                pages: 1,
            },
        ]
    }

    #[test]
    fn every_page_goes_where_its_segment_says() {
        let expected = [
            (0x10_0000, 0x1000),
            (0x10_1000, 0x2000),
            (0x10_2000, 0x3000),
            (0x20_0000, 0x8000),
        ];
        for capacity in [4, 5, 512] {
            let entries = layout(&segments(), &[0x50_0000, 0x60_0000], capacity).unwrap();
            assert_eq!(walk(&entries), expected, "{capacity}");
        }
    }

    #[test]
    fn too_few_pages_are_refused() {
        assert_eq!(layout(&segments(), &[0x50_0000], 4), None);
        assert_eq!(layout(&segments(), &[], 512), None);
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        // Of the eight bytes "12345678", as any zip tool computes it.
        let word = u64::from_le_bytes(*b"12345678");
        assert_eq!(crc32(core::iter::once(word)), 0x9ae0_daaf);
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_seen(seed in any::<u64>(), at in 0_usize..512, bit in 0..64) {
            let right = crc32(pattern(seed, 512));
            let wrong = crc32(pattern(seed, 512).enumerate().map(|(index, word)| {
                if index == at { word ^ (1_u64 << bit) } else { word }
            }));
            prop_assert_ne!(right, wrong);
        }

        #[test]
        fn no_page_is_lost(pages in proptest::collection::vec(1_u64..20, 1..4), capacity in 2_usize..20) {
            let mut source = 0x1000;
            let segments: Vec<_> = pages.iter().map(|pages| {
                let segment = Segment { name: "x", source, destination: source + (1 << 40), pages: *pages };
                source += pages * PAGE;
                segment
            }).collect();
            let lists: Vec<u64> = (0..100).map(|n| (1 << 50) + n * PAGE).collect();
            let moved = walk(&layout(&segments, &lists, capacity).unwrap());
            prop_assert_eq!(moved.len() as u64, pages.iter().sum::<u64>());
            prop_assert!(moved.iter().all(|(to, from)| *to == from + (1 << 40)));
        }
    }
}
