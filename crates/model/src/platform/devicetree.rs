//! Reads a flattened device tree into a [`Platform`].

mod nodes;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use dtoolkit::{Node, fdt::Fdt};

use super::{
    Cpu, Gic, GicV3, Platform, Region, Source, Start,
    chosen::{self, Chosen},
    cpu_map,
};
use crate::{cpuset::MAX_CPUS, kexec::Kexec, property::text, ramoops};
use nodes::Found;

/// A device tree, whole in itself.
pub struct Tree<'a>(Fdt<'a>);

impl<'a> Tree<'a> {
    /// Looks through it once.
    ///
    /// # Errors
    /// One line: this is not a device tree.
    pub fn new(data: &'a [u8]) -> Result<Self, String> {
        let tree = Fdt::new(data).map_err(|e| format!("device tree: {e}"))?;
        Ok(Self(tree))
    }

    /// Only the boot arguments, of a tree that may lack something: they can name the console
    /// for the error.
    pub fn bootargs(&self) -> String {
        let chosen = self.0.root().child("chosen");
        chosen.map_or_else(String::new, |chosen| chosen::bootargs(&chosen))
    }

    /// The machine that it describes.
    ///
    /// # Errors
    /// One line: the tree lacks something that the harness needs.
    pub fn platform(&self) -> Result<Platform, String> {
        platform(self.0)
    }
}

/// Reads a device tree.
///
/// # Errors
/// As [`Tree::new`] and [`Tree::platform`].
pub fn read(data: &[u8]) -> Result<Platform, String> {
    Tree::new(data)?.platform()
}

fn platform(fdt: Fdt<'_>) -> Result<Platform, String> {
    let root = fdt.root();
    let mut found = Found::of(root);
    if let Some(map) = root.child("cpus").and_then(|cpus| cpus.child("cpu-map")) {
        let places = cpu_map::places(map);
        for (cpu, phandle) in found.cpus.iter_mut().zip(&found.phandles) {
            cpu.place = phandle.and_then(|phandle| places.get(phandle).copied());
        }
    }

    let chosen = Chosen::read(&root)?;
    found.notes.extend(chosen.note.clone());
    let console = chosen.console.as_ref();
    let uart = console
        .and_then(|path| found.uarts.iter().find(|(p, _)| p == path))
        .or(found.uarts.first())
        .map(|(_, uart)| *uart);

    let mut reserved: Vec<Region> = fdt
        .memory_reservations()
        .map(|r| Region {
            base: r.address(),
            size: r.size(),
        })
        .collect();
    reserved.extend(&found.reserved);
    // What Linux keeps there over a reset is not written over, wherever the image's log goes.
    reserved.extend(ramoops::kept(&chosen.bootargs));
    // A Linux that UEFI booted says where UEFI's tables are: memory comes from them, and,
    // if no core is described here, everything does.
    let uefi = chosen.kexec.as_ref().is_some_and(|k| k.uefi.is_some());
    let mut memory = found.memory;
    if let Some(kexec) = &chosen.kexec {
        reserved.extend(kexec.elfcorehdr);
        reserved.extend(kexec.next);
        if !uefi {
            memory = kexec.usable_of(&memory)?;
        }
        leave_held(&mut found.cpus, kexec, &mut found.notes);
    }
    let acpi = chosen.rsdp.is_some() || (uefi && found.cpus.is_empty());
    if !acpi {
        if found.cpus.is_empty() {
            return Err("device tree: no usable node below /cpus".to_string());
        }
        if found.cpus.len() > MAX_CPUS {
            return Err(format!(
                "device tree: {} CPUs; allowed: 1 to {MAX_CPUS}",
                found.cpus.len()
            ));
        }
    }
    if memory.is_empty() && !uefi {
        return Err("device tree: no memory node".to_string());
    }
    // With ACPI behind it the tree only hands over memory and arguments.
    let gic = match (found.gic, acpi) {
        (Some(gic), _) => gic,
        (None, true) => Gic::V3(GicV3 {
            gicd: Region { base: 0, size: 0 },
            gicr: Vec::new(),
            stride: None,
            by_socket: false,
        }),
        (None, false) => return Err("device tree: no GICv2 or GICv3 node".to_string()),
    };
    Ok(Platform {
        source: Source::DeviceTree,
        model: text(&root, "model")
            .or_else(|| {
                root.compatible()
                    .and_then(|mut c| c.next().map(ToString::to_string))
            })
            .unwrap_or_else(|| "unnamed".to_string()),
        cpus: found.cpus,
        gic,
        psci: found.psci,
        psci_functions: found.psci_functions,
        suspend: found.suspend,
        sdei: found.sdei,
        uart,
        memory,
        reserved,
        ramoops: found.ramoops,
        framebuffer: found.framebuffer,
        watchdog: found.watchdog,
        witnesses: found.witnesses,
        bootargs: chosen.bootargs,
        rsdp: chosen.rsdp,
        recorder: chosen.recorder,
        kexec: chosen.kexec,
        notes: found.notes,
    })
}

/// Removes the cores that firmware holds at a word in memory that must not be written.
fn leave_held(cpus: &mut Vec<Cpu>, kexec: &Kexec, notes: &mut Vec<String>) {
    cpus.retain(|cpu| match cpu.start {
        Start::SpinTable(base) if !kexec.may_use(&Region { base, size: 8 }) => {
            notes.push(format!(
                "the core of MPIDR {:#x} is held by a word at {base:#x}, outside the usable memory, so it is not used",
                cpu.mpidr
            ));
            false
        }
        _ => true,
    });
}

#[cfg(test)]
#[path = "devicetree_tests.rs"]
mod tests;
