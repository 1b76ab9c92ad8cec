//! Hazards that are wrong on purpose: what the plan asked for, in memory that is
//! under test.

use alloc::vec::Vec;

use super::Run;
use crate::{
    glossary::Subject,
    hazard::{Hazard, Kind},
};

/// Where the image writes code that it executes although nothing has made it visible.
const WRITES_UNSEEN: &str = "stalecore_routines::code::write_unseen";
/// Where operations are timed.
const TIMES: &str = "stalecore_routines::probe::";

impl Run {
    /// Who causes a hazard, if it is meant. Nothing else is excused: the line has to be
    /// under test, the kind what the subject does wrong on these cores, and the
    /// instruction the one that is there for it.
    pub fn meant(&self, hazard: &Hazard) -> Vec<Subject> {
        let under_test = self.plan.as_ref().and_then(|plan| plan.under_test);
        if !under_test.is_some_and(|[from, to]| (from..to).contains(&hazard.line)) {
            return Vec::new();
        }
        let own = match hazard.kind {
            Kind::FetchNotClean | Kind::FetchNotInvalidated => {
                symbol(&hazard.with.at) == WRITES_UNSEEN
            }
            Kind::DirtyDiscarded => hazard.by.what == "dc ivac" && hazard.by.at.starts_with(TIMES),
            _ => false,
        };
        // Routines are patched for what all cores have.
        let ctr = self
            .cores
            .iter()
            .fold(u64::MAX, |all, cores| all & cores.ctr.0);
        let subjects = self.cases.iter().map(|case| case.op);
        let mut meant: Vec<_> = subjects
            .chain(self.blocks.iter().map(|block| block.op))
            .filter(|subject| own && subject.hazard(ctr) == Some(hazard.kind))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cpuset::CpuSet,
        glossary::{LineState, StaleState, Verdict},
        hazard::Side,
        hex::Hex,
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
        assert_eq!(both.meant(&fetch), [FlushIcacheRangeIdc, IcacheInvalPou]);
        // Not without the subject, nor where its machine allows it.
        assert!(
            run(&[FlushIcacheRange], 0x8444_c004)
                .meant(&fetch)
                .is_empty()
        );
        assert!(run(&[IcacheInvalPou], 0x9444_c004).meant(&fetch).is_empty());
        assert!(Run::default().meant(&fetch).is_empty());
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
            assert!(both.meant(&wrong).is_empty(), "{wrong:?}");
        }
        let discarded = Hazard {
            kind: Kind::DirtyDiscarded,
            by: side("stalecore_routines::probe::of::PROBE::timed+16", "dc ivac"),
            with: side("stalecore_image::measure::areas::dirty+8", "store"),
            ..fetch.clone()
        };
        assert_eq!(run(&[DcIvac], 0).meant(&discarded), [DcIvac]);
        assert!(run(&[DcCivac], 0).meant(&discarded).is_empty());
        let elsewhere = Hazard {
            by: side("invalidate_range+24", "dc ivac"),
            ..discarded
        };
        assert!(run(&[DcIvac], 0).meant(&elsewhere).is_empty());
    }
}
