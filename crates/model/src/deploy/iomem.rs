//! `/proc/iomem`: what Linux knows of the physical addresses.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::region::Region;

/// An entry, as deep as it is indented.
struct Entry {
    depth: usize,
    region: Region,
    name: String,
}

/// The file.
pub(super) struct Iomem(Vec<Entry>);

impl Iomem {
    /// Reads it; a line that is none is passed over.
    pub(super) fn read(text: &str) -> Self {
        Self(text.lines().filter_map(entry).collect())
    }

    /// Who may not see addresses sees zeros.
    pub(super) fn is_hidden(&self) -> bool {
        self.0.iter().all(|entry| entry.region.end() <= 1)
    }

    /// The ranges of that name, those that touch joined.
    pub(super) fn named(&self, name: &str) -> Vec<Region> {
        let same = self.0.iter().filter(|entry| entry.name == name);
        Region::joined(same.map(|entry| entry.region).collect())
    }

    /// Whose a region is, or part of it, unless Linux keeps it for nobody: "System RAM" is
    /// what it hands out.
    pub(super) fn owner(&self, region: &Region) -> Option<&str> {
        let kept = |entry: &Entry| {
            entry.name.eq_ignore_ascii_case("reserved") || entry.name.starts_with("ramoops")
        };
        let around = |entry: &Entry| entry.region.common(region) == Some(*region);
        let inside = self.0.iter().any(|entry| kept(entry) && around(entry));
        let mut others = self
            .0
            .iter()
            .filter(|entry| entry.region.overlaps(region) && !kept(entry));
        // (The deepest is the last; what is around something kept is not the region's.)
        let last = others.rfind(|entry| !(inside && around(entry)));
        last.map(|entry| entry.name.as_str())
    }

    /// System RAM in which nothing is.
    pub(super) fn free(&self) -> Vec<Region> {
        let inner = self.0.iter().filter(|entry| entry.depth > 0);
        let taken = Region::joined(inner.map(|entry| entry.region).collect());
        let mut free = Vec::new();
        for ram in self.named("System RAM") {
            let mut base = ram.base;
            for part in taken.iter().filter(|part| part.overlaps(&ram)) {
                free.push(Region {
                    base,
                    size: part.base.saturating_sub(base),
                });
                base = part.end();
            }
            free.push(Region {
                base,
                size: ram.end().saturating_sub(base),
            });
        }
        free.retain(|part| part.size > 0);
        free
    }
}

/// `  40210000-41c7ffff : Kernel code`
fn entry(line: &str) -> Option<Entry> {
    let text = line.trim_start();
    let (range, name) = text.split_once(" : ")?;
    let (first, last) = range.split_once('-')?;
    let base = u64::from_str_radix(first, 16).ok()?;
    let last = u64::from_str_radix(last, 16).ok()?;
    Some(Entry {
        depth: (line.len() - text.len()) / 2,
        region: Region {
            base,
            size: last.checked_sub(base)?.saturating_add(1),
        },
        name: name.trim().to_string(),
    })
}
