//! Linux' own words for where the console and ACPI are, for machines whose tables do not
//! say: `earlycon=` and `acpi_rsdp=` (Linux'
//! Documentation/admin-guide/kernel-parameters.txt).

use alloc::{format, string::String};

use super::{
    Region, Uart, UartKind,
    uarts::{ROWS, Row},
};

/// A UART's registers.
const PAGE: u64 = 0x1000;

/// The console that `earlycon=` names; the last one counts. `pl011,ADDRESS`,
/// `pl011,mmio32,ADDRESS`, `uart8250,mmio|mmio32|mmio32native,ADDRESS` (or `uart,…`), and the others of [`ROWS`] as
/// `NAME,ADDRESS`, each
/// with options after a further comma, which are ignored, as firmware has set the line up.
///
/// # Errors
/// One line, if it names a UART in another way. Without an address it says nothing.
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
            "earlycon: '{value}' is not allowed; allowed: pl011,[mmio32,]ADDRESS, uart8250,mmio|mmio32,ADDRESS, and bcm2835aux, ec_imx21, ec_imx6q, meson or msm_serial_dm with ,ADDRESS"
        )
    };
    let mut parts = value.split(',');
    let name = parts.next().unwrap_or_default();
    let named = |row: &&Row| row.earlycon.contains(&name);
    let row = ROWS.iter().find(named).ok_or_else(wrong)?;
    let kind = row.kind;
    let Some(mut part) = parts.next() else {
        return Ok(None);
    };
    let (mut reg_shift, mut io_width) = row.usual;
    if part.starts_with("mmio") {
        (reg_shift, io_width) = match part {
            "mmio" => (0, 1),
            "mmio32" | "mmio32native" => (2, 4),
            _ => return Err(wrong()),
        };
        part = parts.next().ok_or_else(wrong)?;
    } else if kind == UartKind::Ns16550 && row.usual == (0, 1) {
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

/// The address that `acpi_rsdp=` gives, hexadecimal as in Linux; the last one counts.
///
/// # Errors
/// One line, if it is not an address.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn linux_words_name_the_console() {
        let shape = |words: &str| {
            let uart = console(words).unwrap()?;
            Some((
                uart.kind,
                uart.registers.base,
                uart.reg_shift,
                uart.io_width,
            ))
        };
        let pl011 = |base| Some((UartKind::Pl011, base, 0, 1));
        assert_eq!(shape("earlycon=pl011,0x9000000"), pl011(0x900_0000));
        assert_eq!(shape("quiet earlycon=pl011,9000"), pl011(9000));
        assert_eq!(
            shape("earlycon=pl011,mmio32,0x602b0000,115200n8"),
            Some((UartKind::Pl011, 0x602b_0000, 2, 4))
        );
        assert_eq!(
            shape("earlycon=uart8250,mmio,0x2f8 earlycon=uart8250,mmio32,0xfe215040"),
            Some((UartKind::Ns16550, 0xfe21_5040, 2, 4))
        );
        assert_eq!(
            shape("earlycon=uart,mmio,0x1000"),
            Some((UartKind::Ns16550, 0x1000, 0, 1))
        );
        for (name, kind) in [
            ("meson", UartKind::Meson),
            ("ec_imx6q", UartKind::Imx),
            ("msm_serial_dm", UartKind::Msm),
            ("bcm2835aux", UartKind::Ns16550),
        ] {
            let words = std::format!("earlycon={name},0xfe215040");
            assert_eq!(shape(&words), Some((kind, 0xfe21_5040, 2, 4)), "{name}");
        }
        // No address: the tables' console is meant.
        for nothing in ["", "earlycon", "earlycon=pl011", "earlycon=uart8250"] {
            assert_eq!(shape(nothing), None, "{nothing}");
        }
        for wrong in [
            "lpuart,0x1000",
            "meson,0",
            "pl011,",
            "pl011,0",
            "pl011,0xg",
            "pl011,mmio,",
            "uart8250,0x3f8",
            "uart8250,io,0x3f8",
            "uart8250,mmio",
            "uart8250,mmio64,0x1000",
        ] {
            let error = console(&format!("earlycon={wrong}")).unwrap_err();
            assert!(
                error.contains(wrong) && error.contains("allowed:"),
                "{error}"
            );
        }
    }

    #[test]
    fn linux_words_name_the_root_pointer() {
        let is = |words, value| assert_eq!(rsdp(words), Ok(value), "{words}");
        is("", None);
        is("acpi=force", None);
        is("acpi_rsdp=0xbf5f0018", Some(0xbf5f_0018));
        is("acpi_rsdp=1 acpi_rsdp=bf5f0018", Some(0xbf5f_0018));
        for wrong in ["acpi_rsdp=", "acpi_rsdp=0", "acpi_rsdp=0xg"] {
            assert!(rsdp(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Any words are words.
        #[test]
        fn any_words_are_read(words in "\\PC{0,40}") {
            let _ = console(&format!("earlycon={words}"));
            let _ = rsdp(&format!("acpi_rsdp={words}"));
        }
    }
}
