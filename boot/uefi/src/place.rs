//! Memory for the image and its device tree, and the copies there.
#![expect(unsafe_code, reason = "writes to the memory that firmware has given")]

use alloc::{format, string::String};
use core::ptr;

use stalecore_model::{
    handover::{
        MAX_TREE,
        image::{ALIGN, ImageHeader},
    },
    platform::Region,
};
use uefi::boot::{self, AllocateType, MemoryType};

use crate::enter;

/// Where the image and its device tree go.
pub struct Place {
    /// What the image owns.
    pub image: Region,
    /// Room for the device tree.
    tree: Region,
}

impl Place {
    /// Takes memory from firmware, wherever it has some, and copies `image`
    /// there.
    ///
    /// # Errors
    /// `image` is not an image, or there is no memory for it.
    pub fn find(image: &[u8]) -> Result<Self, String> {
        let header = ImageHeader::read(image)?;
        let owned = header
            .image_size
            .checked_add(header.text_offset)
            .ok_or("the image is too large")?;
        let room = aligned(owned)?;
        let place = Self {
            image: Region {
                base: room.base + header.text_offset,
                size: header.image_size,
            },
            tree: aligned(MAX_TREE as u64)?,
        };
        place_bytes(image, place.image);
        Ok(place)
    }

    /// Copies the device tree to its place and enters the image. Boot services
    /// have ended.
    pub fn enter(&self, tree: &[u8]) -> ! {
        place_bytes(tree, self.tree);
        enter::image(self.image, self.tree)
    }
}

/// Takes a region that is not to be used, if it is free, so that nothing is put there. (What
/// firmware itself uses there nobody can free.)
pub fn keep_off(region: Region) {
    let page = boot::PAGE_SIZE as u64;
    let first = region.base / page;
    if let Ok(pages) = usize::try_from(region.end().div_ceil(page) - first) {
        let at = AllocateType::Address(first * page);
        let _ = boot::allocate_pages(at, MemoryType::LOADER_DATA, pages);
    }
}

/// Takes `size` bytes at a multiple of [`ALIGN`].
fn aligned(size: u64) -> Result<Region, String> {
    let page = boot::PAGE_SIZE as u64;
    let with_slack = size.checked_add(ALIGN).ok_or("the image is too large")?;
    let pages = with_slack.div_ceil(page);
    let none = |e: &dyn core::fmt::Display| format!("no memory for {pages} pages: {e}");
    let count = usize::try_from(pages).map_err(|e| none(&e))?;
    let start = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count)
        .map_err(|e| none(&e))?;
    let base = (start.as_ptr() as u64).next_multiple_of(ALIGN);
    Ok(Region { base, size })
}

/// Copies bytes to the start of a region that [`aligned`] has given.
fn place_bytes(bytes: &[u8], to: Region) {
    assert!(bytes.len() as u64 <= to.size, "the room was made for it");
    let to = to.base as *mut u8;
    // SAFETY: firmware has given this memory, of at least that length, to
    // nobody else; it is mapped to itself and writable.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
}
