//! What is loaded: the image, the tree that it gets, and the first instructions, which
//! give it that tree, each with its place.

use alloc::{format, string::String, vec::Vec};

use dtoolkit::{
    fdt::Fdt,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};

use crate::{
    handover::{
        MAX_TREE,
        image::{self, ALIGN, ImageHeader},
        set_memory,
    },
    kexec::NEXT,
    property::number,
    region::Region,
};

/// The largest page that Linux has: pieces begin and end with one.
const PAGE: u64 = 64 << 10;
/// What lies before the next kernel: its first instructions, a page, and its tree.
const BEFORE: u64 = 2 * ALIGN;

/// Bytes and where they go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The bytes; what is behind them is zeros.
    pub bytes: Vec<u8>,
    /// Where, in whole pages.
    pub region: Region,
}

/// The kernel that the image is to start when its run has ended.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    /// A flat arm64 image.
    pub kernel: &'a [u8],
    /// Its initial ramdisk; empty for none.
    pub initrd: &'a [u8],
}

/// What `kexec_load` is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// The image, the tree, the first instructions; and the next kernel's, if there is one.
    pub pieces: Vec<Piece>,
    /// Where those begin.
    pub entry: u64,
    /// The image's command line, as the tree has it.
    pub bootargs: String,
    /// All that may be written; empty for all.
    pub usable: Vec<Region>,
    /// Where the next kernel goes, if there is one.
    pub next: Option<Region>,
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
            next: None,
        })
    }

    /// Where the next kernel goes, the lowest place in `room` beside this. Everything of
    /// it lies in one range, which begins with its first instructions.
    pub(super) fn beside(room: &[Region], taken: &Region, need: u64) -> Option<Region> {
        let behind = |part: &Region| match part.overlaps(taken) {
            true => aligned(&Region {
                base: taken.end(),
                size: part.end().saturating_sub(taken.end()),
            }),
            false => aligned(part),
        };
        let found = room.iter().map(behind).find(|part| part.size >= need)?;
        Some(Region {
            base: found.base,
            size: need,
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

impl Next<'_> {
    /// How much memory it takes: first instructions and tree, kernel, ramdisk.
    ///
    /// # Errors
    /// One line: it is no kernel that can be started so.
    pub(super) fn size(&self) -> Result<u64, String> {
        let header = ImageHeader::read(self.kernel)?;
        image::whole(self.kernel)?;
        let initrd = (self.initrd.len() as u64).next_multiple_of(PAGE);
        Ok(BEFORE + self.owns(&header) + initrd)
    }

    fn owns(&self, header: &ImageHeader) -> u64 {
        (header.text_offset + header.image_size).next_multiple_of(PAGE)
    }

    /// Its pieces in a range of [`Self::size`] bytes at a multiple of 2 MiB; `data` is
    /// Linux's own tree, `cmdline` its arguments.
    ///
    /// # Errors
    /// One line.
    pub(super) fn pieces(
        &self,
        at: &Region,
        data: &[u8],
        cmdline: &str,
    ) -> Result<Vec<Piece>, String> {
        let header = ImageHeader::read(self.kernel)?;
        let kernel_at = at.base + BEFORE + header.text_offset;
        let initrd = Region {
            base: at.base + BEFORE + self.owns(&header),
            size: self.initrd.len() as u64,
        };
        let changes = Changes {
            bootargs: cmdline,
            initrd: (initrd.size > 0).then_some(initrd),
            ..Changes::default()
        };
        let tree_at = at.base + PAGE;
        let tree = tree(data, &changes)?;
        let length = tree.len() as u64;
        let first = first_instructions(tree_at, kernel_at);
        let parts = [
            (first, at.base, PAGE),
            (tree, tree_at, length),
            (self.kernel.to_vec(), kernel_at, header.image_size),
            (self.initrd.to_vec(), initrd.base, initrd.size),
        ];
        let pieces = parts.into_iter().filter(|(bytes, ..)| !bytes.is_empty());
        Ok(pieces
            .map(|(bytes, base, size)| Piece {
                bytes,
                region: Region {
                    base,
                    size: size.next_multiple_of(PAGE),
                },
            })
            .collect())
    }
}

/// What a tree is given in place of what Linux's own says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes<'a> {
    pub(super) bootargs: &'a str,
    /// Memory, if not the tree's.
    pub(super) memory: Option<&'a [Region]>,
    /// All that may be written; empty for all.
    pub(super) usable: &'a [Region],
    pub(super) initrd: Option<Region>,
    /// Where the next kernel is.
    pub(super) next: Option<Region>,
}

/// The tree for the image or the next kernel: Linux's own, with other arguments and
/// without what was that Linux's alone.
///
/// # Errors
/// One line.
pub(super) fn tree(data: &[u8], changes: &Changes<'_>) -> Result<Vec<u8>, String> {
    let Changes {
        bootargs,
        memory,
        usable,
        initrd,
        next,
    } = *changes;
    const LINUX: [&str; 6] = [
        "linux,initrd-start",
        "linux,initrd-end",
        "linux,elfcorehdr",
        "kaslr-seed",
        "rng-seed",
        NEXT,
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
    for (name, regions) in [
        ("linux,usable-memory-range", usable),
        (NEXT, next.as_slice()),
    ] {
        let mut ranges = Vec::new();
        for region in regions {
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
            chosen.add_property(DeviceTreeProperty::new_unchecked(name, ranges));
        }
    }
    if let Some(initrd) = initrd {
        let ends = [
            ("linux,initrd-start", initrd.base),
            ("linux,initrd-end", initrd.end()),
        ];
        for (name, value) in ends {
            chosen.add_property(DeviceTreeProperty::new_unchecked(name, value));
        }
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
