//! The UEFI loader: finds out how firmware describes the machine and what is
//! asked for, shows both, and enters the image.
//!
//! Boot services end as late as possible: everything that can fail is tried
//! before, while there is a screen to say so.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod begun;
mod enter;
mod firmware;
mod heap;
mod memory;
mod options;
mod place;
mod recorder;
mod screen;
mod show;

use alloc::{string::String, vec::Vec};
use core::{convert::Infallible, time::Duration};

use stalecore_model::{efi, handover::Handover, platform::Region, ramoops};
use uefi::{Status, boot, entry, println};

/// The flat image, inside the loader.
static IMAGE: &[u8] = include_bytes!(env!("STALECORE_IMG"));

/// How long an error stays on the screen before firmware goes on.
const READING_TIME: Duration = Duration::from_secs(10);

#[entry]
fn main() -> Status {
    if let Err(status) = heap::init() {
        println!("stalecore: no memory for the loader: {status}");
        return status;
    }
    println!("stalecore {}, UEFI loader", env!("CARGO_PKG_VERSION"));
    let Err(e) = load();
    println!("stalecore: {e}");
    println!("back to the firmware in {} s", READING_TIME.as_secs());
    boot::stall(READING_TIME);
    Status::LOAD_ERROR
}

fn load() -> Result<Infallible, String> {
    let firmware = firmware::find()?;
    let options = options::find()?;
    show::start(&firmware, &options);

    let described = firmware.described(options.words.prefer)?;
    let tables = firmware.tables(&described)?;
    if let Some(kept) = ramoops::kept(&options.words.bootargs) {
        place::keep_off(kept);
    }
    // Before anything else takes memory: what was there must still be there.
    let recorder = recorder::find(&options.words.bootargs)?;
    let unfinished = recorder.as_ref().is_some_and(|found| found.unfinished);
    let settled = begun::settle(&options.words.bootargs, unfinished);
    let place = place::Place::find(IMAGE)?;
    let screen = screen::find()?;
    // Of the screen's memory the image has to know that it is memory, and no one else's.
    let reserved = |memory: &efi::Memory| -> Vec<Region> {
        let screen = screen.iter().filter_map(|screen| screen.memory);
        memory.reserved.iter().copied().chain(screen).collect()
    };
    let hand_over = |memory: &efi::Memory| {
        Handover {
            described,
            bootargs: &settled.bootargs,
            firmware: &firmware.name,
            recorder: recorder.as_ref().map(|found| found.base),
            framebuffer: screen.as_ref().map(|screen| screen.framebuffer),
            note: settled.note.as_deref(),
            memory: &memory.memory,
            reserved: &reserved(memory),
        }
        .build()
    };
    // Once for the screen; the map changes until boot services have ended.
    let memory = efi::memory(memory::map()?.into_iter(), &tables);
    let tree = hand_over(&memory)?;
    show::machine(&firmware.as_the_image_sees_it(&tree)?);
    show::place(&memory, &place, tree.len());
    println!("leaving UEFI: from here on the image speaks, on its own console");

    let memory = memory::leave(&tables);
    match hand_over(&memory) {
        Ok(tree) => place.enter(&tree),
        // It went well a moment ago, with almost the same map.
        Err(_) => firmware::reset(),
    }
}
