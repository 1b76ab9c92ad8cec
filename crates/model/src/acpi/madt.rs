//! MADT: which CPUs there are and which interrupt controller they have.

use alloc::{format, vec::Vec};
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    notes::Notes,
    subtable::{Length, Subtable, walk},
    table::{HEADER, Table},
};

/// The structures begin after two words that mean nothing to a GIC.
const FIRST: usize = HEADER + 8;
/// No MADT of [`super::MAX_TABLE`] bytes has more structures.
const MOST: usize = super::MAX_TABLE / 2;

const GICC: u8 = 0x0b;
const GICD: u8 = 0x0c;
const MSI_FRAME: u8 = 0x0d;
const GICR: u8 = 0x0e;
const ITS: u8 = 0x0f;
/// Where vendors' own structures begin; Phytium's on the S2500 is the first.
const VENDOR: u8 = 0x80;

const ENABLED: u32 = 1 << 0;
const ONLINE_CAPABLE: u32 = 1 << 3;

/// A GICC structure as far as ACPI 5.1 has it: later ones append.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawGicc {
    kind: u8,
    length: u8,
    reserved: U16,
    interface: U32,
    uid: U32,
    flags: U32,
    parking_version: U32,
    performance_gsiv: U32,
    parked: U64,
    gicc: U64,
    gicv: U64,
    gich: U64,
    maintenance_gsiv: U32,
    gicr: U64,
    mpidr: U64,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawGicd {
    kind: u8,
    length: u8,
    reserved: U16,
    id: U32,
    base: U64,
    vector_base: U32,
    version: u8,
    reserved2: [u8; 3],
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawGicr {
    kind: u8,
    length: u8,
    reserved: U16,
    base: U64,
    length_bytes: U32,
}

/// One CPU and its interface to the interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gicc {
    /// The processor's UID, by which the PPTT names it.
    pub uid: u32,
    /// The CPU interface number, by which the parking protocol names it.
    pub interface: u32,
    /// Affinity fields of MPIDR_EL1, the others 0.
    pub mpidr: u64,
    /// May be used now.
    pub enabled: bool,
    /// Not enabled, but firmware could enable it later.
    pub online_capable: bool,
    /// Physical address of the GICv2 CPU interface; 0 where there is none.
    pub gicc: u64,
    /// Physical address of this CPU's redistributor; 0 where the
    /// [`Redistributors`] cover it.
    pub gicr: u64,
    /// The parking protocol's version, 0 for none.
    pub parking_version: u32,
    /// The parking protocol's mailbox, 0 for none.
    pub parked: u64,
}

/// The distributor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gicd {
    /// Physical address.
    pub base: u64,
    /// GIC version 1 to 4; 0 means "ask the hardware".
    pub version: u8,
}

/// A range in which redistributors follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redistributors {
    /// Physical address.
    pub base: u64,
    /// Length in bytes.
    pub length: u32,
}

/// What the MADT says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Madt {
    /// CPUs, in the table's order.
    pub gicc: Vec<Gicc>,
    /// The distributor.
    pub gicd: Option<Gicd>,
    /// The first structure of type 128, read as a GICD, which Phytium's look like.
    pub vendor_gicd: Option<Gicd>,
    /// Redistributor ranges, in the table's order.
    pub gicr: Vec<Redistributors>,
}

impl Madt {
    pub(super) fn read(table: &Table<'_>, notes: &mut Notes) -> Self {
        let mut madt = Self::default();
        let each = |subtable: Subtable<'_>, notes: &mut Notes| madt.add(&subtable, notes);
        walk(table, FIRST, MOST, Length::Byte, notes, each);
        madt
    }

    fn add(&mut self, subtable: &Subtable<'_>, notes: &mut Notes) {
        match subtable.kind {
            GICC => self.gicc.extend(gicc(subtable, notes)),
            GICD => self.add_distributor(subtable, notes),
            GICR => {
                let raw = subtable.read::<RawGicr>("MADT", "GICR", notes);
                self.gicr.extend(raw.map(|r| Redistributors {
                    base: r.base.get(),
                    length: r.length_bytes.get(),
                }));
            }
            // Message-signalled interrupts: the harness takes none.
            MSI_FRAME | ITS => {}
            kind => {
                if kind == VENDOR
                    && let Ok((raw, _)) = RawGicd::ref_from_prefix(subtable.bytes)
                {
                    self.vendor_gicd.get_or_insert(Gicd {
                        base: raw.base.get(),
                        version: raw.version,
                    });
                }
                let whose = if kind < VENDOR {
                    "unknown"
                } else {
                    "vendor's own"
                };
                let length = subtable.bytes.len();
                let text = format!("structure of type {kind} ({whose}), {length} bytes, skipped");
                notes.add("MADT", subtable.offset, text);
            }
        }
    }

    fn add_distributor(&mut self, subtable: &Subtable<'_>, notes: &mut Notes) {
        let Some(raw) = subtable.read::<RawGicd>("MADT", "GICD", notes) else {
            return;
        };
        if self.gicd.is_some() {
            notes.add("MADT", subtable.offset, "a second GICD, skipped");
            return;
        }
        self.gicd = Some(Gicd {
            base: raw.base.get(),
            version: raw.version,
        });
    }
}

fn gicc(subtable: &Subtable<'_>, notes: &mut Notes) -> Option<Gicc> {
    // ACPI 5.0's GICC structure, which had no MPIDR, counts as too short too.
    let raw = subtable.read::<RawGicc>("MADT", "GICC", notes)?;
    let enabled = raw.flags.get() & ENABLED != 0;
    Some(Gicc {
        uid: raw.uid.get(),
        interface: raw.interface.get(),
        mpidr: raw.mpidr.get(),
        enabled,
        online_capable: !enabled && raw.flags.get() & ONLINE_CAPABLE != 0,
        gicc: raw.gicc.get(),
        gicr: raw.gicr.get(),
        parking_version: raw.parking_version.get(),
        parked: raw.parked.get(),
    })
}
