//! Which cores share a socket or a cluster, from a device tree's `cpu-map`
//! (binding `cpu/cpu-topology.txt`): nested nodes `socketN`, `clusterN`, `coreN`
//! and `threadN`, whose leaves point to the nodes of the cores.

use dtoolkit::{Node, fdt::FdtNode};

use super::Place;
use crate::{property::number, sorted::Sorted};

/// Levels below the map: clusters may be nested.
const MAX_DEPTH: usize = 8;

/// Each core's place, by the phandle of its node.
pub fn places(map: FdtNode<'_>) -> Sorted<u32, Place> {
    let mut found = Found::default();
    found.walk(map, Place::default(), 0);
    found.places
}

#[derive(Default)]
struct Found {
    places: Sorted<u32, Place>,
    sockets: u32,
    clusters: u32,
    cores: u32,
}

impl Found {
    /// Descends from a node that is in `place`.
    fn walk(&mut self, node: FdtNode<'_>, place: Place, depth: usize) {
        let cpu = number(&node, "cpu").and_then(|phandle| u32::try_from(phandle).ok());
        if let Some(phandle) = cpu {
            self.places.insert(phandle, place);
            return;
        }
        if depth == MAX_DEPTH {
            return;
        }
        for child in node.children() {
            let mut place = place;
            match child.name().trim_end_matches(|c: char| c.is_ascii_digit()) {
                "socket" => place.socket = Some(next(&mut self.sockets)),
                "cluster" => place.cluster = Some(next(&mut self.clusters)),
                "core" => place.core = next(&mut self.cores),
                "thread" => {}
                _ => continue,
            }
            self.walk(child, place, depth + 1);
        }
    }
}

fn next(count: &mut u32) -> u32 {
    let number = *count;
    *count += 1;
    number
}
