//! Ranges of physical addresses.

use alloc::vec::Vec;

use crate::order;

/// A range of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Region {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Region {
    /// The first byte after the region, saturating.
    pub const fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Do they have a byte in common?
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.base < other.end() && other.base < self.end()
    }

    /// What they have in common, if there is a byte.
    pub fn common(&self, other: &Self) -> Option<Self> {
        let base = self.base.max(other.base);
        let end = self.end().min(other.end());
        (base < end).then(|| Self {
            base,
            size: end - base,
        })
    }

    /// Sorts regions, joins those that touch or overlap, and drops empty ones.
    pub fn joined(mut regions: Vec<Self>) -> Vec<Self> {
        regions.retain(|r| r.size > 0);
        order::sort(&mut regions);
        let mut joined: Vec<Self> = Vec::new();
        for region in regions {
            match joined.last_mut() {
                Some(last) if region.base <= last.end() => {
                    last.size = last.end().max(region.end()) - last.base;
                }
                _ => joined.push(region),
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_touch_are_one() {
        let regions = [(5, 2), (0, 3), (9, 0), (1, 1), (3, 1), (7, 1)];
        let joined = Region::joined(regions.map(|(base, size)| Region { base, size }).to_vec());
        assert_eq!(
            joined,
            [Region { base: 0, size: 4 }, Region { base: 5, size: 3 }]
        );
    }

    #[test]
    fn what_touches_has_nothing_in_common() {
        let region = |base, size| Region { base, size };
        let own = region(0x1000, 0x1000);
        assert_eq!(own.common(&region(0x2000, 0x1000)), None);
        assert_eq!(own.common(&region(0x1fff, 0x1000)), Some(region(0x1fff, 1)));
        assert_eq!(own.common(&region(0, u64::MAX)), Some(own));
    }
}
