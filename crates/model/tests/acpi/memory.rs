//! Physical memory with tables in it: what the reader is given on a host.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;
use stalecore_model::acpi::{AcpiError, Description, read};

/// Structures by physical address; nothing else is memory.
#[derive(Clone, Default)]
pub struct Memory {
    pub blocks: BTreeMap<u64, Vec<u8>>,
    pub rsdp: u64,
}

impl Memory {
    /// Loads `tests/data/acpi/NAME.txt.gz`, the text form of ACPICA's acpidump.
    pub fn dumped(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/acpi");
        let file = File::open(path.join(format!("{name}.txt.gz"))).unwrap();
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let mut memory = Self::default();
        let mut at = 0;
        for line in text.lines() {
            if let Some((signature, address)) = line.split_once(" @ 0x") {
                at = u64::from_str_radix(address.trim(), 16).unwrap();
                if signature.trim() == "RSD PTR" {
                    memory.rsdp = at;
                }
                memory.blocks.insert(at, Vec::new());
            } else if let Some((_, row)) = line.split_once(": ") {
                let bytes = row.get(..47).unwrap_or(row).split_whitespace();
                let block = memory.blocks.get_mut(&at).unwrap();
                block.extend(bytes.map(|b| u8::from_str_radix(b, 16).unwrap()));
            }
        }
        memory
    }

    /// The bytes at a physical address, if one structure holds all of them.
    pub fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let (start, block) = self.blocks.range(..=address).next_back()?;
        let from = usize::try_from(address - start).ok()?;
        block.get(from..from.checked_add(length)?)
    }

    /// Runs the reader.
    pub fn read(&self) -> Result<Description, AcpiError> {
        read(self.rsdp, |address, length| self.bytes(address, length))
    }

    /// The table of that signature.
    pub fn table(&mut self, signature: &[u8; 4]) -> &mut Vec<u8> {
        self.blocks
            .values_mut()
            .find(|b| b.starts_with(signature))
            .unwrap()
    }

    /// Changes the table of that signature, then sets its length and checksum
    /// right again.
    pub fn change(&mut self, signature: &[u8; 4], change: impl FnOnce(&mut Vec<u8>)) {
        let table = self.table(signature);
        change(table);
        seal(table);
    }
}

/// Sets a table's length and checksum right.
pub fn seal(table: &mut [u8]) {
    let length = u32::try_from(table.len()).unwrap();
    table[4..8].copy_from_slice(&length.to_le_bytes());
    table[9] = 0;
    let sum = table.iter().fold(0_u8, |s, b| s.wrapping_add(*b));
    table[9] = sum.wrapping_neg();
}
