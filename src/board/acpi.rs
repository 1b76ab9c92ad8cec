//! Where a loader found ACPI instead of a device tree: the tables, mapped for
//! as long as they are read.

use alloc::string::{String, ToString};

use aarch64_cpu::registers::{MIDR_EL1, Readable};
use stalecore_model::{acpi, platform::Platform};

use super::uefi;
use crate::hal::memory::Window;

/// Completes what the loader's device tree says from the ACPI tables that it points
/// to, if any; what a kernel's device tree says is completed by [`uefi`].
///
/// # Errors
/// One line, from the mapping or from the reader.
pub fn complete(platform: Platform) -> Result<Platform, String> {
    if let Some(uefi) = platform.kexec.as_ref().and_then(|kexec| kexec.uefi) {
        return uefi::complete(platform, uefi);
    }
    let Some(rsdp) = platform.rsdp else {
        return Ok(platform);
    };
    // The loader reserves the tables, and nothing else.
    let readable = platform.reserved.clone();
    let window = Window::open()?;
    let read = |base, length| window.show_of(&readable, base, length);
    acpi::platform(platform, rsdp, MIDR_EL1.get(), read).map_err(|e| e.to_string())
}
