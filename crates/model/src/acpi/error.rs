//! Why tables could not be read at all.

use core::fmt;

use crate::cpuset::MAX_CPUS;

/// What stops the reader; everything less is a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// A structure lies where there is no memory to read.
    OutsideMemory {
        /// Which structure.
        what: &'static str,
        /// Its physical address.
        address: u64,
        /// Its length in bytes.
        length: usize,
    },
    /// The RSDP does not begin with its signature.
    NotAnRsdp {
        /// Where it was looked for.
        address: u64,
    },
    /// The RSDP is of a revision without a 64-bit root table.
    NoXsdt {
        /// The RSDP's revision.
        revision: u8,
    },
    /// A structure that everything else hangs off has a wrong checksum.
    Checksum {
        /// Which structure.
        what: &'static str,
    },
    /// An impossible length: shorter than the header, or absurdly long.
    Length {
        /// Which structure.
        what: &'static str,
        /// The length that it gives, in bytes.
        length: u32,
    },
    /// A table that the reader cannot do without is not there.
    Missing(&'static str),
    /// The MADT names no CPU, or none that is enabled.
    NoCpus,
    /// The MADT names more enabled CPUs than the harness handles.
    TooManyCpus(usize),
    /// The MADT names no interrupt controller that the harness knows.
    NoGic,
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideMemory {
                what,
                address,
                length,
            } => write!(f, "ACPI: {what}: no memory at {address:#x}, {length} bytes"),
            Self::NotAnRsdp { address } => {
                write!(f, "ACPI: no RSDP signature at {address:#x}")
            }
            Self::NoXsdt { revision } => {
                write!(f, "ACPI: RSDP of revision {revision} names no XSDT")
            }
            Self::Checksum { what } => write!(f, "ACPI: {what}: wrong checksum"),
            Self::Length { what, length } => {
                write!(f, "ACPI: {what}: impossible length {length}")
            }
            Self::Missing(what) => write!(f, "ACPI: no {what}"),
            Self::NoCpus => f.write_str("ACPI: the MADT names no enabled CPU"),
            Self::TooManyCpus(n) => write!(f, "ACPI: {n} CPUs; allowed: 1 to {MAX_CPUS}"),
            Self::NoGic => f.write_str("ACPI: the MADT names no GIC"),
        }
    }
}

impl core::error::Error for AcpiError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_stops_the_reader_is_said_in_a_line() {
        let (what, address, length) = ("MADT", 0x8000, 44);
        for (error, says) in [
            (
                AcpiError::OutsideMemory {
                    what,
                    address,
                    length,
                },
                "MADT: no memory at 0x8000, 44 bytes",
            ),
            (
                AcpiError::NotAnRsdp { address },
                "no RSDP signature at 0x8000",
            ),
            (
                AcpiError::NoXsdt { revision: 0 },
                "RSDP of revision 0 names no XSDT",
            ),
            (
                AcpiError::Length { what, length: 9 },
                "MADT: impossible length 9",
            ),
            (
                AcpiError::TooManyCpus(MAX_CPUS + 1),
                "513 CPUs; allowed: 1 to 512",
            ),
        ] {
            assert_eq!(error.to_string().strip_prefix("ACPI: "), Some(says));
        }
    }
}
