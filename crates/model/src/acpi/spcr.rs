//! SPCR: the serial console that firmware uses.

use alloc::format;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{
    notes::Notes,
    table::{GenericAddress, Table},
};
use crate::platform::{UartKind, uarts::ROWS};

const MEMORY_SPACE: u8 = 0;
const GIC_INTERRUPT: u8 = 1 << 3;
/// The revision from which the clock's field has a meaning.
const WITH_CLOCK: u8 = 3;
/// The revision from which the baud rate is also given as a number.
const WITH_BAUD: u8 = 4;

/// The table as far as revision 1 has it, from its start.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawSpcr {
    header: [u8; super::table::HEADER],
    interface: u8,
    reserved: [u8; 3],
    base: GenericAddress,
    interrupt_type: u8,
    irq: u8,
    gsiv: U32,
    baud: u8,
    parity: u8,
    stop_bits: u8,
    flow_control: u8,
    terminal: u8,
    language: u8,
    pci_device: U16,
    pci_vendor: U16,
    pci_bus: u8,
    pci_slot: u8,
    pci_function: u8,
    pci_flags: U32,
    pci_segment: u8,
    clock: U32,
}

/// Where the baud rate as a number is, in bytes from the table's start.
const PRECISE_BAUD: usize = size_of::<RawSpcr>();

/// What the SPCR says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spcr {
    /// What kind of UART.
    pub interface: UartKind,
    /// Its physical address.
    pub base: u64,
    /// Width of an access in bytes: 1, 2 or 4.
    pub io_width: u8,
    /// Registers are `1 << reg_shift` bytes apart.
    pub reg_shift: u8,
    /// Its interrupt; `None` where it is not the GIC's.
    pub gsiv: Option<u32>,
    /// Baud rate in bits per second; `None` for "as firmware left it".
    pub baud: Option<u32>,
    /// Its clock in hertz, where the table says it.
    pub clock: Option<u32>,
}

impl Spcr {
    pub(super) fn read(table: &Table<'_>, notes: &mut Notes) -> Option<Self> {
        let Some(raw) = table.at::<RawSpcr>(0) else {
            let text = format!("only {} bytes, not read", table.bytes().len());
            notes.add("SPCR", 0, text);
            return None;
        };
        let interface = interface(raw.interface, notes)?;
        if raw.base.space != MEMORY_SPACE || raw.base.address == 0 {
            let text = format!(
                "the UART is in address space {} at {:#x}, not in memory",
                raw.base.space, raw.base.address
            );
            notes.add("SPCR", 0, text);
            return None;
        }
        let (io_width, reg_shift) = access(interface, &raw.base, notes);
        let precise = (table.revision() >= WITH_BAUD)
            .then(|| table.at::<U32>(PRECISE_BAUD))
            .flatten();
        Some(Self {
            interface,
            base: raw.base.address.get(),
            io_width,
            reg_shift,
            gsiv: (raw.interrupt_type & GIC_INTERRUPT != 0).then(|| raw.gsiv.get()),
            baud: precise
                .map(U32::get)
                .filter(|b| *b != 0)
                .or_else(|| baud(raw.baud)),
            clock: Some(raw.clock.get()).filter(|c| table.revision() >= WITH_CLOCK && *c != 0),
        })
    }
}

/// The kinds that Microsoft's DBG2 specification numbers.
fn interface(kind: u8, notes: &mut Notes) -> Option<UartKind> {
    let row = ROWS.iter().find(|row| row.spcr.contains(&kind));
    if row.is_none() {
        let text = format!("UART of type {kind:#x}: no driver for it");
        notes.add("SPCR", 0, text);
    }
    row.map(|row| row.kind)
}

/// Access width in bytes and the shift between registers.
///
/// A PL011's registers, and others', are words 4 bytes apart whatever the table says; a
/// 16550's are as far apart as an access is wide.
fn access(interface: UartKind, base: &GenericAddress, notes: &mut Notes) -> (u8, u8) {
    if interface != UartKind::Ns16550 {
        return (4, 2);
    }
    match (base.access_size, base.bit_width) {
        (1, _) | (0, 0 | 8) => (1, 0),
        (2, _) | (0, 16) => (2, 1),
        (3, _) | (0, 32) => (4, 2),
        (size, width) => {
            let text = format!("access size {size}, {width} bits: taken as bytes");
            notes.add("SPCR", 0, text);
            (1, 0)
        }
    }
}

fn baud(code: u8) -> Option<u32> {
    match code {
        3 => Some(9600),
        4 => Some(19200),
        6 => Some(57600),
        7 => Some(115_200),
        _ => None,
    }
}
