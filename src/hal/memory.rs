//! The page tables.
//!
//! Everything is mapped to itself; code is read-only, what is writable is not
//! executable, and each stack ends at a page that is mapped nowhere. Buffers
//! that hold code under test are mapped twice: writable at their own address,
//! executable [`EXECUTE_OFFSET`] above it.

#![expect(unsafe_code, reason = "switches page tables, and shows what they map")]

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::{
    cell::RefCell,
    slice,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use aarch64_paging::{
    Mapping,
    descriptor::{El1Attributes, El23Attributes, PhysicalAddress},
    idmap::IdTranslation,
    paging::{Constraints, El1And0, El2, MemoryRegion, PAGE_SIZE, VaRange},
};
use stalecore_model::platform::{Gic, Platform, Region, Start};

use super::{arch, boot, layout, mmio};

/// Where the executable view of a buffer is, above its own address.
pub const EXECUTE_OFFSET: usize = 1 << 46;

/// Where two pages lie side by side of which the second can be taken away, and another
/// mapped there, while it is in use.
pub const SEAM: usize = 1 << 45;

/// The executable view of a buffer at `address`.
pub const fn executable(address: usize) -> usize {
    address + EXECUTE_OFFSET
}

// No mapping is global: the next tables may map the same address by a block of another
// size, and a TLB that holds both under one ASID may abort (Arm ARM, break-before-make).
const DATA: El1Attributes = El1Attributes::VALID
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL)
    .union(El1Attributes::ATTRIBUTE_INDEX_1)
    .union(El1Attributes::INNER_SHAREABLE)
    .union(El1Attributes::PXN)
    .union(El1Attributes::UXN);
const CONSTANTS: El1Attributes = DATA.union(El1Attributes::READ_ONLY);
const CODE: El1Attributes = CONSTANTS.difference(El1Attributes::PXN);
/// Normal, never cached: what is written is in memory when the machine is reset.
const UNCACHED: El1Attributes = El1Attributes::VALID
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL)
    .union(El1Attributes::ATTRIBUTE_INDEX_2)
    .union(El1Attributes::PXN)
    .union(El1Attributes::UXN);
const DEVICE: El1Attributes = El1Attributes::VALID
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL)
    .union(El1Attributes::ATTRIBUTE_INDEX_0)
    .union(El1Attributes::PXN)
    .union(El1Attributes::UXN);

/// EL2's attributes for what EL1 maps with these.
fn at_el2(flags: El1Attributes) -> El23Attributes {
    let mut own = El23Attributes::VALID | El23Attributes::ACCESSED | El23Attributes::USER_RES1;
    for (el1, el2) in [
        (
            El1Attributes::ATTRIBUTE_INDEX_1,
            El23Attributes::ATTRIBUTE_INDEX_1,
        ),
        (
            El1Attributes::INNER_SHAREABLE,
            El23Attributes::INNER_SHAREABLE,
        ),
        (El1Attributes::READ_ONLY, El23Attributes::READ_ONLY),
        (El1Attributes::PXN, El23Attributes::XN),
    ] {
        if flags.contains(el1) {
            own |= el2;
        }
    }
    own
}

/// The ASID of the next tables; the entry code's have 0.
static NEXT_ASID: AtomicUsize = AtomicUsize::new(1);

/// The page tables under construction: EL1's, and where there is a fabric
/// EL2's with the same content.
pub struct Tables {
    asid: usize,
    el1: Mapping<IdTranslation<El1Attributes>, El1And0>,
    el2: Option<Mapping<IdTranslation<El23Attributes>, El2>>,
    /// What they map that is neither the image's nor its arena's, and may be driven.
    devices: Vec<Region>,
}

impl Tables {
    /// Tables that map the image: code, constants, data; EL2's too if there
    /// is to be a fabric.
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn new(with_el2: bool) -> Result<Self, String> {
        let asid = NEXT_ASID.fetch_add(1, Ordering::Relaxed);
        let mut tables = Self {
            asid,
            el1: Mapping::with_asid_and_va_range(
                IdTranslation::new(),
                asid,
                0,
                El1And0,
                VaRange::Lower,
            ),
            el2: with_el2.then(|| Mapping::new(IdTranslation::new(), 0, El2)),
            devices: Vec::new(),
        };
        tables.map(layout::text_start(), layout::text_end(), CODE)?;
        tables.map(layout::rodata_start(), layout::rodata_end(), CONSTANTS)?;
        tables.map(layout::data_start(), layout::image_end(), DATA)?;
        Ok(tables)
    }

    /// Are EL2's tables among them?
    pub const fn has_el2(&self) -> bool {
        self.el2.is_some()
    }

    /// Their number among all tables.
    pub const fn asid(&self) -> usize {
        self.asid
    }

    fn map(&mut self, start: usize, end: usize, flags: El1Attributes) -> Result<(), String> {
        self.map_at(start, start, end - start, flags)
    }

    fn map_at(
        &mut self,
        at: usize,
        physical: usize,
        size: usize,
        flags: El1Attributes,
    ) -> Result<(), String> {
        let range = MemoryRegion::new(at, at + size);
        let wrong = |e: aarch64_paging::MapError| format!("mapping {physical:#x}: {e}");
        self.el1
            .map_range(
                &range,
                PhysicalAddress(physical),
                flags,
                Constraints::empty(),
            )
            .map_err(wrong)?;
        if let Some(el2) = &mut self.el2 {
            el2.map_range(
                &range,
                PhysicalAddress(physical),
                at_el2(flags),
                Constraints::empty(),
            )
            .map_err(wrong)?;
        }
        Ok(())
    }

    /// Maps memory, readable and writable.
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn map_data(&mut self, start: usize, size: usize) -> Result<(), String> {
        self.map_at(start, start, size, DATA)
    }

    /// Maps memory that no cache may hold, for EL1 alone.
    ///
    /// # Errors
    /// The mapping crate's, or an address that is the image's.
    pub fn map_uncached(&mut self, start: usize, size: usize) -> Result<(), String> {
        if start < layout::image_end() && layout::image_start() < start + size {
            return Err(format!("{start:#x} is in the image, not free memory"));
        }
        let region = Region {
            base: start as u64,
            size: size as u64,
        };
        if self.devices.iter().any(|device| device.overlaps(&region)) {
            return Err(format!("{start:#x} is a device's, not memory"));
        }
        self.el1
            .map_range(
                &MemoryRegion::new(start, start + size),
                PhysicalAddress(start),
                UNCACHED,
                Constraints::empty(),
            )
            .map_err(|e| format!("mapping {start:#x}: {e}"))
    }

    /// Maps memory once more, executable, [`EXECUTE_OFFSET`] above itself.
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn map_code_view(&mut self, start: usize, size: usize) -> Result<(), String> {
        self.map_at(start + EXECUTE_OFFSET, start, size, CODE)
    }

    /// Maps the first two of these pages at [`SEAM`], each by a descriptor of its own.
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn map_seam(&mut self, pages: usize) -> Result<Seam, String> {
        for at in [0, PAGE_SIZE] {
            self.map_at(SEAM + at, pages + at, PAGE_SIZE, DATA)?;
        }
        let behind = SEAM + PAGE_SIZE;
        let mut table = self.el1.root_address().0;
        for level in 0..3 {
            let entry = table + 8 * (behind >> (39 - 9 * level) & 511);
            // SAFETY: an entry of a table of this mapping, in the heap, which is mapped to
            // itself.
            table = unsafe { (entry as *const u64).read_volatile() } as usize & ADDRESS;
        }
        Ok(Seam {
            descriptor: table + 8 * ((behind / PAGE_SIZE) & 511),
            asid: self.asid,
        })
    }

    /// Maps the image's code once more, writable, [`EXECUTE_OFFSET`] above itself, for
    /// [`patch`].
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn map_patches(&mut self) -> Result<(), String> {
        let start = layout::text_start();
        let size = layout::text_end() - start;
        self.map_at(start + EXECUTE_OFFSET, start, size, DATA)?;
        PATCHABLE.store(self.asid, Ordering::Relaxed);
        Ok(())
    }

    /// Maps a device's registers.
    ///
    /// # Errors
    /// The mapping crate's, or no valid address.
    pub fn map_device(&mut self, region: &Region) -> Result<(), String> {
        let start = usize::try_from(region.base).map_err(|e| format!("{e}"))? & !(PAGE_SIZE - 1);
        let end = usize::try_from(region.end())
            .map_err(|e| format!("{e}"))?
            .next_multiple_of(PAGE_SIZE);
        let end = end.max(start + PAGE_SIZE);
        self.map(start, end, DEVICE)?;
        self.drive(start, end - start)
    }

    /// Notes what may be driven.
    fn drive(&mut self, start: usize, size: usize) -> Result<(), String> {
        if start < layout::image_end() && layout::image_start() < start + size {
            return Err(format!("{start:#x} is in the image, and no device"));
        }
        self.devices.push(Region {
            base: start as u64,
            size: size as u64,
        });
        Ok(())
    }

    /// Maps the page of a register that a stale core is to load from and nobody drives.
    ///
    /// # Errors
    /// What it is, or the mapping crate's.
    pub fn map_stranger(&mut self, platform: &Platform, at: u64) -> Result<(), String> {
        let page = platform.stranger(at, &self.devices).map_err(|what| {
            format!("device-stuck-at: {at:#x} is {what}; allowed: a register of another device")
        })?;
        self.map_device(&page)
    }

    /// Maps the registers of everything on the platform that the image drives, and
    /// the words that firmware holds cores by.
    ///
    /// # Errors
    /// As [`Self::map_device`].
    pub fn map_platform(&mut self, platform: &Platform) -> Result<(), String> {
        if let Some(uart) = &platform.uart {
            self.map_device(&uart.registers)?;
        }
        let mut tables: Vec<usize> = platform
            .cpus
            .iter()
            .filter_map(|cpu| match cpu.start {
                Start::SpinTable(word) => usize::try_from(word).ok(),
                Start::Psci | Start::Pen => None,
            })
            .map(|word| word & !(PAGE_SIZE - 1))
            .collect();
        tables.dedup();
        for page in tables {
            self.map_data(page, PAGE_SIZE)?;
            self.drive(page, PAGE_SIZE)?;
        }
        if let Some(watchdog) = &platform.watchdog {
            self.map_device(&watchdog.refresh)?;
            self.map_device(&watchdog.control)?;
        }
        match &platform.gic {
            Gic::V2 { gicd, gicc } => {
                self.map_device(gicd)?;
                self.map_device(gicc)?;
            }
            Gic::V3(v3) => {
                for gicd in v3.distributors(&platform.cpus) {
                    self.map_device(&gicd)?;
                }
                for redistributors in &v3.gicr {
                    self.map_device(&redistributors.region)?;
                }
            }
        }
        Ok(())
    }

    /// Switches this core to the tables, and every core started from now on. Returns
    /// the root of EL2's tables, if there are any.
    pub fn activate(self) -> Option<u64> {
        use_tables(Box::leak(Box::new(self.el1)), self.asid);
        if !self.devices.is_empty() {
            pin(self.asid);
            mmio::set_mapped(self.devices);
        }
        let el2 = self.el2.map(|el2| Box::leak(Box::new(el2)));
        el2.map(|el2| el2.root_address().0 as u64)
    }
}

/// The bits of a descriptor that are an address.
const ADDRESS: usize = 0xffff_ffff_f000;

/// Where the translation of the second page at [`SEAM`] is, in tables to be used.
pub struct Seam {
    descriptor: usize,
    asid: usize,
}

/// The translation of the second page at [`SEAM`], in the tables in use.
pub struct Behind {
    descriptor: &'static AtomicU64,
    attributes: u64,
    /// Of the tables.
    pub asid: usize,
}

impl Seam {
    /// Takes it into use; its tables must be in use.
    pub fn open(self) -> Behind {
        pin(self.asid);
        // SAFETY: the last descriptor of the walk in tables that are in use and stay; but
        // for the MMU nobody else reads or writes it.
        let descriptor = unsafe { AtomicU64::from_ptr(self.descriptor as *mut u64) };
        Behind {
            attributes: descriptor.load(Ordering::Relaxed) & !(ADDRESS as u64),
            descriptor,
            asid: self.asid,
        }
    }
}

impl Behind {
    /// The page that it leads to.
    pub fn page(&self) -> usize {
        self.descriptor.load(Ordering::Relaxed) as usize & ADDRESS
    }

    /// Makes it lead nowhere. What TLBs hold of it has to be dropped.
    pub fn take_away(&self) {
        self.set(0);
    }

    /// Makes it lead to a page of the seam's, once no TLB holds another.
    pub fn lead_to(&self, page: usize) {
        self.set(page as u64 & ADDRESS as u64 | self.attributes);
    }

    #[inline(never)]
    fn set(&self, descriptor: u64) {
        self.descriptor.store(descriptor, Ordering::Release);
        arch::dsb_ishst();
        arch::isb();
    }
}

/// Tables in use that show the image's own memory, and read-only as much else as is
/// asked for: firmware's tables, while the machine is being described.
pub struct Window {
    asid: usize,
    /// The tables, and the pages that they have been made to show.
    shown: RefCell<(&'static mut El1Tables, Vec<usize>)>,
}

type El1Tables = Mapping<IdTranslation<El1Attributes>, El1And0>;

impl Window {
    /// Switches this core to tables that show the image's own memory.
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn open() -> Result<Self, String> {
        let tables = Tables::new(false)?;
        let el1 = Box::leak(Box::new(tables.el1));
        use_tables(el1, tables.asid);
        Ok(Self {
            asid: tables.asid,
            shown: RefCell::new((el1, Vec::new())),
        })
    }

    /// `length` bytes at `base`, if one of `readable` contains all of them.
    pub fn show_of(&self, readable: &[Region], base: u64, length: usize) -> Option<&[u8]> {
        let size = u64::try_from(length).ok()?;
        let region = Region { base, size };
        let inside = |r: &Region| r.common(&region) == Some(region);
        readable.iter().any(inside).then(|| self.show(&region))?
    }

    /// The bytes of `region`, which must be memory that firmware has filled.
    pub fn show(&self, region: &Region) -> Option<&[u8]> {
        let start = usize::try_from(region.base).ok()?;
        let size = usize::try_from(region.size).ok()?;
        let last = start.checked_add(size.checked_sub(1)?)?;
        let image = layout::image_start()..layout::image_end();
        if start == 0 || (start < image.end && image.start <= last) {
            return None;
        }
        let mut shown = self.shown.borrow_mut();
        let (el1, pages) = &mut *shown;
        for page in (start & !(PAGE_SIZE - 1)..=last).step_by(PAGE_SIZE) {
            if !pages.contains(&page) {
                pages.push(page);
                let range = MemoryRegion::new(page, page + PAGE_SIZE);
                let at = PhysicalAddress(page);
                let mapped = el1.map_range(&range, at, CONSTANTS, Constraints::empty());
                mapped.ok()?;
            }
        }
        arch::isb();
        assert_in_use(self.asid);
        // SAFETY: mapped read-only by the tables in use; not the image's own memory. The
        // image hands out no memory while it still reads firmware's, and firmware no
        // longer runs.
        Some(unsafe { slice::from_raw_parts(start as *const u8, size) })
    }
}

/// The ASID of the tables in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Is something in use that only the current tables map, so that they are the last?
static FINAL: AtomicBool = AtomicBool::new(false);

/// Switches this core to the tables, and every core started from now on.
fn use_tables(mapping: &Mapping<IdTranslation<El1Attributes>, El1And0>, asid: usize) {
    assert!(!FINAL.load(Ordering::Relaxed), "other tables are the last");
    // SAFETY: the tables map the image as it is linked, the boot stacks in it and the
    // devices in use; both callers have leaked them, so they are never freed.
    unsafe { mapping.activate() };
    arch::flush_local_tlb();
    arch::forbid_writable_code();
    boot::set_tables(mapping.root_address().0 as u64 | (asid as u64) << 48);
    IN_USE.store(asid, Ordering::Relaxed);
}

#[inline(never)]
fn assert_in_use(asid: usize) {
    assert!(IN_USE.load(Ordering::Relaxed) == asid, "in use");
}

/// The ASID of the tables that map the code writable; 0 if none do.
static PATCHABLE: AtomicUsize = AtomicUsize::new(0);

/// Writes an instruction of the image's code, which no other core executes yet; it has to
/// be made visible.
pub fn patch(address: usize, instruction: u32) {
    assert_in_use(PATCHABLE.load(Ordering::Relaxed));
    assert!((layout::text_start()..layout::text_end()).contains(&address));
    // SAFETY: the tables in use map the code there, as data that may be written.
    unsafe { ((address + EXECUTE_OFFSET) as *mut u32).write_volatile(instruction) }
}

/// These tables stay: what they map is about to be used for good.
pub fn pin(asid: usize) {
    assert_in_use(asid);
    FINAL.store(true, Ordering::Relaxed);
}
