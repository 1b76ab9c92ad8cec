//! The loader's heap: a piece of memory of its own, so that it works before
//! and after boot services end.
#![expect(unsafe_code, reason = "gives the allocator its memory")]

use core::panic::PanicInfo;

use linked_list_allocator::LockedHeap;
use uefi::{
    Status, boot,
    boot::{AllocateType, MemoryType},
    println,
};

use crate::{READING_TIME, firmware, memory};

/// A device tree of 2 MiB takes several times that while it is changed.
const PAGES: usize = (32 << 20) / boot::PAGE_SIZE;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Takes the heap's memory from firmware. Nothing is allocated before.
pub fn init() -> Result<(), Status> {
    let memory = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, PAGES)
        .map_err(|e| e.status())?;
    let size = PAGES * boot::PAGE_SIZE;
    // SAFETY: firmware has just given these pages to nobody else, and they are
    // not given back. This is the only call.
    unsafe { HEAP.lock().init(memory.as_ptr(), size) };
    Ok(())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if !memory::left() {
        println!("stalecore: {info}");
        boot::stall(READING_TIME);
    }
    firmware::reset()
}
