//! UEFI's memory map in the form that the model sorts out.
#![expect(unsafe_code, reason = "ends boot services")]

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use stalecore_model::{
    efi::{self, Descriptor, Memory},
    platform::Region,
};
use uefi::{
    boot::{self, MemoryType},
    mem::memory_map::{MemoryMap, MemoryMapOwned},
};

/// Is there no console any more?
static LEFT: AtomicBool = AtomicBool::new(false);

/// Have boot services ended, or are they about to?
pub fn left() -> bool {
    LEFT.load(Ordering::Relaxed)
}

/// The memory map at this moment.
///
/// # Errors
/// Firmware does not give it.
pub fn map() -> Result<Vec<Descriptor>, String> {
    let map = boot::memory_map(MemoryType::LOADER_DATA)
        .map_err(|e| format!("firmware gives no memory map: {e}"))?;
    Ok(descriptors(&map))
}

/// Ends boot services and returns the map that is valid from then on. Nothing
/// of the firmware but its runtime services may be called afterwards.
pub fn leave(tables: &[Region]) -> Memory {
    LEFT.store(true, Ordering::Relaxed);
    // SAFETY: the caller goes straight on to the image; no protocol, event or
    // pool allocation of ours is used or dropped after this: the heap is our
    // own pages, and files have been closed.
    let map = unsafe { boot::exit_boot_services(None) };
    let memory = efi::memory(descriptors(&map).into_iter(), tables);
    // Its memory came from boot services, which can no longer take it back.
    core::mem::forget(map);
    memory
}

fn descriptors(map: &MemoryMapOwned) -> Vec<Descriptor> {
    map.entries()
        .map(|d| Descriptor {
            kind: d.ty.0,
            base: d.phys_start,
            pages: d.page_count,
            attributes: d.att.bits(),
        })
        .collect()
}
