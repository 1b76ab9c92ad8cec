//! FADT: how firmware is called.

use alloc::format;
use zerocopy::little_endian::{U16, U32, U64};

use super::{notes::Notes, table::Table};

/// Where the DSDT's address is, of 64 bits and of 32.
const X_DSDT: usize = 140;
const DSDT: usize = 40;
/// Where the ARM boot architecture flags are, in bytes from the table's start.
const ARM_BOOT_ARCH: usize = 129;
const PSCI_COMPLIANT: u16 = 1 << 0;
const PSCI_USE_HVC: u16 = 1 << 1;

/// Where the DSDT is, which no XSDT lists.
pub(super) fn dsdt(table: &Table<'_>) -> Option<u64> {
    let long = table.at::<U64>(X_DSDT).map(U64::get);
    let short = || table.at::<U32>(DSDT).map(|address| address.get().into());
    long.filter(|address| *address != 0).or_else(short)
}

/// The FADT's ARM boot architecture flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArmBoot {
    /// Firmware answers PSCI calls.
    pub psci: bool,
    /// The calls are made with HVC, not SMC.
    pub hvc: bool,
}

impl ArmBoot {
    pub(super) fn read(table: &Table<'_>, notes: &mut Notes) -> Option<Self> {
        let Some(flags) = table.at::<U16>(ARM_BOOT_ARCH) else {
            let text = format!("only {} bytes: no ARM boot flags", table.bytes().len());
            notes.add("FADT", 0, text);
            return None;
        };
        Some(Self {
            psci: flags.get() & PSCI_COMPLIANT != 0,
            hvc: flags.get() & PSCI_USE_HVC != 0,
        })
    }
}
