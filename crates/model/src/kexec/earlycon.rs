//! Words of Linux' own that say where the console and ACPI are, for machines
//! whose tables do not: `earlycon=` and `acpi_rsdp=` (Linux'
//! Documentation/admin-guide/kernel-parameters.txt).

use alloc::{format, string::String};

use crate::platform::{Region, Uart, UartKind};

/// A UART's registers.
const PAGE: u64 = 0x1000;

/// The console that `earlycon=` names, the last counting: `pl011,ADDRESS`,
/// `pl011,mmio32,ADDRESS`, `uart8250,mmio|mmio32|mmio32native,ADDRESS`
/// (or `uart,…`), each with options behind a further comma, which are firmware's
/// matter here.
///
/// # Errors
/// One line, if it names a UART in a way that is none of these. Without an
/// address it says nothing.
pub fn console(bootargs: &str) -> Result<Option<Uart>, String> {
    let words = bootargs.split_ascii_whitespace();
    let Some(value) = words
        .filter_map(|word| word.strip_prefix("earlycon="))
        .next_back()
    else {
        return Ok(None);
    };
    let wrong = || {
        format!(
            "earlycon: '{value}' is not allowed; allowed: pl011,[mmio32,]ADDRESS and uart8250,mmio|mmio32,ADDRESS"
        )
    };
    let mut parts = value.split(',');
    let kind = match parts.next() {
        Some("pl011") => UartKind::Pl011,
        Some("uart8250" | "uart") => UartKind::Ns16550,
        _ => return Err(wrong()),
    };
    let Some(mut part) = parts.next() else {
        return Ok(None);
    };
    let (mut reg_shift, mut io_width) = (0, 1);
    if part.starts_with("mmio") {
        (reg_shift, io_width) = match part {
            "mmio" => (0, 1),

            "mmio32" | "mmio32native" => (2, 4),
            _ => return Err(wrong()),
        };
        part = parts.next().ok_or_else(wrong)?;
    } else if kind == UartKind::Ns16550 {
        // An I/O port, which no Arm machine has.
        return Err(wrong());
    }
    let base = number(part).filter(|base| *base != 0).ok_or_else(wrong)?;
    Ok(Some(Uart {
        kind,
        registers: Region { base, size: PAGE },
        reg_shift,
        io_width,
    }))
}

/// The address that `acpi_rsdp=` gives, the last counting; hexadecimal, as in
/// Linux.
///
/// # Errors
/// One line, if it is none.
pub fn rsdp(bootargs: &str) -> Result<Option<u64>, String> {
    let words = bootargs.split_ascii_whitespace();
    let Some(value) = words
        .filter_map(|word| word.strip_prefix("acpi_rsdp="))
        .next_back()
    else {
        return Ok(None);
    };
    let digits = value.strip_prefix("0x").unwrap_or(value);
    match u64::from_str_radix(digits, 16) {
        Ok(address) if address != 0 => Ok(Some(address)),
        _ => Err(format!(
            "acpi_rsdp: '{value}' is not allowed; allowed: an address in hexadecimal digits"
        )),
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
