//! Firmware's description, read as the image will read it.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{Facts, load};
use crate::{
    acpi,
    platform::{Platform, devicetree},
};

/// Where the root of the tables is put, and each behind it: nobody dereferences these.
const RSDP: u64 = 0x1000;
const HEADER: usize = 36;

/// The machine as the image will see it.
///
/// # Errors
/// One line: what the image would say.
pub(super) fn platform(facts: &Facts, bootargs: &str) -> Result<Platform, String> {
    let Some(tree) = &facts.tree else {
        return Err("there is no /sys/firmware/fdt".into());
    };
    // With the arguments that it will have; the range of a kernel after a crash stays.
    let changes = load::Changes {
        bootargs,
        ..load::Changes::default()
    };
    let tree = load::tree(tree, &changes)?;
    let platform = devicetree::read(&tree)?;
    let uefi = platform.kexec.as_ref().is_some_and(|k| k.uefi.is_some());
    if !uefi || !platform.cpus.is_empty() {
        return Ok(platform);
    }
    if facts.tables.is_empty() {
        return Err("the tree names no core, and /sys/firmware/acpi/tables is empty".into());
    }
    let memory = laid_out(&facts.tables);
    let read = |base: u64, length: usize| {
        let (at, bytes) = memory
            .iter()
            .find(|(at, bytes)| (*at..at + bytes.len() as u64).contains(&base))?;
        let from = usize::try_from(base - at).ok()?;
        bytes.get(from..from.checked_add(length)?)
    };
    acpi::platform(platform, RSDP, facts.midr, read).map_err(|error| error.to_string())
}

/// Root pointer, XSDT and the tables, which Linux shows without the two.
fn laid_out(tables: &[Vec<u8>]) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut at = 2 * RSDP;
    let mut entries = Vec::new();
    for table in tables {
        entries.extend(u64::to_le_bytes(at));
        all.push((at, table.clone()));
        at += (table.len() as u64).next_multiple_of(RSDP) + RSDP;
    }
    let mut xsdt = b"XSDT".to_vec();
    xsdt.extend(((HEADER + entries.len()) as u32).to_le_bytes());
    xsdt.resize(HEADER, 0);
    xsdt.extend(entries);
    xsdt[9] = sum(&xsdt);
    let mut rsdp = "RSD PTR ".to_string().into_bytes();
    rsdp.resize(36, 0);
    rsdp[15] = 2;
    rsdp[8] = sum(&rsdp[..20]);
    rsdp[20] = 36;
    rsdp[24..32].copy_from_slice(&at.to_le_bytes());
    rsdp[32] = sum(&rsdp);
    all.push((at, xsdt));
    all.push((RSDP, rsdp));
    all
}

/// The byte that makes the sum of all zero.
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}
