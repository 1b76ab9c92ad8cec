//! The image's memory: the heap for boot time, the page tables, and one arena
//! for stacks and buffers.
//!
//! Everything is mapped to itself; code is read-only, what is writable is not
//! executable, and each stack ends at a page that is mapped nowhere. Buffers
//! that hold code under test are mapped twice: writable at their own address,
//! executable [`EXECUTE_OFFSET`] above it.

#![expect(unsafe_code, reason = "page tables and the heap")]

use alloc::{boxed::Box, collections::BTreeSet, format, string::String, vec::Vec};
use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use aarch64_paging::{
    Mapping,
    descriptor::{El1Attributes, El23Attributes, PhysicalAddress},
    idmap::IdTranslation,
    paging::{Constraints, El1And0, El2, MemoryRegion, PAGE_SIZE, VaRange},
};
use linked_list_allocator::Heap;
use spin::Mutex;
use stalecore_model::platform::{Gic, Platform, Region, Start};

use super::{arch, boot, layout};

/// Where the executable view of a buffer is, above its own address.
pub const EXECUTE_OFFSET: usize = 1 << 46;

/// The executable view of a buffer at `address`.
pub const fn executable(address: usize) -> usize {
    address + EXECUTE_OFFSET
}

const HEAP_SIZE: usize = 4 << 20;

#[repr(C, align(4096))]
struct HeapSpace(core::cell::UnsafeCell<[u8; HEAP_SIZE]>);

// SAFETY: only the allocator below touches the space, under its lock.
unsafe impl Sync for HeapSpace {}

static HEAP_SPACE: HeapSpace = HeapSpace(core::cell::UnsafeCell::new([0; HEAP_SIZE]));

/// The allocator: for boot, and for the conductor between cases.
struct Allocator(Mutex<Heap>);

// SAFETY: `Heap` hands out disjoint blocks of its space; the lock makes it one
// at a time.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0
            .lock()
            .allocate_first_fit(layout)
            .map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller gives back what `alloc` gave it.
            unsafe { self.0.lock().deallocate(pointer, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Mutex::new(Heap::empty()));

/// Gives the heap its space; the first thing that the image does.
pub fn init_heap() {
    let space = HEAP_SPACE.0.get().cast::<u8>();
    // SAFETY: the space is static and used by nothing else; this runs once.
    unsafe { ALLOCATOR.0.lock().init(space, HEAP_SIZE) }
}

// Every mapping is of its tables' ASID alone: the next tables may map the same
// address by a block of another size, and a TLB that holds both under one ASID
// may abort (Arm ARM, break-before-make).
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
    /// The mapping crate's, or an address that is none.
    pub fn map_uncached(&mut self, region: &Region) -> Result<Uncached, String> {
        let start = usize::try_from(region.base).map_err(|e| format!("{e}"))?;
        let size = usize::try_from(region.size).map_err(|e| format!("{e}"))?;
        if start < layout::image_end() && layout::image_start() < start + size {
            return Err(format!("{start:#x} is in the image, not free memory"));
        }
        self.el1
            .map_range(
                &MemoryRegion::new(start, start + size),
                PhysicalAddress(start),
                UNCACHED,
                Constraints::empty(),
            )
            .map_err(|e| format!("mapping {start:#x}: {e}"))?;
        let asid = self.asid;
        Ok(Uncached(Pages { start, size, asid }))
    }

    /// Maps memory, readable only.
    ///
    /// # Errors
    /// The mapping crate's, or an address that is none.
    pub fn map_constants(&mut self, region: &Region) -> Result<(), String> {
        let start = usize::try_from(region.base).map_err(|e| format!("{e}"))?;
        let end = usize::try_from(region.end()).map_err(|e| format!("{e}"))?;
        self.map(
            start & !(PAGE_SIZE - 1),
            end.next_multiple_of(PAGE_SIZE),
            CONSTANTS,
        )
    }

    /// Maps memory once more, executable, [`EXECUTE_OFFSET`] above itself.
    ///
    /// # Errors
    /// The mapping crate's.
    pub fn map_code_view(&mut self, start: usize, size: usize) -> Result<(), String> {
        self.map_at(start + EXECUTE_OFFSET, start, size, CODE)
    }

    /// Maps a device's registers.
    ///
    /// # Errors
    /// The mapping crate's, or an address that is none.
    pub fn map_device(&mut self, region: &Region) -> Result<(), String> {
        let start = usize::try_from(region.base).map_err(|e| format!("{e}"))? & !(PAGE_SIZE - 1);
        let end = usize::try_from(region.end())
            .map_err(|e| format!("{e}"))?
            .next_multiple_of(PAGE_SIZE);
        self.map(start, end.max(start + PAGE_SIZE), DEVICE)
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

    /// Switches this core to the tables, and every core started from now on. Gives
    /// the root of EL2's tables, if there are any.
    pub fn activate(self) -> Option<u64> {
        use_tables(Box::leak(Box::new(self.el1)), self.asid);
        let el2 = self.el2.map(|el2| Box::leak(Box::new(el2)));
        el2.map(|el2| el2.root_address().0 as u64)
    }
}

/// Tables in use that show the image's own memory, and of what is only read as much
/// as is asked for: firmware's tables, while the machine is being described.
pub struct Window {
    el1: &'static mut Mapping<IdTranslation<El1Attributes>, El1And0>,
    /// Pages that have been mapped.
    shown: BTreeSet<usize>,
}

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
            el1,
            shown: BTreeSet::new(),
        })
    }

    /// The bytes of `region`, which must be memory that nobody writes to, for as
    /// long as these tables are in use.
    pub fn show(&mut self, region: &Region) -> Option<&'static [u8]> {
        let start = usize::try_from(region.base).ok()?;
        let size = usize::try_from(region.size).ok()?;
        let last = start.checked_add(size.checked_sub(1)?)?;
        let image = layout::image_start()..layout::image_end();
        if start == 0 || (start < image.end && image.start <= last) {
            return None;
        }
        for page in (start & !(PAGE_SIZE - 1)..=last).step_by(PAGE_SIZE) {
            if self.shown.insert(page) {
                let range = MemoryRegion::new(page, page + PAGE_SIZE);
                let at = PhysicalAddress(page);
                let mapped = self
                    .el1
                    .map_range(&range, at, CONSTANTS, Constraints::empty());
                mapped.ok()?;
            }
        }
        arch::isb();
        // SAFETY: just mapped, readable; the caller vouches that it is memory and
        // that nobody writes to it.
        Some(unsafe { core::slice::from_raw_parts(start as *const u8, size) })
    }
}

/// The ASID of the tables in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Is memory in use that only the tables in use map, so that they are the last?
static FINAL: AtomicBool = AtomicBool::new(false);

/// Switches this core to the tables, and every core started from now on.
fn use_tables(mapping: &Mapping<IdTranslation<El1Attributes>, El1And0>, asid: usize) {
    assert!(!FINAL.load(Ordering::Relaxed), "other tables are the last");
    // SAFETY: the tables map the image as it is linked, the boot stacks in it and the
    // devices in use; both callers have leaked them, so they are never freed.
    unsafe { mapping.activate() };
    arch::flush_local_tlb();
    arch::forbid_writable_code(boot::SCTLR_WXN);
    boot::set_tables(mapping.root_address().0 as u64 | (asid as u64) << 48);
    IN_USE.store(asid, Ordering::Relaxed);
}

/// Memory that these tables map is about to be used for good.
fn pin(asid: usize) {
    assert!(
        IN_USE.load(Ordering::Relaxed) == asid,
        "its tables are in use"
    );
    FINAL.store(true, Ordering::Relaxed);
}

/// Pages that the arena has handed out, once, with the tables that map them.
pub struct Pages {
    start: usize,
    size: usize,
    asid: usize,
}

impl Pages {
    /// Their address.
    pub const fn start(&self) -> usize {
        self.start
    }

    /// One past their last byte: the top, if they are a stack.
    pub const fn end(&self) -> usize {
        self.start + self.size
    }

    /// Takes them into use as words, which are 0; their tables must be in use.
    pub fn words(self) -> &'static [AtomicU64] {
        pin(self.asid);
        let words = self.size / size_of::<AtomicU64>();
        // SAFETY: whole pages, which the arena handed out once, out of memory in
        // which nothing else is; the tables in use map them as data, and stay.
        let words = unsafe { slice::from_raw_parts(self.start as *const AtomicU64, words) };
        words
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
        words
    }
}

/// Memory that no cache may hold, mapped so once.
pub struct Uncached(Pages);

impl Uncached {
    /// Takes it into use, with what is in it; its tables must be in use.
    pub fn bytes(self) -> &'static mut [u8] {
        let Self(Pages { start, size, asid }) = self;
        pin(asid);
        // SAFETY: the tables in use map it for reading and writing, and stay; it is
        // not the image's, and `Arena::take` was told that it is taken. Any bytes
        // are bytes.
        unsafe { slice::from_raw_parts_mut(start as *mut u8, size) }
    }
}

/// Hands out the arena from its start; the page in front of a stack stays unmapped.
pub struct Arena {
    next: usize,
    end: usize,
}

impl Arena {
    /// Takes an arena of `size` bytes out of the platform's free memory.
    ///
    /// # Errors
    /// One line with what was needed and what there is.
    pub fn take(platform: &Platform, size: usize, taken: &[Region]) -> Result<Self, String> {
        let needed = (size as u64).next_multiple_of(PAGE_SIZE as u64);
        let found = platform.find_free(needed, PAGE_SIZE as u64, taken).ok_or_else(|| {
            format!(
                "memory too small: {} KiB in one piece are needed beside the image, the machine has {} MiB",
                needed / 1024,
                platform.memory_mib()
            )
        })?;
        let start = usize::try_from(found.base).map_err(|e| format!("{e}"))?;
        Ok(Self {
            next: start,
            end: start + size,
        })
    }

    /// One past what was handed out so far: an unmapped page, if the next is
    /// asked for with a guard.
    pub const fn end_of_used(&self) -> usize {
        self.next
    }

    /// The next `size` bytes (whole pages), mapped once the tables are in use; with
    /// `guard`, an unmapped page lies in front.
    ///
    /// # Errors
    /// If the arena was made too small, or the mapping crate's.
    pub fn pages(
        &mut self,
        tables: &mut Tables,
        size: usize,
        guard: bool,
    ) -> Result<Pages, String> {
        let size = size.next_multiple_of(PAGE_SIZE);
        let start = self.next + if guard { PAGE_SIZE } else { 0 };
        if start + size > self.end {
            return Err("the arena was laid out too small".into());
        }
        self.next = start + size;
        tables.map_data(start, size)?;
        let asid = tables.asid;
        Ok(Pages { start, size, asid })
    }
}

/// The bytes of a device tree that firmware left at `address`, if that is one:
/// they stay mapped until the image's own tables are active.
///
/// # Safety
/// `address` must be 0, or what the entry code found to be a device tree and
/// mapped.
pub unsafe fn device_tree(address: usize) -> Option<&'static [u8]> {
    let start = NonNull::new(address as *mut u8)?;
    // SAFETY: the entry code has read the header there.
    let size = unsafe { start.cast::<[u8; 8]>().read() };
    let size = u32::from_be_bytes([size[4], size[5], size[6], size[7]]);
    // SAFETY: the entry code has mapped that many bytes, and nothing writes to
    // them while the image still reads them.
    Some(unsafe { core::slice::from_raw_parts(start.as_ptr(), size as usize) })
}
