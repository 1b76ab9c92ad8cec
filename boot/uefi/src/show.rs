//! What the loader found, in words, on firmware's console.

use alloc::{format, string::String};

use stalecore_model::{
    efi::Memory,
    platform::{Gic, Platform, Source},
};
use uefi::println;

use crate::{enter, firmware::Firmware, options::Options, place::Place};

/// Notes beyond these are for the image's report.
const MOST_NOTES: usize = 8;

/// Which firmware started the loader, and what was asked for.
pub fn start(firmware: &Firmware, options: &Options) {
    println!("  firmware  {}", firmware.name);
    println!("  level     EL{}", enter::exception_level());
    match options.words.bootargs.as_str() {
        "" => println!("  options   none ({}): the image's defaults", options.from),
        words => println!("  options   {words} ({})", options.from),
    }
    if !options.words.ignored.is_empty() {
        println!(
            "            not for us: {}",
            options.words.ignored.join(" ")
        );
    }
}

/// The machine as the image will see it.
pub fn machine(platform: &Platform) {
    let by = match platform.source {
        Source::Acpi => format!("ACPI, RSDP at {:#x}", platform.rsdp.unwrap_or_default()),
        Source::DeviceTree => "a device tree".into(),
    };
    println!("  machine   {}, described by {by}", platform.model);
    println!("  cores     {}", cores(platform));
    println!("  GIC       {}", gic(&platform.gic));
    println!("  PSCI      {}", platform.psci.map_or("none", |c| c.name()));
    match platform.uart {
        Some(uart) => println!(
            "  console   {} at {:#x}",
            uart.kind.name(),
            uart.registers.base
        ),
        None => println!("  console   none: the image will run in silence"),
    }
    if let Some(watchdog) = platform.watchdog {
        println!("  watchdog  SBSA at {:#x}", watchdog.control.base);
    }
    for note in platform.notes.iter().take(MOST_NOTES) {
        println!("  note      {note}");
    }
    if let Some(more) = platform
        .notes
        .len()
        .checked_sub(MOST_NOTES)
        .filter(|n| *n > 0)
    {
        println!("  note      and {more} more");
    }
}

fn cores(platform: &Platform) -> String {
    let highest = |number: fn(&stalecore_model::platform::Place) -> Option<u32>| {
        let places = platform.cpus.iter().filter_map(|c| c.place.as_ref());
        places.filter_map(number).max().map_or(0, |n| n + 1)
    };
    let count = platform.cpus.len();
    match (highest(|p| p.socket), highest(|p| p.cluster)) {
        (0, 0) => format!("{count}"),
        (sockets, clusters) => format!("{count} ({sockets} sockets, {clusters} clusters)"),
    }
}

fn gic(gic: &Gic) -> String {
    match gic {
        Gic::V2 { gicd, .. } => format!("v2, distributor at {:#x}", gicd.base),
        Gic::V3(v3) => format!(
            "v3, distributor at {:#x}, {} redistributor regions",
            v3.gicd.base,
            v3.regions()
        ),
    }
}

/// What the image gets.
pub fn place(memory: &Memory, place: &Place, tree: usize) {
    let total: u64 = memory.memory.iter().map(|r| r.size).sum();
    let top = memory.memory.last().map_or(0, |r| r.end());
    println!(
        "  memory    {} MiB in {} ranges below {top:#x}",
        total >> 20,
        memory.memory.len()
    );
    println!(
        "  image     at {:#x}, {} KiB; device tree of {tree} bytes",
        place.image.base,
        place.image.size >> 10
    );
}
