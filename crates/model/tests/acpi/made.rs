//! Tables made byte by byte, for machines that QEMU does not have.

use crate::memory::{Memory, seal};

/// Bytes written one field after another, little-endian.
#[derive(Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }

    pub fn u16(mut self, v: u16) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    pub fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }
}

/// A table with a right header around `body`.
pub fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = signature.to_vec();
    table.extend([0; 4]);
    table.push(revision);
    table.extend(b"\0STALE!TESTDATA");
    table.resize(36, 0);
    table.extend(body);
    seal(&mut table);
    table
}

/// Memory with an RSDP, an XSDT and `tables`, above 512 GiB.
pub fn machine(tables: &[Vec<u8>]) -> Memory {
    let mut memory = Memory {
        rsdp: 0x100_0000_0000,
        ..Memory::default()
    };
    let mut entries = Bytes::default();
    for (i, table) in (0_u64..).zip(tables) {
        let address = memory.rsdp + 0x10_0000 * (i + 2);
        entries = entries.u64(address);
        memory.blocks.insert(address, table.clone());
    }
    let xsdt = memory.rsdp + 0x10_0000;
    memory.blocks.insert(xsdt, table(b"XSDT", 1, &entries.0));
    memory.blocks.insert(memory.rsdp, rsdp(2, xsdt));
    memory
}

/// An RSDP with right checksums.
pub fn rsdp(revision: u8, xsdt: u64) -> Vec<u8> {
    let mut rsdp = b"RSD PTR \0STALE!".to_vec();
    rsdp[15 - 1] = b'!';
    rsdp.push(revision);
    let mut rsdp = Bytes(rsdp).u32(0).u32(36).u64(xsdt).u32(0).0;
    let sum = |b: &[u8]| b.iter().fold(0_u8, |s, b| s.wrapping_add(*b));
    rsdp[8] = sum(&rsdp[..20]).wrapping_neg();
    rsdp[32] = sum(&rsdp).wrapping_neg();
    rsdp
}

/// A GICC structure of ACPI 5.1: 76 bytes.
pub fn gicc(uid: u32, mpidr: u64, flags: u32, gicr: u64) -> Vec<u8> {
    let start = Bytes::default().u8(0x0b).u8(76).u16(0);
    let ids = start.u32(uid).u32(uid).u32(flags).u32(0).u32(0);
    let bases = ids.u64(0).u64(0).u64(0).u64(0).u32(0);
    bases.u64(gicr).u64(mpidr).0
}

/// A GICD structure.
pub fn gicd(base: u64, version: u8) -> Vec<u8> {
    let start = Bytes::default().u8(0x0c).u8(24).u16(0).u32(0);
    start.u64(base).u32(0).u8(version).zeros(3).0
}

/// A GICR structure.
pub fn gicr(base: u64, length: u32) -> Vec<u8> {
    Bytes::default()
        .u8(0x0e)
        .u8(16)
        .u16(0)
        .u64(base)
        .u32(length)
        .0
}

/// A MADT of these structures.
pub fn madt(structures: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(structures.concat());
    table(b"APIC", 3, &body)
}

/// A GTDT of revision 2 with these platform timers.
pub fn gtdt(platform_timers: &[Vec<u8>]) -> Vec<u8> {
    let body = Bytes::default().u64(u64::MAX).u32(0);
    let timers = [29, 30, 27, 26].iter().fold(body, |b, g| b.u32(*g).u32(0));
    let count = u32::try_from(platform_timers.len()).unwrap();
    let mut body = timers.u64(u64::MAX).u32(count).u32(96).0;
    body.extend(platform_timers.concat());
    table(b"GTDT", 2, &body)
}

/// An SBSA watchdog for the GTDT.
pub fn watchdog(refresh: u64, control: u64, gsiv: u32, flags: u32) -> Vec<u8> {
    let start = Bytes::default().u8(1).u16(28).u8(0);
    start.u64(refresh).u64(control).u32(gsiv).u32(flags).0
}

/// An SPCR; `baud` is the table's code, `clock` and `precise` count from
/// revisions 3 and 4.
pub fn spcr(revision: u8, kind: u8, gas: [u8; 4], base: u64, baud: u8, tail: [u32; 2]) -> Vec<u8> {
    let mut body = Bytes::default().u8(kind).zeros(3);
    body.0.extend(gas);
    let body = body.u64(base).u8(8).u8(0).u32(67).u8(baud).u8(0).u8(1);
    let body = body.u8(0).u8(0).u8(0).u16(0xffff).u16(0xffff).zeros(8);
    let mut body = body.u32(tail[0]);
    if revision >= 4 {
        body = body.u32(tail[1]).u16(0).u16(0);
    }
    table(b"SPCR", revision, &body.0)
}

/// A processor structure of the PPTT without private resources: 20 bytes.
pub fn node(flags: u32, parent: u32, uid: u32) -> Vec<u8> {
    let start = Bytes::default().u8(0).u8(20).u16(0);
    start.u32(flags).u32(parent).u32(uid).u32(0).0
}

/// The offset in a PPTT of the structure of that index, if all before it are
/// [`node`]s.
pub fn node_at(index: u32) -> u32 {
    36 + 20 * index
}
