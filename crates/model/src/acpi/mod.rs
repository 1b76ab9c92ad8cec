//! Reads the ACPI tables that describe a machine without a device tree: its
//! CPUs, interrupt controller, timers, watchdog, console, PSCI conduit and
//! topology.
//!
//! The bytes are whatever firmware left in memory, so nothing in them is
//! believed before it is checked: every length is bounded by its table, every walk
//! is bounded by the table's length, and what is not understood is skipped with a
//! note that the report shows.
//!
//! Layouts: ACPI 6.5 (chapter 5.2), Arm's GTDT and MADT structures in the same
//! chapter, Microsoft's SPCR specification up to revision 4.

mod aml;
mod error;
mod fadt;
mod gtdt;
mod madt;
mod notes;
mod platform;
mod pptt;
mod root;
mod spcr;
mod subtable;
mod table;

pub use error::AcpiError;
pub use fadt::ArmBoot;
pub use gtdt::{Gtdt, Watchdog};
pub use madt::{Gicc, Gicd, Madt, Redistributors};
pub use platform::platform;
pub use pptt::Topology;
pub use root::{MAX_TABLE, extents};
pub use spcr::Spcr;

use root::Tables;

use alloc::{string::String, vec::Vec};

use crate::witness::Described;

/// What the tables say, in the tables' own terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// CPUs and interrupt controller.
    pub madt: Madt,
    /// Timers and watchdogs; `None` without a GTDT.
    pub gtdt: Option<Gtdt>,
    /// The console; `None` without an SPCR, or with one that names no UART
    /// that the harness can drive.
    pub spcr: Option<Spcr>,
    /// How firmware is called; `None` without an FADT.
    pub boot: Option<ArmBoot>,
    /// Does firmware deliver SDEI's events?
    pub sdei: bool,
    /// Which CPUs belong together; `None` without a PPTT.
    pub topology: Option<Topology>,
    /// The interconnects whose counters can be read, of the DSDT and the SSDTs.
    pub witnesses: Vec<Described>,
    /// What was skipped or looked wrong, one sentence each.
    pub notes: Vec<String>,
}

/// Reads the tables that hang off the RSDP at physical address `rsdp`.
///
/// `memory` gives the bytes at a physical address, or `None` where there is no
/// memory to read.
///
/// # Errors
/// There is no sound path from the RSDP to a MADT that names a CPU. Anything less is
/// a note.
pub fn read<'a>(
    rsdp: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<Description, AcpiError> {
    let mut notes = notes::Notes::default();
    let tables = Tables::find(rsdp, &memory, &mut notes)?;
    let madt = tables
        .get(*b"APIC", &mut notes)
        .ok_or(AcpiError::Missing(table::name(*b"APIC")))?;
    let madt = Madt::read(&madt, &mut notes);
    if madt.gicc.is_empty() {
        return Err(AcpiError::NoCpus);
    }
    let gtdt = tables.get_or_note(*b"GTDT", &mut notes);
    let gtdt = gtdt.and_then(|t| Gtdt::read(&t, &mut notes));
    let spcr = tables.get_or_note(*b"SPCR", &mut notes);
    let spcr = spcr.and_then(|t| Spcr::read(&t, &mut notes));
    let fadt = tables.get_or_note(*b"FACP", &mut notes);
    let boot = fadt.and_then(|t| ArmBoot::read(&t, &mut notes));
    let sdei = tables.get(*b"SDEI", &mut notes).is_some();
    let pptt = tables.get_or_note(*b"PPTT", &mut notes);
    let topology = pptt.map(|t| Topology::read(&t, &mut notes));
    let mut witnesses = Vec::new();
    for table in tables.definitions() {
        witnesses.append(&mut aml::witnesses(table.name(), table.bytes(), &mut notes));
    }
    Ok(Description {
        madt,
        gtdt,
        spcr,
        boot,
        sdei,
        topology,
        witnesses,
        notes: notes.into_sentences(),
    })
}
