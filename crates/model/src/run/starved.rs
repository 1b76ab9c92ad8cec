//! What the image took for blocks, but the host knows not to be.

use alloc::vec::Vec;

use super::Run;
use crate::{glossary::Verdict, record::CaseRecord};

impl Run {
    /// Takes back the blocks of cores that the host did not run: their cases are
    /// inconclusive, and the searches for their cause are dropped.
    pub fn take_back_starved(&mut self) {
        let (starved, blocks) = core::mem::take(&mut self.blocks)
            .into_iter()
            .partition(|block| block.starved.is_some());
        self.blocks = blocks;
        for block in &starved {
            let why = block.starved.map(|starved| starved.why());
            let real = self.blocks.iter().any(|other| other.n == block.n);
            let case = self.cases.iter_mut().find(|case| case.n == block.n);
            if let Some(case) = case.filter(|c| c.verdict == Verdict::Blocked && !real) {
                (case.verdict, case.why) = (Verdict::Inconclusive, why);
                self.bisections.retain(|found| found.n != block.n);
            }
        }
        self.starved.extend::<Vec<_>>(starved);
    }

    /// How many cases the closing record counts with this verdict, corrected for
    /// what the host knows better; `None` without such a record.
    pub fn stated(&self, verdict: Verdict) -> Option<u32> {
        let counts = &self.end.as_ref()?.verdicts;
        let counted = counts.iter().find(|(v, _)| *v == verdict);
        let counted = counted.map_or(0, |(_, n)| *n);
        let inconclusive = |case: &&CaseRecord| {
            let taken_back = self.starved.iter().any(|block| block.n == case.n);
            case.verdict == Verdict::Inconclusive && taken_back
        };
        let taken_back = self.cases.iter().filter(inconclusive).count() as u32;
        Some(match verdict {
            Verdict::Blocked => counted.saturating_sub(taken_back),
            Verdict::Inconclusive => counted + taken_back,
            _ => counted,
        })
    }
}
