//! Where a loader found ACPI instead of a device tree: the tables, mapped for
//! as long as they are read.

#![expect(unsafe_code, reason = "reads firmware's tables where they lie")]

use alloc::string::{String, ToString};

use stalecore_model::{
    acpi,
    platform::{Platform, Region},
};

use super::uefi;
use crate::hal::{arch, memory::Tables};

/// Completes what the loader's device tree says with what the tables say that
/// it points to, if it points to any; or what a kernel's says, as [`uefi`] does.
///
/// # Errors
/// One line: the mapping crate's, or the reader's.
pub fn complete(platform: Platform) -> Result<Platform, String> {
    if let Some(uefi) = platform.kexec.as_ref().and_then(|kexec| kexec.uefi) {
        return uefi::complete(platform, uefi);
    }
    let Some(rsdp) = platform.rsdp else {
        return Ok(platform);
    };
    // The loader reserves the tables, and nothing else.
    let readable = platform.reserved.clone();
    let mut tables = Tables::new(false)?;
    for region in &readable {
        tables.map_constants(region)?;
    }
    tables.activate();
    acpi::platform(platform, rsdp, arch::midr_el1(), |address, length| {
        bytes(&readable, address, length)
    })
    .map_err(|e| e.to_string())
}

fn bytes(readable: &[Region], address: u64, length: usize) -> Option<&'static [u8]> {
    let end = address.checked_add(length as u64)?;
    let inside = |r: &Region| r.base <= address && end <= r.end();
    if address == 0 || !readable.iter().any(inside) {
        return None;
    }
    let start = usize::try_from(address).ok()? as *const u8;
    // SAFETY: the range lies in a region that `complete` has mapped, and
    // nothing writes to firmware's tables. The description is copied out of
    // them before other page tables are made.
    Some(unsafe { core::slice::from_raw_parts(start, length) })
}
