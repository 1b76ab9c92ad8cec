//! A machine that UEFI booted into a Linux, which handed over by kexec: memory comes
//! from UEFI's memory map, and where the device tree has no cores, everything else
//! from the ACPI tables that UEFI's system table leads to.

use alloc::string::{String, ToString};

use aarch64_cpu::registers::{MIDR_EL1, Readable};
use stalecore_model::{
    acpi, efi,
    kexec::uefi::Uefi,
    platform::{Platform, earlycon},
};

use crate::hal::memory::Window;

/// Completes what the kernel's device tree says.
///
/// # Errors
/// One line: which of UEFI's tables cannot be followed, or the ACPI reader's.
pub fn complete(mut platform: Platform, uefi: Uefi) -> Result<Platform, String> {
    uefi.check()?;
    let window = Window::open()?;
    let bytes = window.show(&uefi.map);
    let map = uefi.map(bytes.ok_or("UEFI's memory map lies in no memory")?)?;
    let readable = efi::readable(map.entries());
    let read = |base, length| window.show_of(&readable, base, length);
    let tables = uefi.tables(&map, read)?;
    let memory = efi::memory(map.entries(), &[]);
    platform.memory = match &platform.kexec {
        Some(kexec) => kexec.usable_of(&memory.memory)?,
        None => memory.memory,
    };
    platform.reserved.extend(memory.reserved);
    platform.reserved.extend(tables.reserved);
    if !platform.cpus.is_empty() {
        return Ok(platform);
    }
    let rsdp = earlycon::rsdp(&platform.bootargs)?.or(tables.rsdp);
    let rsdp = rsdp.ok_or("the device tree names no cores, and UEFI no ACPI tables")?;
    acpi::platform(platform, rsdp, MIDR_EL1.get(), read).map_err(|e| e.to_string())
}
