//! The machine as its firmware describes it: one value that holds every fact
//! of the board, from a device tree or from ACPI. No address is compiled in.

mod chosen;
mod cpu_map;
pub mod devicetree;
pub mod earlycon;
pub mod gic;
pub mod gic_setup;
pub mod uarts;

use alloc::{string::String, vec::Vec};

pub use gic::{Gic, GicV3, Redistributors};

pub use crate::region::Region;

use crate::{
    framebuffer::Framebuffer,
    kexec::Kexec,
    ramoops::{self, Ramoops},
    witness::Described,
};

/// Where the description came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A flattened device tree.
    DeviceTree,
    /// ACPI tables.
    Acpi,
}

impl Source {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceTree => "device-tree",
            Self::Acpi => "acpi",
        }
    }
}

/// How a core is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// PSCI CPU_ON.
    Psci,
    /// By writing the entry address to this physical address (`spin-table`).
    SpinTable(u64),
    /// The description does not say: it can only have entered the image by itself.
    Pen,
}

/// A core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// The affinity fields of MPIDR_EL1.
    pub mpidr: u64,
    /// How it is started.
    pub start: Start,
    /// Where it is, if the description says.
    pub place: Option<Place>,
}

impl Cpu {
    /// A core whose place is not known.
    pub const fn new(mpidr: u64, start: Start) -> Self {
        Self {
            mpidr,
            start,
            place: None,
        }
    }
}

/// Where a core is. The numbers are the harness's own: 0, 1, … in the order in
/// which the description names them, each unique in the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Physical package.
    pub socket: Option<u32>,
    /// The smallest group of cores that is not the whole package.
    pub cluster: Option<u32>,
    /// Core; threads share one.
    pub core: u32,
}

/// The instruction that reaches PSCI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// To EL2.
    Hvc,
    /// To EL3.
    Smc,
}

impl Conduit {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hvc => "hvc",
            Self::Smc => "smc",
        }
    }
}

/// PSCI 0.1: each firmware has its own function numbers, and gives them in its device tree
/// (binding `arm,psci`). 0.2 gave every function a fixed number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PsciFunctions {
    /// CPU_SUSPEND.
    pub cpu_suspend: Option<u32>,
    /// CPU_OFF.
    pub cpu_off: Option<u32>,
    /// CPU_ON.
    pub cpu_on: Option<u32>,
}

/// What kind of UART.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UartKind {
    /// Arm's PL011, and the SBSA generic UART, which is a subset of it.
    Pl011,
    /// The 16550 and its relatives.
    Ns16550,
    /// NXP's i.MX.
    Imx,
    /// Amlogic's Meson.
    Meson,
    /// Qualcomm's MSM, version 1.4 of its data mover.
    Msm,
}

/// The console's UART, set up by firmware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uart {
    /// What kind.
    pub kind: UartKind,
    /// Its registers.
    pub registers: Region,
    /// Register number to byte offset, as a shift (16550).
    pub reg_shift: u32,
    /// Bytes of one register access (16550): 1 or 4.
    pub io_width: u32,
}

/// An SBSA generic watchdog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watchdog {
    /// Refresh frame.
    pub refresh: Region,
    /// Control frame.
    pub control: Region,
}

/// Everything known about the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Platform {
    /// Who described it.
    pub source: Source,
    /// The board's name.
    pub model: String,
    /// The cores that may be used, in the description's order: a core's place
    /// here is its number.
    pub cpus: Vec<Cpu>,
    /// The interrupt controller.
    pub gic: Gic,
    /// PSCI, if there is one.
    pub psci: Option<Conduit>,
    /// The function numbers of a PSCI before 0.2, which has nothing else.
    pub psci_functions: Option<PsciFunctions>,
    /// The power states that the idle states ask CPU_SUSPEND for, in their order.
    pub suspend: Vec<u32>,
    /// Does firmware say that it has SDEI?
    pub sdei: bool,
    /// The console, if one is named.
    pub uart: Option<Uart>,
    /// Memory.
    pub memory: Vec<Region>,
    /// Memory that must not be touched.
    pub reserved: Vec<Region>,
    /// Where Linux keeps its logs over a reset, if the tree says so.
    pub ramoops: Option<Ramoops>,
    /// The screen that firmware has set up, if the tree says so.
    pub framebuffer: Option<Framebuffer>,
    /// The watchdog, if there is one.
    pub watchdog: Option<Watchdog>,
    /// The interconnects whose counters can be read.
    pub witnesses: Vec<Described>,
    /// The boot arguments.
    pub bootargs: String,
    /// The ACPI root pointer that a loader left for us.
    pub rsdp: Option<u64>,
    /// Where a loader has left room for the flight recorder.
    pub recorder: Option<u64>,
    /// The kernel that ran before and handed over by kexec, if there was one.
    pub kexec: Option<Kexec>,
    /// What was odd, for the report.
    pub notes: Vec<String>,
}

impl Platform {
    /// Memory in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory.iter().map(|r| r.size).sum::<u64>() >> 20
    }

    /// What is kept for a kernel behind this boot: Linux's logs, a kernel that was loaded.
    pub fn kept(&self) -> impl Iterator<Item = Region> {
        let logs = self.ramoops.iter().map(|logs| logs.region);
        let kexec = self.kexec.iter();
        let loaded = kexec.flat_map(|kexec| kexec.next.into_iter().chain(kexec.elfcorehdr));
        logs.chain(ramoops::kept(&self.bootargs)).chain(loaded)
    }

    /// Is any of it memory, as far as is known?
    pub fn has_memory_in(&self, region: &Region) -> bool {
        let mut memory = self.memory.iter().chain(&self.reserved);
        memory.any(|memory| memory.overlaps(region))
    }

    /// The page of a device at this address, if it is neither memory nor among what the image
    /// drives itself.
    ///
    /// # Errors
    /// What it is.
    pub fn stranger(&self, at: u64, driven: &[Region]) -> Result<Region, &'static str> {
        let page = Region {
            base: at & !0xfff,
            size: 0x1000,
        };
        let among = |regions: &[Region]| regions.iter().any(|region| region.overlaps(&page));
        if among(&self.memory) || among(&self.reserved) {
            return Err("memory");
        }
        if among(driven) {
            return Err("a device that the image drives itself");
        }
        Ok(page)
    }

    /// The lowest range of `size` bytes at a multiple of `align` (a power of
    /// two) that is memory and overlaps neither what is reserved nor `taken`.
    pub fn find_free(&self, size: u64, align: u64, taken: &[Region]) -> Option<Region> {
        let blockers = || self.reserved.iter().chain(taken);
        self.memory
            .iter()
            .filter_map(|memory| {
                let mut base = memory.base.checked_next_multiple_of(align)?;
                loop {
                    let found = Region { base, size };
                    if base.checked_add(size)? > memory.end() {
                        return None;
                    }
                    match blockers()
                        .filter(|b| b.size > 0 && b.overlaps(&found))
                        .map(Region::end)
                        .max()
                    {
                        Some(end) => base = end.checked_next_multiple_of(align)?,
                        None => return Some(found),
                    }
                }
            })
            .min()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn region(base: u64, size: u64) -> Region {
        Region { base, size }
    }

    pub(crate) fn machine(memory: Vec<Region>, reserved: Vec<Region>) -> Platform {
        Platform {
            source: Source::DeviceTree,
            model: String::new(),
            cpus: vec![],
            gic: Gic::V2 {
                gicd: region(0, 0),
                gicc: region(0, 0),
            },
            psci: None,
            psci_functions: None,
            suspend: vec![],
            sdei: false,
            uart: None,
            memory,
            reserved,
            ramoops: None,
            framebuffer: None,
            watchdog: None,
            witnesses: vec![],
            bootargs: String::new(),
            rsdp: None,
            recorder: None,
            kexec: None,
            notes: vec![],
        }
    }

    #[test]
    fn free_memory_lies_behind_what_is_taken() {
        let machine = machine(vec![region(0x1000, 0x9000)], vec![region(0x1800, 0x100)]);
        assert_eq!(
            machine.find_free(0x1000, 0x1000, &[]),
            Some(region(0x2000, 0x1000))
        );
        assert_eq!(
            machine.find_free(0x1000, 0x1000, &[region(0x2fff, 2)]),
            Some(region(0x4000, 0x1000))
        );
        assert_eq!(machine.find_free(0x9000, 0x1000, &[]), None);
    }

    #[test]
    fn the_top_of_the_address_space_does_not_wrap() {
        let machine = machine(vec![region(u64::MAX - 0x2fff, 0x2fff)], vec![]);
        assert_eq!(machine.find_free(0x4000, 0x1000, &[]), None);
        assert!(machine.find_free(0x1000, 0x1000, &[]).is_some());
    }

    #[test]
    fn a_device_of_nobody_s_is_neither_memory_nor_driven() {
        let memory = vec![region(0x4000_0000, 0x1000_0000)];
        let machine = machine(memory, vec![region(0x5000_0100, 0x10)]);
        let driven = [region(0x900_0000, 0x1000)];
        let of = |at| machine.stranger(at, &driven);
        assert_eq!(of(0x901_0004), Ok(region(0x901_0000, 0x1000)));
        assert_eq!(of(0x4000_0000), Err("memory"));
        assert_eq!(of(0x4fff_fffc), Err("memory"));
        assert_eq!(
            of(0x5000_0ffc),
            Err("memory"),
            "what is reserved is no device"
        );
        assert!(of(0x900_0018).unwrap_err().contains("drives itself"));
    }

    #[test]
    fn what_is_kept_for_the_next_kernel_is_known() {
        let mut machine = machine(vec![], vec![]);
        assert_eq!(machine.kept().count(), 0);
        machine.bootargs = "ramoops.mem_address=0x60000000 ramoops.mem_size=2M".into();
        let bases: Vec<_> = machine.kept().map(|region| region.base).collect();
        assert_eq!(bases, [0x6000_0000]);
    }

    proptest! {
        #[test]
        fn what_is_found_is_free(blocks in proptest::collection::vec((0_u64..64, 1_u64..8), 0..8), size in 1_u64..16) {
            let taken: Vec<_> = blocks.iter().map(|(b, s)| region(b << 12, s << 12)).collect();
            let machine = machine(vec![region(0, 64 << 12)], taken.clone());
            if let Some(found) = machine.find_free(size << 12, 0x1000, &[]) {
                prop_assert!(taken.iter().all(|t| !t.overlaps(&found)));
                prop_assert!(found.end() <= 64 << 12);
            }
        }
    }

    #[test]
    fn memory_is_told_in_mebibytes_of_all_of_it() {
        let memory = vec![region(1 << 32, 3 << 20), region(0, (2 << 20) + 0x1000)];
        assert_eq!(machine(memory, vec![]).memory_mib(), 5);
        assert_eq!(machine(vec![], vec![]).memory_mib(), 0);
    }

    #[test]
    fn what_just_fits_is_found_and_nothing_is_in_no_one_s_way() {
        let all = region(0x1000, 0x3000);
        let find = |size, taken: &[Region]| {
            let machine = machine(vec![all], vec![region(0x2800, 0)]);
            machine.find_free(size, 0x1000, taken)
        };
        assert_eq!(find(0x3000, &[]), Some(all));
        assert_eq!(find(0x3001, &[]), None);
        assert_eq!(find(0x3000, &[region(0x1800, 0)]), Some(all));
        assert_eq!(find(0x3000, &[region(0x1800, 1)]), None);
        let rest = region(0x2000, 0x2000);
        assert_eq!(find(0x2000, &[region(0x1800, 1)]), Some(rest));
    }
}
