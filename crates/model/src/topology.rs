//! Which cores share a package or a cluster, as firmware says.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::{cpuset::CpuSet, platform::Place, sorted::Sorted};

/// The cores of each package and of each cluster. A core about which firmware says
/// nothing is in none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Topology {
    /// Physical packages.
    pub sockets: Vec<CpuSet>,
    /// The smallest groups of cores that are not a whole package.
    pub clusters: Vec<CpuSet>,
}

impl Topology {
    /// From each core's place, in the order of the cores' numbers; `None` where
    /// no core has a socket or a cluster.
    pub fn of(places: impl Iterator<Item = Option<Place>>) -> Option<Self> {
        let (mut sockets, mut clusters) = (Sorted::new(), Sorted::new());
        for (cpu, place) in places.enumerate() {
            let add = |groups: &mut Sorted<u32, CpuSet>, number: Option<u32>| {
                if let Some(number) = number {
                    let mut group = groups.get(number).copied().unwrap_or_default();
                    group.insert(cpu);
                    groups.insert(number, group);
                }
            };
            add(&mut sockets, place.and_then(|p| p.socket));
            add(&mut clusters, place.and_then(|p| p.cluster));
        }
        let mut topology = Self {
            sockets: sockets.values().copied().collect(),
            clusters: clusters.values().copied().collect(),
        };
        // A cluster that is all there is of its package tells nothing.
        match (&topology.sockets[..], &topology.clusters[..]) {
            ([], [_]) => topology.clusters.clear(),
            (sockets, _) => topology.clusters.retain(|cores| !sockets.contains(cores)),
        }
        (topology != Self::default()).then_some(topology)
    }

    /// The numbers of a core's socket and cluster.
    pub fn place(&self, cpu: usize) -> (Option<usize>, Option<usize>) {
        let of = |groups: &[CpuSet]| groups.iter().position(|group| group.contains(cpu));
        (of(&self.sockets), of(&self.clusters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn place(socket: u32, cluster: u32) -> Option<Place> {
        Some(Place {
            socket: Some(socket),
            cluster: Some(cluster),
            core: 0,
        })
    }

    #[test]
    fn cores_are_sorted_into_their_groups() {
        let places = [place(0, 0), place(0, 1), None, place(1, 2), place(0, 1)];
        let more = [place(1, 3), place(2, 4)];
        let topology = Topology::of(places.into_iter().chain(more)).unwrap();
        let text =
            |groups: &[CpuSet]| -> Vec<_> { groups.iter().map(ToString::to_string).collect() };
        assert_eq!(text(&topology.sockets), ["0-1,4", "3,5", "6"]);
        // The only cluster of socket 2 is no other group than that.
        assert_eq!(text(&topology.clusters), ["0", "1,4", "3", "5"]);
        assert_eq!(topology.place(4), (Some(0), Some(1)));
        assert_eq!(topology.place(2), (None, None));
    }

    #[test]
    fn what_nobody_says_is_nothing() {
        assert_eq!(Topology::of([None, None].into_iter()), None);
        let core_only = Place {
            socket: None,
            cluster: None,
            core: 3,
        };
        assert_eq!(Topology::of([Some(core_only)].into_iter()), None);
    }
}
