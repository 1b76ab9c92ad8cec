//! What the image has written and a run lacks.

use super::Run;
use crate::glossary::Verdict;

/// Something was written and not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unread {
    /// How many cases were read.
    pub read: usize,
    /// Of how many; `None` where even that is not known.
    pub of: Option<usize>,
    /// Is the result of a case among what is missing, or another than what the
    /// closing record counts?
    pub results: bool,
}

impl Run {
    /// What is missing from this run, if anything: numbers with gaps, or cases
    /// that the closing record counts otherwise.
    pub fn unread(&self) -> Option<Unread> {
        let stated = |verdict| self.stated(verdict).map(|n| n as usize);
        let read = |verdict| self.cases.iter().filter(|c| c.verdict == verdict).count();
        // A case that the run did not reach is counted as skipped, and has no
        // record.
        let differs = |verdict: &Verdict| {
            stated(*verdict).is_some_and(|stated| match verdict {
                Verdict::Skipped => read(*verdict) > stated,
                verdict => read(*verdict) != stated,
            })
        };
        let hole = || {
            let last = self.cases.iter().map(|c| c.n as usize).max().unwrap_or(0);
            self.end.is_none() && last > self.cases.len()
        };
        let lost = !self.lost.is_empty();
        let results = Verdict::ALL.iter().any(differs) || lost && hole();
        let planned = self.plan.as_ref().map(|plan| plan.cases as usize);
        let counted = || {
            let end = self.end.as_ref()?;
            Some(end.verdicts.iter().map(|(_, n)| *n as usize).sum())
        };
        (lost || results).then(|| Unread {
            read: self.cases.len(),
            of: planned.or_else(counted),
            results,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{LineState, StaleState, Subject},
        plan::Case,
        record::{CaseRecord, End},
    };

    /// A run with these verdicts, whose closing record counts others.
    fn run(verdicts: &[Verdict], counted: &[(Verdict, u32)]) -> Run {
        let case = |(nth, verdict): (usize, &Verdict)| {
            let case = Case {
                number: nth + 1,
                subject: Subject::IcIvau,
                state: StaleState::ALL[nth + 1],
                line: LineState::DirtyHere,
            };
            CaseRecord::blank(&case, *verdict, None)
        };
        Run {
            cases: verdicts.iter().enumerate().map(case).collect(),
            end: Some(End {
                exit: 0,
                verdicts: counted.to_vec(),
                elapsed_ms: 1,
            }),
            ..Run::default()
        }
    }

    #[test]
    fn what_was_read_is_what_was_counted() {
        use Verdict::{Blocked, Completed, Skipped};
        let whole = run(&[Completed, Blocked], &[(Completed, 1), (Blocked, 1)]);
        assert_eq!(whole.unread(), None);
        // Cases that were not reached have no record.
        let short = run(&[Completed], &[(Completed, 1), (Skipped, 3)]);
        assert_eq!(short.unread(), None);
        let unread = |read, of, results| {
            Some(Unread {
                read,
                of: Some(of),
                results,
            })
        };
        let lacks = run(&[Completed], &[(Completed, 3)]);
        assert_eq!(lacks.unread(), unread(1, 3, true));
        let other = run(&[Blocked, Blocked], &[(Completed, 2)]);
        assert_eq!(other.unread(), unread(2, 2, true));
        let mut lost = whole;
        lost.lost = [[3, 4]].into();
        assert_eq!(lost.unread(), unread(2, 2, false));
        // Without a closing record a gap in the numbers of the cases tells.
        lost.end = None;
        lost.cases.remove(0);
        assert_eq!(lost.unread().map(|u| (u.results, u.of)), Some((true, None)));
    }
}
