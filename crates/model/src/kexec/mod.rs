//! What a Linux that hands over by kexec leaves for the next kernel in `/chosen` of the
//! device tree: the memory that may be used, and, on a machine booted by UEFI, where UEFI's
//! tables are.
//!
//! Sources: the bindings of `/chosen` (`dt-schema`, chosen.yaml), Linux'
//! Documentation/arch/arm/uefi.rst.

pub mod uefi;

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use dtoolkit::{Node, Property, fdt::FdtNode};

use crate::{property::number, region::Region};
use uefi::Uefi;

/// A kernel that ran before, and what it says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kexec {
    /// The only memory that may be written (`linux,usable-memory-range`): a crash kernel's
    /// reservation. Empty if all memory may be.
    pub usable: Vec<Region>,
    /// The ELF header of the crashed kernel's memory (`linux,elfcorehdr`).
    pub elfcorehdr: Option<Region>,
    /// UEFI's tables, where firmware is UEFI.
    pub uefi: Option<Uefi>,
    /// The kernel to start when the run has ended ([`NEXT`]).
    pub next: Option<Region>,
}

/// The property of `/chosen` by which `stalecore deploy` says where it has loaded another
/// kernel: that memory begins with the first instructions, and nothing else uses it.
pub const NEXT: &str = "stalecore,next";

impl Kexec {
    /// Reads `/chosen`; `cells` are the root's `#address-cells` and `#size-cells`. `None`
    /// if nothing shows that a kernel ran before: kexec-tools' `kexec -l` on a machine
    /// without UEFI leaves no trace, and waits for all other cores to be off.
    ///
    /// # Errors
    /// One line, if the range of usable memory cannot be read: any other memory may be in
    /// use.
    pub fn read(chosen: &FdtNode<'_>, cells: [usize; 2]) -> Result<Option<Self>, String> {
        let usable = match chosen.property("linux,usable-memory-range") {
            Some(property) => {
                let name = "/chosen/linux,usable-memory-range";
                let ranges = ranges(property.value(), cells).ok_or_else(|| {
                    let length = property.value().len();
                    let [address, size] = cells;
                    format!(
                        "device tree: {name} has {length} bytes; allowed: whole ranges of {address} and {size} cells"
                    )
                })?;
                if ranges.iter().all(|range| range.size == 0) {
                    return Err(format!(
                        "device tree: {name} is empty; allowed: a range of memory"
                    ));
                }
                ranges
            }
            None => Vec::new(),
        };
        let first = |name: &str| {
            let property = chosen.property(name)?;
            ranges(property.value(), cells)?.first().copied()
        };
        let elfcorehdr = first("linux,elfcorehdr");
        let next = first(NEXT);
        // The stalecore loader hands over a tree of its own.
        let loader = chosen.property("stalecore,uefi").is_some();
        let uefi = (!loader).then(|| uefi(chosen)).flatten();
        let booted = chosen.property("linux,booted-from-kexec").is_some();
        if usable.is_empty() && elfcorehdr.is_none() && uefi.is_none() && !booted && next.is_none()
        {
            return Ok(None);
        }
        Ok(Some(Self {
            usable,
            elfcorehdr,
            uefi,
            next,
        }))
    }

    /// The part of `memory` that may be used.
    ///
    /// # Errors
    /// One line, if none of it may.
    pub fn usable_of(&self, memory: &[Region]) -> Result<Vec<Region>, String> {
        if self.usable.is_empty() {
            return Ok(memory.to_vec());
        }
        let both: Vec<Region> = memory
            .iter()
            .flat_map(|part| self.usable.iter().filter_map(|range| part.common(range)))
            .collect();
        if both.is_empty() {
            return Err("/chosen/linux,usable-memory-range: none of it is memory".into());
        }
        Ok(both)
    }

    /// Is all of `region` usable?
    pub fn may_use(&self, region: &Region) -> bool {
        let inside = |range: &Region| range.common(region) == Some(*region);
        self.usable.is_empty() || self.usable.iter().any(inside)
    }

    /// Why an image at `region` may not run.
    pub fn outside(&self, region: &Region) -> String {
        let mut usable = String::new();
        for range in &self.usable {
            let _ = write!(usable, " {:#x} to {:#x}", range.base, range.end());
        }
        format!(
            "the image lies at {:#x} to {:#x}; allowed by /chosen/linux,usable-memory-range:{usable}",
            region.base,
            region.end()
        )
    }
}

fn uefi(chosen: &FdtNode<'_>) -> Option<Uefi> {
    let small = |name: &str| u32::try_from(number(chosen, name)?).ok();
    Some(Uefi {
        system_table: number(chosen, "linux,uefi-system-table")?,
        map: Region {
            base: number(chosen, "linux,uefi-mmap-start")?,
            size: small("linux,uefi-mmap-size")?.into(),
        },
        descriptor_size: small("linux,uefi-mmap-desc-size")?,
        descriptor_version: small("linux,uefi-mmap-desc-ver")?,
    })
}

/// Ranges of `cells` of address and size each, at least one.
fn ranges(bytes: &[u8], cells: [usize; 2]) -> Option<Vec<Region>> {
    if cells.iter().any(|count| !(1..=2).contains(count)) {
        return None;
    }
    let [address, size] = cells.map(|count| 4 * count);
    if bytes.is_empty() || !bytes.len().is_multiple_of(address + size) {
        return None;
    }
    let value = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let ranges = bytes.chunks_exact(address + size).map(|range| {
        let (base, size) = range.split_at(address);
        Region {
            base: value(base),
            size: value(size),
        }
    });
    Some(ranges.collect())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
