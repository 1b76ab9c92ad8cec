//! What the checker finds: places where a program relies on memory that a cache may hide
//! or overwrite. The checker, a QEMU plugin, writes one [`Found`] per line; the host
//! command reads them.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::{glossary::Subject, hex::Hex};

/// What is wrong between two accesses to one line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "HazardKind"))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A read past the caches of a line that is dirty in one.
    ReadPastDirty,
    /// A write past the caches to a line that is dirty in one.
    WritePastDirty,
    /// A read through the caches of what was written past them.
    ReadStale,
    /// A write through the caches of part of a line that was written past them.
    WriteStale,
    /// `dc ivac` of a dirty line.
    DirtyDiscarded,
    /// An instruction whose bytes were not cleaned to the point of unification.
    FetchNotClean,
    /// An instruction that instruction caches may hold an older copy of.
    FetchNotInvalidated,
    /// An instruction fetched before the core discarded what it had fetched.
    FetchNoIsb,
    /// Maintenance of what was written past the caches, with no barrier between.
    NoBarrier,
    /// Maintenance that no DSB had completed when another core was told.
    NoDsb,
    /// Two live mappings of one line that differ in memory type.
    Mismatched,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::ReadPastDirty,
        Self::WritePastDirty,
        Self::ReadStale,
        Self::WriteStale,
        Self::DirtyDiscarded,
        Self::FetchNotClean,
        Self::FetchNotInvalidated,
        Self::FetchNoIsb,
        Self::NoBarrier,
        Self::NoDsb,
        Self::Mismatched,
    ];

    /// What is wrong, in words that follow the place.
    pub const fn about(self) -> &'static str {
        match self {
            Self::ReadPastDirty => "reads past the caches what is dirty in one",
            Self::WritePastDirty => {
                "writes past the caches to a line that is dirty in one and may be written back over it"
            }
            Self::ReadStale => {
                "reads through the caches what was written past them, with no invalidate since"
            }
            Self::WriteStale => {
                "writes part of a line through the caches that was written past them, with no \
                 invalidate since"
            }
            Self::DirtyDiscarded => "throws dirty data away",
            Self::FetchNotClean => {
                "executes what was not cleaned to the point of unification since it was written"
            }
            Self::FetchNotInvalidated => {
                "executes what its instruction cache may hold an older copy of"
            }
            Self::FetchNoIsb => {
                "executes new code without having discarded what it had fetched (ISB)"
            }
            Self::NoBarrier => {
                "is maintenance of what the same core wrote past the caches, with no barrier between"
            }
            Self::NoDsb => "relies on maintenance that no DSB had completed when it was told",
            Self::Mismatched => "uses another memory type than a live mapping of the same line",
        }
    }
}

/// One of the two sides of a hazard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Side {
    /// The core, as QEMU numbers it.
    pub cpu: u32,
    /// Where: `mmu_on+8`, or an address outside the image.
    pub at: String,
    /// The program counter.
    pub pc: Hex,
    /// What it was: `dc ivac`, `load`, `store`, `fetch`, `table walk`.
    pub what: String,
}

impl Side {
    /// `CPU 1 at mmu_on+8 (load)`.
    pub fn text(&self) -> String {
        format!("CPU {} at {} ({})", self.cpu, self.at, self.what)
    }
}

/// A place where the image relies on memory that a cache may hide or overwrite:
/// the harness's own fault, unless it is meant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Hazard {
    /// What is wrong.
    pub kind: Kind,
    /// The access that is wrong.
    pub by: Side,
    /// What it collides with: the access that wrote, mapped or maintained the line.
    pub with: Side,
    /// The line, a physical address.
    pub line: Hex,
    /// The run's subjects that do this on purpose, to memory under test, if any do. Filled
    /// in by the host command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meant: Vec<Subject>,
}

/// A maintenance instruction or barrier that was executed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MaintenanceSite {
    /// `invalidate_range+24`.
    pub at: String,
    /// Its address in the ELF file.
    pub address: Hex,
    /// `dc ivac`.
    pub instruction: String,
    /// How often.
    pub times: u64,
    /// Was it ignored, as requested?
    #[serde(default)]
    pub ignored: bool,
}

/// What the checker saw of the whole run, written when the machine ends.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Where the image was found; `None` if it never ran.
    pub image: Option<Hex>,
    /// Did code run there other than the ELF file's, so that names mean nothing?
    pub other: bool,
    /// Accesses that were checked.
    pub accesses: u64,
    /// Blocks of instructions whose fetch was checked.
    pub fetches: u64,
    /// Maintenance and barriers of the image, by address.
    pub sites: Vec<MaintenanceSite>,
    /// What the checker could not see.
    pub unseen: Vec<String>,
}

/// One line of what the checker writes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A hazard, when it is first seen.
    Hazard(Hazard),
    /// What was seen of the whole run; the last line.
    Coverage(Coverage),
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn each_kind_has_words_of_its_own_that_follow_the_place() {
        let words: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.about()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        for about in words {
            let first = about.split(' ').next().unwrap();
            assert!(first.ends_with('s') && !about.ends_with('.'), "{about}");
        }
    }

    #[test]
    fn a_side_is_told_with_its_core_its_place_and_what_it_did() {
        let side = Side {
            cpu: 1,
            at: "mmu_on+8".into(),
            pc: Hex(0x8_0008),
            what: "load".into(),
        };
        assert_eq!(side.text(), "CPU 1 at mmu_on+8 (load)");
    }
}
