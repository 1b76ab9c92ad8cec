//! What the UEFI loader hands to the image: a device tree, the one format of
//! description that the image is entered with.
//!
//! Where firmware has a device tree it is passed on with `/chosen` and the
//! memory nodes brought up to date. Where it has ACPI, a small tree says where
//! the tables are (`/chosen/stalecore,acpi-rsdp`); CPUs, interrupt controller,
//! console and PSCI then come from them. Either way memory comes from UEFI's
//! memory map, as only that says what firmware still uses.

pub mod begun;
pub mod image;
pub mod smbios;
pub mod words;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use dtoolkit::{
    Node, Property,
    fdt::Fdt,
    memreserve::MemoryReservation,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};

use crate::{framebuffer::Framebuffer, region::Region};

/// The longest device tree that the arm64 boot protocol allows, in bytes.
pub const MAX_TREE: usize = 2 << 20;

/// Who describes the machine.
#[derive(Clone, Copy, Debug)]
pub enum Described<'a> {
    /// ACPI tables.
    Acpi {
        /// Physical address of the RSDP.
        rsdp: u64,
        /// The machine's name.
        model: &'a str,
    },
    /// Firmware's device tree.
    DeviceTree(&'a [u8]),
}

/// Everything that is handed over.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    /// Who describes the machine.
    pub described: Described<'a>,
    /// For `/chosen/bootargs`.
    pub bootargs: &'a str,
    /// Firmware's name, for `/chosen/stalecore,uefi`.
    pub firmware: &'a str,
    /// Where the flight recorder is, if there is room for one.
    pub recorder: Option<u64>,
    /// The screen that firmware has set up, if there is one.
    pub framebuffer: Option<Framebuffer>,
    /// What the user should know, for the report.
    pub note: Option<&'a str>,
    /// Memory, including what is reserved.
    pub memory: &'a [Region],
    /// Memory that may be read but never written: firmware's tables.
    pub reserved: &'a [Region],
}

impl Handover<'_> {
    /// Builds the device tree.
    ///
    /// # Errors
    /// One line: firmware's tree cannot be read, memory does not fit its
    /// address cells, or the result would be longer than [`MAX_TREE`].
    pub fn build(&self) -> Result<Vec<u8>, String> {
        let mut tree = match self.described {
            Described::Acpi { model, .. } => small_tree(model),
            Described::DeviceTree(data) => {
                let fdt = Fdt::new(data).map_err(|e| format!("firmware's device tree: {e}"))?;
                DeviceTree::from_fdt(&fdt)
            }
        };
        set_memory(&mut tree.root, self.memory)?;
        if let Some(framebuffer) = &self.framebuffer {
            set_framebuffer(&mut tree.root, framebuffer);
        }
        tree.memory_reservations.extend(
            self.reserved
                .iter()
                .map(|r| MemoryReservation::new(r.base, r.size)),
        );

        let mut chosen = tree
            .root
            .remove_child("chosen")
            .unwrap_or_else(|| DeviceTreeNode::new_unchecked("chosen"));
        set(&mut chosen, "bootargs", self.bootargs);
        set(&mut chosen, "stalecore,uefi", self.firmware);
        // Only the loader may claim this, whatever tree firmware has.
        chosen.remove_property("stalecore,acpi-rsdp");
        if let Described::Acpi { rsdp, .. } = self.described {
            set(&mut chosen, "stalecore,acpi-rsdp", rsdp);
        }
        chosen.remove_property("stalecore,recorder");
        if let Some(base) = self.recorder {
            set(&mut chosen, "stalecore,recorder", base);
        }
        chosen.remove_property("stalecore,note");
        if let Some(note) = self.note {
            set(&mut chosen, "stalecore,note", note);
        }
        tree.root.add_child(chosen);

        let data = tree.to_dtb();
        if data.len() > MAX_TREE {
            return Err(format!(
                "the device tree for the image has {} bytes; allowed: {MAX_TREE}",
                data.len()
            ));
        }
        Ok(data)
    }
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl dtoolkit::ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn small_tree(model: &str) -> DeviceTree {
    let mut tree = DeviceTree::new();
    set(&mut tree.root, "#address-cells", 2_u32);
    set(&mut tree.root, "#size-cells", 2_u32);
    set(&mut tree.root, "compatible", "stalecore,acpi");
    set(&mut tree.root, "model", model);
    tree
}

/// Adds the screen that UEFI drives, in the place of those that a boot loader before it may
/// have left where the binding wants them; none if the tree's addresses are too short.
fn set_framebuffer(root: &mut DeviceTreeNode, framebuffer: &Framebuffer) {
    let is_one = |node: &DeviceTreeNode| {
        let compatible = node.property("compatible").map(|p| p.value().to_vec());
        let names = compatible.unwrap_or_default();
        names.split(|byte| *byte == 0).any(|name| name == SIMPLE)
    };
    if let Some(chosen) = root.child_mut("chosen") {
        drop_children(chosen, is_one);
    }
    drop_children(root, is_one);
    let mut node = DeviceTreeNode::new_unchecked(format!("framebuffer@{:x}", framebuffer.base));
    let [address, size] = cells(root);
    let mut reg = Vec::new();
    let memory = Region {
        base: framebuffer.base,
        size: framebuffer.size(),
    };
    if push(&mut reg, memory, address, size).is_err() {
        return;
    }
    set(&mut node, "compatible", "simple-framebuffer");
    set(&mut node, "reg", reg);
    set(&mut node, "width", framebuffer.width);
    set(&mut node, "height", framebuffer.height);
    set(&mut node, "stride", framebuffer.stride);
    set(&mut node, "format", framebuffer.format.name);
    root.add_child(node);
}

/// What a screen that firmware has set up is compatible with.
const SIMPLE: &[u8] = b"simple-framebuffer";

/// Removes the children that are so.
fn drop_children(node: &mut DeviceTreeNode, is_so: impl Fn(&DeviceTreeNode) -> bool) {
    let names: Vec<String> = node
        .children()
        .filter(|child| is_so(child))
        .map(|child| child.name().to_string())
        .collect();
    for name in names {
        node.remove_child(&name);
    }
}

/// How many cells an address has in the children's `reg`, and how many a size.
fn cells(node: &DeviceTreeNode) -> [u32; 2] {
    // The defaults are the specification's.
    [("#address-cells", 2), ("#size-cells", 1)].map(|(name, usual)| {
        let cells = node.property(name).and_then(|p| p.value_as::<u32>().ok());
        cells.unwrap_or(usual)
    })
}

/// Replaces the memory nodes there are by one with all ranges.
pub(crate) fn set_memory(root: &mut DeviceTreeNode, memory: &[Region]) -> Result<(), String> {
    let is_memory = |p: &DeviceTreeProperty| p.value() == b"memory\0";
    drop_children(root, |child| {
        child.property("device_type").is_some_and(is_memory)
    });
    let [address, size] = cells(root);
    let mut reg = Vec::new();
    for region in memory {
        push(&mut reg, *region, address, size)?;
    }
    let first = memory.first().map_or(0, |r| r.base);
    let mut node = DeviceTreeNode::new_unchecked(format!("memory@{first:x}"));
    set(&mut node, "device_type", "memory");
    set(&mut node, "reg", reg);
    root.add_child(node);
    Ok(())
}

/// The longest piece of a region that one size cell holds, in whole pages.
const ONE_CELL: u64 = 0xffff_f000;

/// Appends a region in the form of `reg`; with one size cell, in several pieces.
fn push(reg: &mut Vec<u8>, region: Region, address: u32, size: u32) -> Result<(), String> {
    let longest = match size {
        1 => ONE_CELL,
        _ => u64::MAX,
    };
    let (mut base, mut left) = (region.base, region.size);
    while left > 0 {
        let piece = left.min(longest);
        for (value, cells) in [(base, address), (piece, size)] {
            match (cells, u32::try_from(value)) {
                (1, Ok(value)) => reg.extend(value.to_be_bytes()),
                (2, _) => reg.extend(value.to_be_bytes()),
                _ => {
                    return Err(format!(
                        "memory at {base:#x} does not fit {cells} cells of firmware's device tree"
                    ));
                }
            }
        }
        base += piece;
        left -= piece;
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
