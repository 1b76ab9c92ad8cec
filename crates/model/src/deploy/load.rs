//! What is loaded: the image, the tree that it gets, and the first instructions, which
//! give it that tree, each with its place.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use dtoolkit::{
    fdt::Fdt,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};

use crate::{
    handover::{
        MAX_TREE,
        image::{ALIGN, ImageHeader},
        set_memory,
    },
    property::number,
    region::Region,
};

/// The largest page that Linux has: pieces begin and end with one.
const PAGE: u64 = 64 << 10;

/// Bytes and where they go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The bytes; what is behind them is zeros.
    pub bytes: Vec<u8>,
    /// Where, in whole pages.
    pub region: Region,
}

/// What `kexec_load` is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// The image, the tree, the first instructions.
    pub pieces: Vec<Piece>,
    /// Where those begin.
    pub entry: u64,
    /// The image's command line, as the tree has it.
    pub bootargs: String,
    /// All that may be written; empty for all.
    pub usable: Vec<Region>,
}

/// The part of a region that begins where an image may.
pub(super) fn aligned(region: &Region) -> Region {
    let base = region.base.next_multiple_of(ALIGN).min(region.end());
    Region {
        base,
        size: region.end() - base,
    }
}

impl Load {
    /// Finds a place in `room`, the lowest.
    pub(super) fn place(
        image: &[u8],
        header: &ImageHeader,
        tree: Vec<u8>,
        room: &[Region],
    ) -> Option<Self> {
        let owns = (header.text_offset + header.image_size).next_multiple_of(ALIGN);
        let behind = (tree.len() as u64).next_multiple_of(PAGE);
        let fits = |region: &Region| region.size >= owns + behind + PAGE;
        let base = room.iter().map(aligned).find(fits)?.base;
        let image_at = base + header.text_offset;
        let tree_at = base + owns;
        let entry = tree_at + behind;
        let piece = |bytes: Vec<u8>, base: u64, size: u64| Piece {
            bytes,
            region: Region { base, size },
        };
        Some(Self {
            pieces: [
                piece(
                    image.to_vec(),
                    image_at,
                    header.image_size.next_multiple_of(PAGE),
                ),
                piece(tree, tree_at, behind),
                piece(first_instructions(tree_at, image_at), entry, PAGE),
            ]
            .into(),
            entry,
            bootargs: String::new(),
            usable: Vec::new(),
        })
    }

    /// Where the image goes.
    pub fn image(&self) -> &Region {
        &self.pieces[0].region
    }
}

/// The arm64 boot protocol: x0 is the tree, x1 to x3 are 0. Linux gives none of them to
/// what `kexec_load` has loaded.
fn first_instructions(tree: u64, image: u64) -> Vec<u8> {
    const CODE: [u32; 6] = [
        0x5800_00c0, // ldr x0, +24
        0x5800_00e4, // ldr x4, +28
        0xaa1f_03e1, // mov x1, xzr
        0xaa1f_03e2, // mov x2, xzr
        0xaa1f_03e3, // mov x3, xzr
        0xd61f_0080, // br x4
    ];
    let words = CODE.iter().flat_map(|word| word.to_le_bytes());
    words
        .chain(tree.to_le_bytes())
        .chain(image.to_le_bytes())
        .collect()
}

/// The tree for the image: Linux's own, with other arguments and without what was Linux's
/// alone. `memory` replaces the tree's, `usable` is all that may be written; empty for all.
///
/// # Errors
/// One line.
pub(super) fn tree(
    data: &[u8],
    bootargs: &str,
    memory: Option<&[Region]>,
    usable: &[Region],
) -> Result<Vec<u8>, String> {
    const LINUX: [&str; 5] = [
        "linux,initrd-start",
        "linux,initrd-end",
        "linux,elfcorehdr",
        "kaslr-seed",
        "rng-seed",
    ];
    let fdt = Fdt::new(data).map_err(|e| format!("/sys/firmware/fdt: {e}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    if let Some(memory) = memory {
        set_memory(&mut tree.root, memory)?;
    }
    let root = fdt.root();
    // The defaults are the specification's.
    let cells = [("#address-cells", 2), ("#size-cells", 1)]
        .map(|(name, default)| number(&root, name).unwrap_or(default) as usize);
    let mut chosen = tree
        .root
        .remove_child("chosen")
        .unwrap_or_else(|| DeviceTreeNode::new_unchecked("chosen"));
    for name in LINUX {
        chosen.remove_property(name);
    }
    chosen.add_property(DeviceTreeProperty::new_unchecked("bootargs", bootargs));
    // As Linux does where it builds the tree itself.
    chosen.add_property(DeviceTreeProperty::new_unchecked(
        "linux,booted-from-kexec",
        Vec::<u8>::new(),
    ));
    let mut ranges = Vec::new();
    for region in usable {
        for (value, count) in [region.base, region.size].into_iter().zip(cells) {
            let bytes = value.to_be_bytes();
            let from = bytes.len() - 4 * count.clamp(1, 2);
            if bytes[..from].iter().any(|byte| *byte != 0) {
                return Err(format!(
                    "/sys/firmware/fdt: {value:#x} does not fit into its cells"
                ));
            }
            ranges.extend_from_slice(&bytes[from..]);
        }
    }
    if !ranges.is_empty() {
        let name = "linux,usable-memory-range".to_string();
        chosen.add_property(DeviceTreeProperty::new_unchecked(name, ranges));
    }
    tree.root.add_child(chosen);
    let data = tree.to_dtb();
    match data.len() <= MAX_TREE {
        true => Ok(data),
        false => Err(format!(
            "the tree has {} bytes; allowed: {MAX_TREE}",
            data.len()
        )),
    }
}
