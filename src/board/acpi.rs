//! Where a loader found ACPI instead of a device tree: the tables, mapped for
//! as long as they are read.

use alloc::string::{String, ToString};

use aarch64_cpu::registers::{MIDR_EL1, Readable};
use stalecore_model::{acpi, platform::Platform};

use super::uefi;
use crate::hal::memory::Window;

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
    let window = Window::open()?;
    let read = |base, length| window.show_of(&readable, base, length);
    acpi::platform(platform, rsdp, MIDR_EL1.get(), read).map_err(|e| e.to_string())
}
