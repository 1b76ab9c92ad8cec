//! PPTT: which CPUs share a core, a cluster, a socket.

use alloc::vec::Vec;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{
    notes::Notes,
    subtable::{Length, Subtable, walk},
    table::{HEADER, Table},
};
use crate::{platform::Place, sorted::Sorted};

const PROCESSOR: u8 = 0;
/// No PPTT of [`super::MAX_TABLE`] bytes has more structures.
const MOST: usize = super::MAX_TABLE / 2;
/// The deepest tree that is believed: machine, socket, die, cluster, core,
/// thread and some more. It also ends a walk in circles.
const DEEPEST: usize = 16;

const PACKAGE: u32 = 1 << 0;
const UID_VALID: u32 = 1 << 1;
const THREAD: u32 = 1 << 2;
const LEAF: u32 = 1 << 3;

#[derive(FromBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawNode {
    kind: u8,
    length: u8,
    reserved: U16,
    flags: U32,
    parent: U32,
    uid: U32,
    resources: U32,
}

impl RawNode {
    fn is(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }
}

/// Where each CPU is, by its processor UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    places: Sorted<u32, Place>,
}

impl Topology {
    pub(super) fn read(table: &Table<'_>, notes: &mut Notes) -> Self {
        let nodes = nodes(table, notes);
        // The leaf flag came with revision 2.
        let with_leaf_flag = table.revision() >= 2;
        let is_parent = |offset| nodes.values().any(|node| node.parent.get() == offset);
        let mut topology = Self::default();
        let mut numbers = Numbers::default();
        for (offset, node) in nodes.iter() {
            let leaf = if with_leaf_flag {
                node.is(LEAF)
            } else {
                !is_parent(*offset)
            };
            if !leaf || !node.is(UID_VALID) {
                continue;
            }
            let place = numbers.place(*offset, &nodes, notes);
            if topology.places.insert(node.uid.get(), place).is_some() {
                notes.add("PPTT", *offset as usize, "a CPU's second place counts");
            }
        }
        topology
    }

    /// Where the CPU of that processor UID is.
    pub fn place(&self, uid: u32) -> Option<Place> {
        self.places.get(uid).copied()
    }

    /// How many CPUs have a place.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Has no CPU a place?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// The processor structures by their offset, which is how they name each other.
fn nodes(table: &Table<'_>, notes: &mut Notes) -> Sorted<u32, RawNode> {
    let mut nodes = Sorted::new();
    let each = |subtable: Subtable<'_>, notes: &mut Notes| {
        // Caches and IDs are of no interest: the cores report their own.
        if subtable.kind != PROCESSOR {
            return;
        }
        let node = subtable.read("PPTT", "processor", notes);
        if let (Some(node), Ok(offset)) = (node, u32::try_from(subtable.offset)) {
            nodes.insert(offset, node);
        }
    };
    walk(table, HEADER, MOST, Length::Byte, notes, each);
    nodes
}

/// Gives small numbers to the nodes that matter.
#[derive(Default)]
struct Numbers {
    sockets: Vec<u32>,
    clusters: Vec<u32>,
    cores: Vec<u32>,
}

impl Numbers {
    fn place(&mut self, leaf: u32, nodes: &Sorted<u32, RawNode>, notes: &mut Notes) -> Place {
        let (mut core, mut at) = (leaf, leaf);
        let (mut socket, mut cluster) = (None, None);
        for depth in 0..=DEEPEST {
            let Some(node) = nodes.get(at) else {
                notes.add(
                    "PPTT",
                    leaf as usize,
                    "a parent that is no processor structure",
                );
                break;
            };
            if depth == DEEPEST {
                notes.add("PPTT", leaf as usize, "a tree too deep, or a circle");
                break;
            }
            if at == leaf && node.is(THREAD) && node.parent.get() != 0 {
                core = node.parent.get();
            } else if node.is(PACKAGE) {
                socket = Some(at);
                break;
            } else if at != core && cluster.is_none() && node.parent.get() != 0 {
                cluster = Some(at);
            }
            if node.parent.get() == 0 {
                break;
            }
            at = node.parent.get();
        }
        Place {
            socket: socket.map(|s| number(&mut self.sockets, s)),
            cluster: cluster.map(|c| number(&mut self.clusters, c)),
            core: number(&mut self.cores, core),
        }
    }
}

fn number(numbers: &mut Vec<u32>, node: u32) -> u32 {
    let known = numbers.iter().position(|known| *known == node);
    let number = known.unwrap_or_else(|| {
        numbers.push(node);
        numbers.len() - 1
    });
    u32::try_from(number).unwrap_or(u32::MAX)
}
