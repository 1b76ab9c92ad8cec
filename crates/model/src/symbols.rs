//! The image's own symbol table, so that it can print `symbol+offset` on a
//! board with nobody to ask. `stalecore flatten` builds it from the ELF file
//! into a section that the linker script reserves.
//!
//! It is packed much as the kernel's kallsyms are, as the image has little room. Layout,
//! little endian: the magic `sym2`; the number of symbols, four bytes, and of pairs, four
//! bytes; the pairs, two bytes each; the symbols by ascending offset; the names. A symbol is
//! the distance from the one before it (from the image's start) in words, seven bits a byte,
//! lowest first, the last one without its highest bit; then how many bytes behind the first
//! name its own begins, two bytes. A name, each stands once, ends with a 0; its bytes below
//! 0x80 are characters, byte 0x80 + n stands for the two bytes of pair n, which may be pairs
//! before it.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::fmt::{self, Write};

const MAGIC: [u8; 4] = *b"sym2";
/// Magic, number of symbols, number of pairs.
const HEAD: usize = 12;
/// The first byte that stands for a pair, and how many there are.
const FIRST_PAIR: u8 = 0x80;
const MOST_PAIRS: usize = 0x80;
/// A pair that is rarer costs what it saves.
const FEWEST: usize = 4;
/// Code stands at words.
const WORD: u64 = 4;
/// A longer name is cut.
const LONGEST: usize = 255;

/// A symbol table to look names up in.
#[derive(Clone, Copy)]
pub struct Symbols<'a> {
    count: usize,
    pairs: &'a [u8],
    /// The symbols, and the names behind them.
    symbols: &'a [u8],
}

/// A name of a table; shown in full.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    pairs: &'a [u8],
    packed: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// Reads a table; `None` if there is none, or a damaged one.
    pub fn read(table: &'a [u8]) -> Option<Self> {
        if table.get(..4)? != MAGIC {
            return None;
        }
        let count = usize::try_from(word(table, 4)?).ok()?;
        let pairs = usize::try_from(word(table, 8)?).ok()?;
        if pairs > MOST_PAIRS {
            return None;
        }
        let (pairs, symbols) = table.get(HEAD..)?.split_at_checked(2 * pairs)?;
        Some(Self {
            count,
            pairs,
            symbols,
        })
    }

    /// The symbol that contains or precedes `offset` (from the image's start), and
    /// the distance from it.
    pub fn find(&self, offset: u64) -> Option<(Name<'a>, u64)> {
        self.find_with_room(offset).map(|(name, at, _)| (name, at))
    }

    /// As [`Self::find`], and how many bytes there are from the symbol to the
    /// next one: its size, the padding behind it included. The last has none.
    pub fn find_with_room(&self, offset: u64) -> Option<(Name<'a>, u64, Option<u64>)> {
        let mut rest = self.symbols;
        let mut at = 0;
        let mut found = None;
        let mut next = None;
        // From the first to the last, as the names lie behind that.
        for _ in 0..self.count {
            at += WORD * distance(&mut rest)?;
            let (name, behind) = rest.split_first_chunk()?;
            rest = behind;
            if at <= offset {
                found = Some((at, usize::from(u16::from_le_bytes(*name))));
            } else {
                next = next.or(Some(at));
            }
        }
        let (start, name) = found?;
        let name = Name {
            pairs: self.pairs,
            packed: rest.get(name..)?.split(|byte| *byte == 0).next()?,
        };
        Some((name, offset - start, next.map(|next| next - start)))
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.packed {
            // Of each pair that is open the second byte waits; a pair is made of
            // earlier ones, so no more wait than there are pairs.
            let mut waiting = [0; MOST_PAIRS];
            let mut waits = 0;
            let mut byte = *byte;
            loop {
                let pair = byte.checked_sub(FIRST_PAIR).map(usize::from);
                let both = pair.and_then(|nth| self.pairs.get(2 * nth..)?.first_chunk::<2>());
                match both {
                    Some([first, second])
                        if byte > *first && byte > *second && waits < waiting.len() =>
                    {
                        waiting[waits] = *second;
                        waits += 1;
                        byte = *first;
                        continue;
                    }
                    _ if byte.is_ascii_graphic() || byte == b' ' => f.write_char(byte.into())?,
                    _ => f.write_char('?')?,
                }
                let Some(last) = waits.checked_sub(1) else {
                    break;
                };
                waits = last;
                byte = waiting[waits];
            }
        }
        Ok(())
    }
}

/// The next distance, which is taken off `bytes`.
fn distance(bytes: &mut &[u8]) -> Option<u64> {
    let mut all = 0;
    // As many as an offset of 32 bits has.
    for nth in 0..5 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        all |= u64::from(byte & 0x7f) << (7 * nth);
        if *byte < 0x80 {
            return Some(all);
        }
    }
    None
}

fn word(table: &[u8], at: usize) -> Option<u32> {
    table
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

/// Builds a table of at most `capacity` bytes from (offset, name) pairs; names
/// longer than 255 bytes are cut. Of several symbols in one word the first given is kept.
///
/// # Errors
/// How many bytes it would take, if that is more than `capacity`.
pub fn build(mut symbols: Vec<(u32, String)>, capacity: usize) -> Result<Vec<u8>, usize> {
    let in_words = |offset: u32| u64::from(offset) / WORD;
    symbols.sort_by_key(|(offset, _)| in_words(*offset));
    symbols.dedup_by_key(|(offset, _)| in_words(*offset));
    // Generic code stands many times under one name.
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut kept = BTreeMap::new();
    let mut of = Vec::new();
    for (_, name) in &symbols {
        let name: Vec<u8> = name.chars().take(LONGEST).map(plain).collect();
        of.push(*kept.entry(name.clone()).or_insert_with(|| {
            names.push(name);
            names.len() - 1
        }));
    }
    let pairs = pack(&mut names);
    let mut places = Vec::new();
    let mut packed = Vec::new();
    for name in &names {
        places.push(packed.len());
        packed.extend(name);
        packed.push(0);
    }
    let mut table = Vec::new();
    table.extend(MAGIC);
    table.extend((symbols.len() as u32).to_le_bytes());
    table.extend((pairs.len() as u32).to_le_bytes());
    table.extend(pairs.iter().flatten());
    let mut before = 0;
    for ((offset, _), name) in symbols.iter().zip(of) {
        let mut more = in_words(*offset) - before;
        before += more;
        while more >= 0x80 {
            table.push(more as u8 | 0x80);
            more >>= 7;
        }
        table.push(more as u8);
        table.extend((places[name] as u16).to_le_bytes());
    }
    let needed = table.len() + packed.len();
    if needed > capacity || packed.len() > usize::from(u16::MAX) {
        return Err(needed);
    }
    table.extend(packed);
    Ok(table)
}

/// A character as the table has it.
fn plain(c: char) -> u8 {
    match u8::try_from(c) {
        Ok(byte) if byte.is_ascii_graphic() || byte == b' ' => byte,
        _ => b'?',
    }
}

/// Replaces the pair of bytes that is most frequent by one byte, again and again; the pairs.
fn pack(names: &mut [Vec<u8>]) -> Vec<[u8; 2]> {
    let mut pairs = Vec::new();
    while pairs.len() < MOST_PAIRS {
        let mut counts: BTreeMap<[u8; 2], usize> = BTreeMap::new();
        for pair in names.iter().flat_map(|name| name.array_windows()) {
            *counts.entry(*pair).or_default() += 1;
        }
        // Of equals the first, so that a build gives the same bytes each time.
        let most = counts.iter().rev().max_by_key(|(_, count)| **count);
        let Some((pair, _)) = most.filter(|(_, count)| **count >= FEWEST) else {
            break;
        };
        let byte = FIRST_PAIR + pairs.len() as u8;
        for name in names.iter_mut() {
            let mut rest = name.as_slice();
            let mut shorter = Vec::with_capacity(rest.len());
            while let Some((first, behind)) = rest.split_first() {
                match rest.strip_prefix(pair.as_slice()) {
                    Some(behind_both) => {
                        shorter.push(byte);
                        rest = behind_both;
                    }
                    None => {
                        shorter.push(*first);
                        rest = behind;
                    }
                }
            }
            *name = shorter;
        }
        pairs.push(*pair);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString, vec};
    use proptest::prelude::*;

    /// What is found, its name in full.
    fn found(symbols: &Symbols, offset: u64) -> Option<(String, u64, Option<u64>)> {
        let (name, at, room) = symbols.find_with_room(offset)?;
        Some((name.to_string(), at, room))
    }

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
        let flush = "flush_icache_range".to_string();
        assert_eq!(found(&symbols, 0x200 + 92), Some((flush, 92, None)));
        let entry = "entry".to_string();
        assert_eq!(
            found(&symbols, 0x1ff),
            Some((entry.clone(), 0xff, Some(0x100)))
        );
        assert_eq!(found(&symbols, 0x101), Some((entry, 1, Some(0x100))));
        assert_eq!(found(&symbols, 0xff), None);
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
        let timed = |at, room| Some(("timed".to_string(), at, room));
        assert_eq!(found(&symbols, 0x104), timed(4, Some(0x100)));
        assert_eq!(found(&symbols, 0x208), timed(8, None));
    }

    #[test]
    fn too_many_names_are_refused_with_what_they_need() {
        let name = (0x100..0x164).map(|n| char::from(33 + (n % 90) as u8));
        let long = vec![(0x100, name.collect::<String>())];
        assert_eq!(build(long, 50), Err(HEAD + 3 + 101));
    }

    #[test]
    fn what_names_have_in_common_is_kept_once() {
        let all: Vec<_> = (0..200_u32)
            .map(|n| (64 * n, format!("conductor::groups::<impl Run>::part_{n}")))
            .collect();
        let plain: usize = all.iter().map(|(_, name)| name.len()).sum();
        let table = build(all.clone(), 1 << 17).unwrap();
        assert!(table.len() < plain / 3, "{} of {plain}", table.len());
        let symbols = Symbols::read(&table).unwrap();
        for (at, name) in all {
            let (found, distance, _) = found(&symbols, u64::from(at) + 60).unwrap();
            assert_eq!((found, distance), (name, 60));
        }
    }

    proptest! {
        #[test]
        fn every_name_is_found(names in proptest::collection::vec("[ -~]{0,40}", 1..40), apart in 1_u32..100_000) {
            let all: Vec<_> = names.iter().zip(0..).map(|(name, n)| (4 * n * apart, name.clone())).collect();
            let table = build(all.clone(), 1 << 17).unwrap();
            let symbols = Symbols::read(&table).unwrap();
            for (at, name) in all {
                prop_assert_eq!(found(&symbols, u64::from(at)).unwrap().0, name);
            }
        }

        #[test]
        fn damaged_tables_never_panic(mut table in proptest::collection::vec(any::<u8>(), 0..80), pairs in 0..20_u8, offset in any::<u64>()) {
            for (byte, head) in table.iter_mut().zip(MAGIC.into_iter().chain([3, 0, 0, 0, pairs, 0, 0, 0])) {
                *byte = head;
            }
            if let Some(symbols) = Symbols::read(&table) {
                let _ = found(&symbols, offset);
            }
        }
    }

    /// A table of one symbol at the image's start, of these pairs.
    fn by_hand(pairs: &[[u8; 2]], name: &[u8]) -> Vec<u8> {
        let mut table = MAGIC.to_vec();
        table.extend(1_u32.to_le_bytes());
        table.extend((pairs.len() as u32).to_le_bytes());
        table.extend(pairs.iter().flatten());
        table.extend([0, 0, 0]);
        table.extend(name);
        table.push(0);
        table
    }

    /// Takes no more than some bytes, so that a name without an end has one.
    struct Short(String);

    impl Write for Short {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            if self.0.len() < 1000 {
                Ok(())
            } else {
                Err(fmt::Error)
            }
        }
    }

    fn shown(table: &[u8]) -> Option<String> {
        let mut out = Short(String::new());
        let (name, _) = Symbols::read(table)?.find(0)?;
        write!(out, "{name}").ok()?;
        Some(out.0)
    }

    #[test]
    fn a_pair_of_itself_or_later_ones_is_damage_and_ends() {
        for (pairs, name, expected) in [
            (&[*b"ab"] as &[_], b"x\x80y" as &[u8], "xaby"),
            (&[[0x80, b'a']], b"\x80", "?"),
            (&[[b'a', 0x80]], b"\x80", "?"),
            (&[[0x81, b'a'], *b"bc"], b"\x80\x81", "?bc"),
            (&[[b'a', 0x81], *b"bc"], b"\x80\x81", "?bc"),
            // No pair, and no character.
            (&[], b"\x80 \x07", "? ?"),
            (&[[b'\n', 0xff]], b"\x80", "?"),
        ] {
            assert_eq!(shown(&by_hand(pairs, name)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn pairs_may_be_as_many_and_as_deep_as_bytes_can_say() {
        let mut pairs: Vec<_> = (0x7f..=0xfe).map(|before| [before, b'b']).collect();
        pairs[0] = *b"ab";
        let expected = format!("a{}", "b".repeat(MOST_PAIRS));
        assert_eq!(shown(&by_hand(&pairs, b"\xff")), Some(expected));
        pairs.push(*b"ab");
        assert_eq!(shown(&by_hand(&pairs, b"a")), None);
    }

    #[test]
    fn no_more_pairs_are_made_than_bytes_can_say() {
        let mut all = Vec::new();
        for first in 'A'..='M' {
            all.extend(('a'..='m').map(|second| format!("{first}{second}").repeat(4)));
        }
        let all: Vec<_> = (0..).step_by(4).zip(all).collect();
        let table = build(all.clone(), 1 << 17).unwrap();
        assert_eq!(word(&table, 8), Some(MOST_PAIRS as u32));
        let symbols = Symbols::read(&table).unwrap();
        for (at, name) in all {
            assert_eq!(found(&symbols, at.into()).unwrap().0, name);
        }
    }

    #[test]
    fn a_distance_may_have_bits_of_zero() {
        // One more than seven bits hold, and one more than fourteen do.
        let places = [4 << 7, 4 << 14, 4 << 21];
        let all = places.map(|at| (at, format!("at_{at}")));
        let table = build(all.to_vec(), 4096).unwrap();
        let symbols = Symbols::read(&table).unwrap();
        for (at, name) in all {
            let (found, distance) = symbols.find(u64::from(at) + 8).unwrap();
            assert_eq!((found.to_string(), distance), (name, 8));
        }
        assert!(symbols.find((4 << 7) - 1).is_none());
    }

    #[test]
    fn a_table_may_fill_its_section() {
        let all = vec![(0, "entry".to_string())];
        let table = build(all.clone(), 4096).unwrap();
        assert_eq!(build(all.clone(), table.len()), Ok(table.clone()));
        assert_eq!(build(all, table.len() - 1), Err(table.len()));
    }

    #[test]
    fn what_is_no_character_of_ascii_is_a_question_mark() {
        // With a pair, for which a byte of a name could be taken.
        let mut all = vec![(0, "a\u{80}b\0c\u{ef}\u{1f980} d".to_string())];
        all.extend((1..5).map(|n| (4 * n, format!("xy{n}"))));
        let table = build(all, 4096).unwrap();
        assert_eq!(word(&table, 8), Some(1));
        assert_eq!(shown(&table).as_deref(), Some("a?b?c?? d"));
    }

    /// Where a name begins is said in two bytes.
    #[test]
    fn more_names_than_two_bytes_reach_are_refused() {
        // Nothing that would be packed: each two characters stand together three times at most,
        // but for two pairs.
        let letters = b' '..=b'~';
        let count = letters.len() as u8;
        let letter = |nth: u8| b' ' + nth % count;
        let mut names = Vec::new();
        for a in letters.clone() {
            names.extend(letters.clone().map(|b| vec![a, b]));
            names.extend(
                letters
                    .clone()
                    .map(|b| vec![a, b, letter(a - b' ' + (b - b' '))]),
            );
            for pair in [*b"xy", *b"uv"] {
                let [x, y] = pair;
                names.extend([vec![a, x, y], vec![x, y, a]]);
                names.extend((0..2).map(|n| vec![a, x, y, letter(a - b' ' + n)]));
            }
        }
        let named = |name: Vec<u8>| String::from_utf8(name).unwrap();
        let all: Vec<_> = (0..).step_by(4).zip(names.into_iter().map(named)).collect();
        let fit = all.len() * 9 / 10;
        assert!(build(all[..fit].to_vec(), 1 << 20).is_ok());
        let needed = build(all, 1 << 20).unwrap_err();
        assert!(needed > 1 << 16, "{needed}");
    }
}
