//! What the checker with caches finds: places where a program relies on memory
//! that a cache may hide or overwrite. The checker, a QEMU plugin, writes one of
//! [`Found`] a line; the host command reads them.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::{glossary::Subject, hex::Hex, run::Run};

/// Where the image writes code that it executes though nothing has made it visible.
const WRITES_UNSEEN: &str = "stalecore_routines::code::write_unseen";
/// Where operations are timed.
const TIMES: &str = "stalecore_routines::probe::";

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

    /// What is wrong, in words that go before "where".
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
    /// Who does it.
    pub by: Side,
    /// What it collides with: who wrote, mapped or maintained the line.
    pub with: Side,
    /// The line, a physical address.
    pub line: Hex,
    /// Whose doing it is, if it is wrong on purpose: those of the run that do this, in
    /// memory that is under test. The host command says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meant: Vec<Subject>,
}

impl Hazard {
    /// What of a run does this on purpose. Nothing else is excused: the line has to be
    /// under test, the kind what the subject does wrong on these cores, and the
    /// instruction the one that is there for it.
    pub fn meant_in(&self, run: &Run) -> Vec<Subject> {
        let under_test = run.plan.as_ref().and_then(|plan| plan.under_test);
        if !under_test.is_some_and(|[from, to]| (from..to).contains(&self.line)) {
            return Vec::new();
        }
        let own = match self.kind {
            Kind::FetchNotClean | Kind::FetchNotInvalidated => {
                symbol(&self.with.at) == WRITES_UNSEEN
            }
            Kind::DirtyDiscarded => self.by.what == "dc ivac" && self.by.at.starts_with(TIMES),
            _ => false,
        };
        // Routines are patched for what all cores have.
        let ctr = run
            .cores
            .iter()
            .fold(u64::MAX, |all, cores| all & cores.ctr.0);
        let subjects = run.cases.iter().map(|case| case.op);
        let mut meant: Vec<_> = subjects
            .chain(run.blocks.iter().map(|block| block.op))
            .filter(|subject| own && subject.hazard(ctr) == Some(self.kind))
            .collect();
        meant.sort_unstable();
        meant.dedup();
        meant
    }
}

/// The symbol of `symbol+offset`.
fn symbol(at: &str) -> &str {
    at.rsplit_once('+').map_or(at, |(symbol, _)| symbol)
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
    /// Was it ignored, as was asked for?
    #[serde(default)]
    pub ignored: bool,
}

/// What the checker saw of the whole run, written when the machine ends.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Where the image was found; `None` if it never ran.
    pub image: Option<Hex>,
    /// Did other code run there than the ELF file has, so that names mean nothing?
    pub other: bool,
    /// Accesses that were checked.
    pub accesses: u64,
    /// Blocks of instructions whose fetch was checked.
    pub fetches: u64,
    /// Maintenance and barriers of the image, in order of their place.
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
    /// Last of all.
    Coverage(Coverage),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cpuset::CpuSet,
        glossary::{LineState, StaleState, Verdict},
        plan::Case,
        record::{CaseRecord, Cores, PlanRecord},
    };
    use alloc::vec;

    fn side(at: &str, what: &str) -> Side {
        Side {
            cpu: 0,
            at: at.into(),
            pc: Hex(0),
            what: what.into(),
        }
    }

    fn run(subjects: &[Subject], ctr: u64) -> Run {
        let case = |(index, subject): (usize, &Subject)| {
            let case = Case {
                number: index + 1,
                subject: *subject,
                state: StaleState::Spin,
                line: LineState::DirtyHere,
            };
            CaseRecord::blank(&case, Verdict::Completed, None)
        };
        Run {
            plan: Some(PlanRecord {
                cases: 1,
                initiators: CpuSet::one(0),
                stale: CpuSet::one(1),
                samples: 1,
                deadline_ms: 1,
                threshold: 2000,
                strict: false,
                options: None,
                under_test: Some([Hex(0x1000), Hex(0x2000)]),
            }),
            cores: vec![Cores {
                cpus: CpuSet::one(0),
                mpidr: vec![Hex(0)],
                midr: Hex(0),
                revidr: Hex(0),
                ctr: Hex(ctr),
                clidr: Hex(0),
                ccsidr: Vec::new(),
                dczid: Hex(0),
                cntfrq: 1,
                pmu: None,
            }],
            cases: subjects.iter().enumerate().map(case).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn what_is_meant_is_told_from_what_is_not() {
        use Subject::{DcCivac, DcIvac, FlushIcacheRange, FlushIcacheRangeIdc, IcacheInvalPou};
        let fetch = Hazard {
            kind: Kind::FetchNotClean,
            by: side("0x7000", "fetch"),
            with: side("stalecore_routines::code::write_unseen+12", "store"),
            line: Hex(0x1fc0),
            meant: Vec::new(),
        };
        let both = run(
            &[IcacheInvalPou, FlushIcacheRangeIdc, IcacheInvalPou],
            0x8444_c004,
        );
        assert_eq!(fetch.meant_in(&both), [FlushIcacheRangeIdc, IcacheInvalPou]);
        // Not without the subject, nor where its machine allows it.
        assert!(
            fetch
                .meant_in(&run(&[FlushIcacheRange], 0x8444_c004))
                .is_empty()
        );
        assert!(
            fetch
                .meant_in(&run(&[IcacheInvalPou], 0x9444_c004))
                .is_empty()
        );
        assert!(fetch.meant_in(&Run::default()).is_empty());
        // Nor elsewhere, nor of another kind, nor with what others wrote.
        for wrong in [
            Hazard {
                line: Hex(0x2000),
                ..fetch.clone()
            },
            Hazard {
                line: Hex(0xfc0),
                ..fetch.clone()
            },
            Hazard {
                kind: Kind::FetchNotInvalidated,
                ..fetch.clone()
            },
            Hazard {
                kind: Kind::ReadStale,
                ..fetch.clone()
            },
            Hazard {
                with: side("stalecore_routines::code::write_function+12", "store"),
                ..fetch.clone()
            },
        ] {
            assert!(wrong.meant_in(&both).is_empty(), "{wrong:?}");
        }
        let discarded = Hazard {
            kind: Kind::DirtyDiscarded,
            by: side("stalecore_routines::probe::of::PROBE::timed+16", "dc ivac"),
            with: side("stalecore_image::measure::areas::dirty+8", "store"),
            ..fetch.clone()
        };
        assert_eq!(discarded.meant_in(&run(&[DcIvac], 0)), [DcIvac]);
        assert!(discarded.meant_in(&run(&[DcCivac], 0)).is_empty());
        let elsewhere = Hazard {
            by: side("invalidate_range+24", "dc ivac"),
            ..discarded
        };
        assert!(elsewhere.meant_in(&run(&[DcIvac], 0)).is_empty());
    }
}
