//! GTDT: the timers' interrupts and the SBSA watchdogs.

use alloc::{format, vec::Vec};
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    notes::Notes,
    subtable::{Length, Subtable, walk},
    table::Table,
};

const TIMER_BLOCK: u8 = 0;
const WATCHDOG: u8 = 1;
/// The most platform timers that are read: far more than any machine has.
const MOST: usize = 64;

const EDGE: u32 = 1 << 0;
const ACTIVE_LOW: u32 = 1 << 1;
const SECURE: u32 = 1 << 2;

/// The table as far as ACPI 5.1 has it, from its start.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawGtdt {
    header: [u8; super::table::HEADER],
    control: U64,
    reserved: U32,
    secure_gsiv: U32,
    secure_flags: U32,
    physical_gsiv: U32,
    physical_flags: U32,
    virtual_gsiv: U32,
    virtual_flags: U32,
    hypervisor_gsiv: U32,
    hypervisor_flags: U32,
    read: U64,
    platform_timers: U32,
    platform_offset: U32,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawWatchdog {
    kind: u8,
    length: U16,
    reserved: u8,
    refresh: U64,
    control: U64,
    gsiv: U32,
    flags: U32,
}

/// A generic watchdog as Arm's SBSA defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Physical address of the refresh frame.
    pub refresh: u64,
    /// Physical address of the control frame.
    pub control: u64,
    /// The interrupt of its first stage.
    pub gsiv: u32,
    /// That interrupt is edge-triggered.
    pub edge: bool,
    /// That interrupt is active low.
    pub active_low: bool,
    /// Belongs to the secure world: not for the harness.
    pub secure: bool,
}

/// What the GTDT says. An interrupt number of 0 means that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gtdt {
    /// Interrupt of the secure EL1 physical timer.
    pub secure: u32,
    /// Interrupt of the non-secure EL1 physical timer.
    pub physical: u32,
    /// Interrupt of the EL1 virtual timer.
    pub virtual_: u32,
    /// Interrupt of the EL2 physical timer.
    pub hypervisor: u32,
    /// Watchdogs, in the table's order.
    pub watchdogs: Vec<Watchdog>,
}

impl Gtdt {
    pub(super) fn read(table: &Table<'_>, notes: &mut Notes) -> Option<Self> {
        let Some(raw) = table.at::<RawGtdt>(0) else {
            let text = format!("only {} bytes, not read", table.bytes().len());
            notes.add("GTDT", 0, text);
            return None;
        };
        Some(Self {
            secure: raw.secure_gsiv.get(),
            physical: raw.physical_gsiv.get(),
            virtual_: raw.virtual_gsiv.get(),
            hypervisor: raw.hypervisor_gsiv.get(),
            watchdogs: watchdogs(table, &raw, notes),
        })
    }

    /// The first watchdog that the non-secure world may use.
    pub fn watchdog(&self) -> Option<&Watchdog> {
        self.watchdogs.iter().find(|w| !w.secure)
    }
}

fn watchdogs(table: &Table<'_>, raw: &RawGtdt, notes: &mut Notes) -> Vec<Watchdog> {
    let count = raw.platform_timers.get();
    if count == 0 {
        return Vec::new();
    }
    let Ok(first) = usize::try_from(raw.platform_offset.get()) else {
        return Vec::new();
    };
    if !(size_of::<RawGtdt>()..table.bytes().len()).contains(&first) {
        let text = format!("{count} platform timers at impossible offset {first}");
        notes.add("GTDT", 0, text);
        return Vec::new();
    }
    let most = usize::try_from(count).map_or(MOST, |c| c.min(MOST));
    let mut watchdogs = Vec::new();
    let each = |subtable: Subtable<'_>, notes: &mut Notes| match subtable.kind {
        WATCHDOG => watchdogs.extend(watchdog(&subtable, notes)),
        // Memory-mapped timers: the harness uses the cores' own.
        TIMER_BLOCK => {}
        kind => {
            let text = format!("platform timer of type {kind}, skipped");
            notes.add("GTDT", subtable.offset, text);
        }
    };
    walk(table, first, most, Length::Half, notes, each);
    watchdogs
}

fn watchdog(subtable: &Subtable<'_>, notes: &mut Notes) -> Option<Watchdog> {
    let raw = subtable.read::<RawWatchdog>("GTDT", "watchdog", notes)?;
    let flags = raw.flags.get();
    Some(Watchdog {
        refresh: raw.refresh.get(),
        control: raw.control.get(),
        gsiv: raw.gsiv.get(),
        edge: flags & EDGE != 0,
        active_low: flags & ACTIVE_LOW != 0,
        secure: flags & SECURE != 0,
    })
}
