//! The instructions that were seen, by number, and their names: from the image's ELF file
//! and the place where the image turns out to run.

use std::{
    collections::HashMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use object::{Object, ObjectKind, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use parking_lot::Mutex;
use stalecore_model::{hazard::MaintenanceSite, hex::Hex};

use crate::decode;

/// The number of an instruction; 0 is none.
pub type Site = u32;

/// How many instructions of the entry point have to agree.
const SIGNATURE: usize = 4;

/// A program by its ELF file: names, and how to recognise it.
#[derive(Default)]
pub struct Program {
    /// Linked address and name, ascending.
    symbols: Vec<(u64, String)>,
    /// The linked addresses of what is executable.
    code: std::ops::Range<u64>,
    /// Where the program begins, and its first instructions there.
    entry: (u64, Vec<u32>),
    /// Instructions by section: linked address, code.
    text: Vec<(u64, Vec<u32>)>,
    /// What has to be added to a linked address, once that is known.
    bias: OnceLock<u64>,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(elf: &[u8]) -> Result<Self, String> {
        let file = object::File::parse(elf).map_err(|error| error.to_string())?;
        let mut program = Self::default();
        let code = file
            .sections()
            .filter(|s| s.kind() == SectionKind::Text && s.size() > 0);
        program.code = code.fold(0..0, |all, section| {
            let own = section.address()..section.address() + section.size();
            if all.is_empty() {
                own
            } else {
                all.start.min(own.start)..all.end.max(own.end)
            }
        });
        let mut symbols: Vec<_> = file
            .symbols()
            .filter(|symbol| {
                let kind = matches!(
                    symbol.kind(),
                    SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label
                );
                kind && program.code.contains(&symbol.address())
            })
            .filter_map(|symbol| {
                let name = symbol.name().ok()?;
                let mark = name.is_empty() || name.starts_with('$');
                let name = format!("{:#}", rustc_demangle::demangle(name));
                (!mark).then_some((symbol.address(), symbol.kind() != SymbolKind::Text, name))
            })
            .collect();
        symbols.sort();
        symbols.dedup_by_key(|(address, _, _)| *address);
        program.symbols = symbols
            .into_iter()
            .map(|(at, _, name)| (at, name))
            .collect();
        let words = |at: u64| -> Option<Vec<u32>> {
            let section = file
                .sections()
                .find(|s| (s.address()..s.address() + s.size()).contains(&at))?;
            let bytes = section.data_range(at, SIGNATURE as u64 * 4).ok()??;
            Some(as_words(bytes))
        };
        let mut entry = file.entry();
        // A branch in the image's header leads over the rest of it.
        if let Some(first) = words(entry).and_then(|words| words.first().copied())
            && first >> 26 == 0b00_0101
        {
            let offset = i64::from((first << 6).cast_signed() >> 4);
            entry = entry.wrapping_add_signed(offset);
        }
        program.entry = (entry, words(entry).ok_or("nothing at its entry point")?);
        program.text = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
            .filter_map(|section| Some((section.address(), as_words(section.data().ok()?))))
            .collect();
        if file.kind() == ObjectKind::Executable {
            let _ = program.bias.set(0);
        }
        Ok(program)
    }

    /// Checks whether these instructions are the program's first ones.
    pub fn recognise(&self, pc: u64, code: &[u32]) {
        if self.bias.get().is_none() && !self.entry.1.is_empty() && code.starts_with(&self.entry.1)
        {
            let _ = self.bias.set(pc.wrapping_sub(self.entry.0));
        }
    }

    /// Is this instruction, at an address of the program's, another than the
    /// file has there?
    pub fn differs(&self, pc: u64, code: u32) -> bool {
        let Some(bias) = self.bias.get() else {
            return false;
        };
        let linked = pc.wrapping_sub(*bias);
        let word = |(start, words): &(u64, Vec<u32>)| {
            let index = usize::try_from(linked.checked_sub(*start)? / 4).ok()?;
            words.get(index).copied()
        };
        let own = self.text.iter().find_map(word);
        own.is_some_and(|own| own != code)
    }

    /// The address in the ELF file of one of the program's addresses.
    pub fn linked(&self, pc: u64) -> Option<u64> {
        let linked = pc.wrapping_sub(*self.bias.get()?);
        self.code.contains(&linked).then_some(linked)
    }

    /// Where the program's first byte is, once it has run.
    pub fn start(&self) -> Option<u64> {
        Some(self.bias.get()?.wrapping_add(self.code.start))
    }

    /// `symbol+offset`, if the address is in the program's code.
    pub fn name(&self, pc: u64) -> Option<String> {
        let linked = self.linked(pc)?;
        let next = self.symbols.partition_point(|(at, _)| *at <= linked);
        let (at, name) = self.symbols.get(next.checked_sub(1)?)?;
        Some(match linked - at {
            0 => name.clone(),
            offset => format!("{name}+{offset}"),
        })
    }
}

fn as_words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
        .collect()
}

/// One instruction.
pub struct Known {
    /// Where it is.
    pub pc: u64,
    /// Its encoding.
    pub code: u32,
    /// Is the checker to pass over it?
    pub ignored: bool,
    /// How often it was executed, where that is counted.
    pub times: AtomicU64,
}

/// All instructions that were seen.
#[derive(Default)]
pub struct Sites {
    /// The program that they may belong to.
    pub program: Program,
    /// `symbol+offset` of what is to be passed over.
    pub ignore: Vec<String>,
    numbers: Mutex<HashMap<(u64, u32), Site>>,
    known: Mutex<Vec<&'static Known>>,
}

impl Sites {
    /// The sites of a program, none seen yet.
    pub fn of(program: Program, ignore: Vec<String>) -> Self {
        Self {
            program,
            ignore,
            ..Self::default()
        }
    }

    /// The instruction at `pc`, numbered when it is first seen. It is kept for
    /// ever: QEMU may come back to it at any time.
    pub fn number(&self, pc: u64, code: u32) -> (Site, &'static Known) {
        let mut numbers = self.numbers.lock();
        let mut known = self.known.lock();
        let site = *numbers.entry((pc, code)).or_insert_with(|| {
            let ignored = !self.ignore.is_empty() && self.ignore.contains(&self.name(pc));
            known.push(Box::leak(Box::new(Known {
                pc,
                code,
                ignored,
                times: AtomicU64::new(0),
            })));
            known.len() as Site
        });
        (site, known[site as usize - 1])
    }

    /// The instruction of a number.
    pub fn get(&self, site: Site) -> Option<&'static Known> {
        self.known
            .lock()
            .get((site as usize).checked_sub(1)?)
            .copied()
    }

    /// `symbol+offset`, or the address.
    pub fn name(&self, pc: u64) -> String {
        self.program.name(pc).unwrap_or_else(|| format!("{pc:#x}"))
    }

    /// The program's own maintenance that was executed, and whatever was passed over, by
    /// address.
    pub fn maintenance(&self) -> Vec<MaintenanceSite> {
        let known = self.known.lock();
        let times = |k: &Known| k.times.load(Ordering::Relaxed);
        let linked = |k: &Known| self.program.linked(k.pc);
        let mut own: Vec<_> = known
            .iter()
            .filter(|k| times(k) > 0 && (k.ignored || linked(k).is_some()))
            .collect();
        own.sort_by_key(|k| k.pc);
        own.iter()
            .map(|k| MaintenanceSite {
                at: self.name(k.pc),
                address: Hex(linked(k).unwrap_or(k.pc)),
                instruction: decode::name(k.code).into(),
                times: times(k),
                ignored: k.ignored,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program {
            symbols: vec![(0x40, "entry".into()), (0x80, "flush_icache_range".into())],
            code: 0x40..0x200,
            entry: (0x40, vec![1, 2, 3, 4]),
            text: vec![(0x40, vec![1, 2, 3, 4, 5])],
            bias: OnceLock::new(),
        }
    }

    #[test]
    fn a_program_is_recognised_by_its_first_instructions() {
        let program = program();
        program.recognise(0x4020_0040, &[1, 2, 3]);
        program.recognise(0x4020_0040, &[1, 2, 3, 5]);
        assert_eq!(program.name(0x4020_0040), None);
        program.recognise(0x4020_0040, &[1, 2, 3, 4, 5]);
        program.recognise(0x4040_0040, &[1, 2, 3, 4, 5]);
        assert_eq!(program.name(0x4020_0040).as_deref(), Some("entry"));
        assert_eq!(
            program.name(0x4020_0080 + 92).as_deref(),
            Some("flush_icache_range+92")
        );
        assert_eq!(program.name(0x4020_0200), None);
        assert!(!program.differs(0x4020_0044, 2) && program.differs(0x4020_0044, 3));
        assert!(!program.differs(0x4020_0100, 3));
        assert_eq!(program.start(), Some(0x4020_0040));
    }

    #[test]
    fn what_is_to_be_ignored_is_found_by_name() {
        let sites = Sites::of(program(), vec!["flush_icache_range+4".into()]);
        sites.program.recognise(0x1040, &[1, 2, 3, 4]);
        let (first, known) = sites.number(0x1084, 0xd508_7620);
        assert!(known.ignored);
        assert_eq!(sites.number(0x1084, 0xd508_7620).0, first);
        assert!(!sites.number(0x1088, 0xd508_7620).1.ignored);
        known.times.store(3, Ordering::Relaxed);
        let maintenance = sites.maintenance();
        assert_eq!(maintenance.len(), 1);
        let site = &maintenance[0];
        assert_eq!((site.at.as_str(), site.times), ("flush_icache_range+4", 3));
        assert_eq!((site.address, site.ignored), (Hex(0x84), true));
    }
}
