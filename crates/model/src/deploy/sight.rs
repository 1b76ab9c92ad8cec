//! The machine in words, for who is about to hand it over.

use alloc::{format, string::String, vec::Vec};

use super::{Facts, iomem::Iomem, logs};
use crate::{platform::Platform, ramoops::Ramoops, words};

/// What Linux says.
pub(super) fn machine(facts: &Facts, iomem: &Iomem) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(format!(
        "Linux {}, {}{}",
        facts.release,
        words::count(facts.cpus, "CPU", "CPUs"),
        match facts.offline {
            0 => String::new(),
            n => format!(", {n} offline"),
        }
    ));
    if facts.vmcore {
        lines.push("this is the kernel after a crash: /proc/vmcore is there".into());
    }
    let reserved = iomem.named("Crash kernel");
    lines.push(match (reserved.as_slice(), facts.crash_size) {
        ([], 0) => "crash kernel: no memory is reserved".into(),
        ([], size) => format!("crash kernel: {} MiB reserved", size >> 20),
        (some, _) => {
            let parts: Vec<_> = some
                .iter()
                .map(|part| format!("{} MiB at {:#x}", part.size >> 20, part.base))
                .collect();
            let loaded = if facts.crash_loaded {
                ""
            } else {
                ", none loaded"
            };
            format!("crash kernel: {} reserved{loaded}", parts.join(" and "))
        }
    });
    lines.push(format!(
        "Secure Boot {}, lockdown {}",
        if facts.secure_boot { "on" } else { "off" },
        match facts.lockdown.trim() {
            "" => "not there",
            modes => modes
                .split_whitespace()
                .find(|mode| mode.starts_with('['))
                .unwrap_or(modes),
        }
    ));
    lines
}

/// What the image will find.
pub(super) fn described(
    platform: &Platform,
    ramoops: Option<Ramoops>,
    facts: &Facts,
) -> Vec<String> {
    let mut lines = Vec::new();
    let conduit = match platform.psci {
        Some(conduit) => format!("PSCI by {}", conduit.name()),
        None => "no PSCI".into(),
    };
    lines.push(format!(
        "the image will find, by {}: {}, {conduit}",
        platform.source.name(),
        words::count(platform.cpus.len(), "core", "cores")
    ));
    lines.push(match &platform.uart {
        Some(uart) => format!(
            "console: {} at {:#x}",
            uart.kind.name(),
            uart.registers.base
        ),
        None => "console: none that the image can drive".into(),
    });
    match (ramoops, logs::other(facts)) {
        (Some(Ramoops { region, .. }), _) => lines.push(format!(
            "ramoops: {} KiB at {:#x}",
            region.size >> 10,
            region.base
        )),
        (None, Some(name)) => lines.push(format!(
            "ramoops: none; Linux keeps its logs by {name}, to which the image cannot write"
        )),
        (None, None) => {}
    }
    lines.extend(platform.notes.iter().cloned());
    lines
}
