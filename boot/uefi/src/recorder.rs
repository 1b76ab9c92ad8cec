//! The flight recorder: found where an earlier boot has left it, or given a
//! place; what it holds goes into a file beside the loader.
#![expect(unsafe_code, reason = "reads memory that an earlier boot has left")]

use alloc::{format, string::String};
use core::{ptr::NonNull, slice};

use stalecore_model::{
    efi, ramoops,
    recorder::{self, Kind, Log, Recorder, SIZE},
};
use uefi::{
    CString16, Status,
    boot::{self, AllocateType, MemoryType, PAGE_SIZE},
    println,
    proto::media::file::{Directory, File, FileAttribute, FileMode, RegularFile},
};

use crate::memory;

/// After this many files somebody must take some away.
const MOST_FILES: u32 = 999;

/// The recorder that the image is given.
pub struct Found {
    /// Its address.
    pub base: u64,
    /// Does it hold a plan that has not ended?
    pub unfinished: bool,
}

/// Finds the recorder, or a place for one if there is memory that these boot arguments leave
/// free, and writes what it holds to a file.
///
/// # Errors
/// Firmware gives no memory map.
pub fn find(bootargs: &str) -> Result<Option<Found>, String> {
    let free = efi::free(memory::map()?.into_iter());
    let places = recorder::candidates(&free, ramoops::kept(bootargs));
    let left = places.iter().find(|at| {
        // SAFETY: free memory, of which firmware maps every byte to itself;
        // nobody writes there.
        let bytes = unsafe { slice::from_raw_parts(**at as *const u8, SIZE) };
        !matches!(Log::read(bytes), Ok(None))
    });
    // What is there stays there: pages that are given are not cleared.
    let Some(base) = left.into_iter().chain(&places).find_map(|at| take(*at)) else {
        println!("  recorder  none: no memory for it, a reset loses the run");
        return Ok(None);
    };
    // SAFETY: firmware has just given these pages to nobody else.
    let bytes = unsafe { slice::from_raw_parts_mut(base.as_ptr(), SIZE) };
    println!("  recorder  at {:#x}", base.as_ptr() as u64);
    let mut unfinished = false;
    match Recorder::resume(bytes, || ()) {
        Ok(None) => {}
        Ok(Some(mut found)) if found.log().is_worth_saving() => {
            unfinished = !found.log().ended();
            match save(&found.log().to_text()) {
                Ok(Some(name)) => {
                    found.append(Kind::Saved, "");
                    println!("            what an earlier boot has left is in {name}");
                }
                Ok(None) => println!("            no volume to write what it holds to"),
                Err(why) => println!("            what it holds cannot be written: {why}"),
            }
        }
        Ok(Some(found)) => {
            unfinished = !found.log().ended();
            println!("            nothing new in it");
        }
        Err(why) => println!("            {why}"),
    }
    Ok(Some(Found {
        base: base.as_ptr() as u64,
        unfinished,
    }))
}

/// Takes the pages at an address, if they can be had.
fn take(at: u64) -> Option<NonNull<u8>> {
    boot::allocate_pages(
        AllocateType::Address(at),
        MemoryType::LOADER_DATA,
        SIZE / PAGE_SIZE,
    )
    .ok()
}

/// Writes the first of `stalecore-1.log`, … that is not there yet, in the root
/// of the loader's volume; `None` where it has no volume.
fn save(text: &str) -> Result<Option<String>, String> {
    let Ok(mut volume) = boot::get_image_file_system(boot::image_handle()) else {
        return Ok(None);
    };
    let mut root = volume.open_volume().map_err(|e| format!("{e}"))?;
    for number in 1..=MOST_FILES {
        let name = format!("stalecore-{number}.log");
        let Some(mut file) = create(&mut root, &name)? else {
            continue;
        };
        file.write(text.as_bytes())
            .map_err(|e| format!("{name}: {:?}", e.status()))?;
        file.flush().map_err(|e| format!("{name}: {e}"))?;
        return Ok(Some(name));
    }
    Err(format!(
        "there are {MOST_FILES} files of earlier boots; take some away"
    ))
}

/// Creates a file; `None` if there is one of that name.
fn create(root: &mut Directory, name: &str) -> Result<Option<RegularFile>, String> {
    let wrong = |e: &dyn core::fmt::Display| format!("{name}: {e}");
    let path = CString16::try_from(name).map_err(|e| wrong(&e))?;
    match root.open(&path, FileMode::Read, FileAttribute::empty()) {
        Ok(_) => return Ok(None),
        Err(e) if e.status() == Status::NOT_FOUND => {}
        Err(e) => return Err(wrong(&e)),
    }
    root.open(&path, FileMode::CreateReadWrite, FileAttribute::empty())
        .map_err(|e| wrong(&e))?
        .into_regular_file()
        .map(Some)
        .ok_or_else(|| wrong(&"is no file"))
}
