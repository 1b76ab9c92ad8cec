//! Which core? From a set of stale cores that block together to the smallest
//! sets that still block.
//!
//! A *culprit* is a set of cores that blocks while every smaller part of it
//! does not: one core in the fabric, where any deaf core is enough, perhaps
//! several on silicon. The only assumption is that more stale cores never
//! block less; [`Bisector::record`] notices an outcome that breaks it.
//!
//! The search is a function of the suspects and the outcomes known so far. So it goes on
//! after a reset of the machine once the outcomes are recorded again, and never asks for
//! what follows from them. One core out of n takes ⌈log2 n⌉ + 2 trials: to find it, to see
//! that it blocks alone, and to see that the others do not.

use alloc::{format, string::String, vec, vec::Vec};

use crate::cpuset::CpuSet;

/// With more ways than this to leave every culprit out, overlapping culprits are no longer
/// looked for.
const MAX_WAYS: usize = 32;

/// What the outcomes prove.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// The culprits, in the order in which they were found.
    pub culprits: Vec<CpuSet>,
    /// Are these all? If not, the search is not over, or there may be further
    /// ones that have cores in common with these.
    pub complete: bool,
}

/// Narrows a blocking set of stale cores down.
#[derive(Clone, Debug)]
pub struct Bisector {
    stale: CpuSet,
    blocking: Vec<CpuSet>,
    clean: Vec<CpuSet>,
    findings: Findings,
    /// Sets to look into first.
    suspects: Vec<CpuSet>,
    next: Option<CpuSet>,
}

/// The search needs the outcome of this trial.
struct Needs(CpuSet);

impl Bisector {
    /// Begins with a set of stale cores that was seen to block. It is the baseline that
    /// shows that nothing blocks without stale cores. `suspects` are sets to look into
    /// first, such as the culprits of another operation: if they are right, one out of any
    /// number of cores takes two trials; if not, as many more as there are suspects.
    pub fn new(stale: CpuSet, suspects: &[CpuSet]) -> Self {
        let mut search = Self {
            stale,
            blocking: vec![stale],
            clean: vec![CpuSet::EMPTY],
            findings: Findings::default(),
            suspects: suspects.to_vec(),
            next: None,
        };
        search.advance();
        search
    }

    /// The next trial: the case with exactly these cores stale. `None` when the
    /// search is over.
    pub const fn trial(&self) -> Option<CpuSet> {
        self.next
    }

    /// What is proved so far; what the search found, once it is over.
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Takes the outcome of [`Self::trial`], or of any other trial with exactly
    /// the cores of `tried` stale.
    ///
    /// # Errors
    /// More stale cores blocked less, in this trial or an earlier one: the block depends on
    /// something other than which cores are stale. Names both trials; the outcome is not
    /// kept.
    pub fn record(&mut self, tried: CpuSet, blocked: bool) -> Result<(), String> {
        if blocked {
            if let Some(clean) = self.clean.iter().find(|clean| within(&tried, clean)) {
                return Err(format!(
                    "CPUs {tried} block, but CPUs {clean} together did not"
                ));
            }
        } else if let Some(part) = self.blocking.iter().find(|part| within(part, &tried)) {
            return Err(format!("CPUs {tried} do not block, but CPUs {part} did"));
        }
        if blocked {
            self.blocking.push(tried);
        } else {
            self.clean.push(tried);
        }
        self.advance();
        Ok(())
    }

    /// Goes as far as the outcomes lead.
    fn advance(&mut self) {
        self.next = self.search().err().map(|Needs(cores)| cores);
    }

    /// Do these cores block, as far as the outcomes tell?
    fn blocks(&self, cores: CpuSet) -> Result<bool, Needs> {
        if self.blocking.iter().any(|part| within(part, &cores)) {
            Ok(true)
        } else if self.clean.iter().any(|clean| within(&cores, clean)) {
            Ok(false)
        } else {
            Err(Needs(cores))
        }
    }

    /// Finds culprits until leaving every known one out, in every way, leaves
    /// nothing that blocks.
    fn search(&mut self) -> Result<(), Needs> {
        self.findings.complete = false;
        loop {
            let known = ways_to_leave_out(&self.findings.culprits);
            let all = known.is_some();
            let ways = known.unwrap_or_else(|| vec![union(&self.findings.culprits)]);
            let mut left = None;
            for way in ways {
                let rest = self.stale.difference(&way);
                if self.blocks(rest)? {
                    left = Some(rest);
                    break;
                }
            }
            let Some(rest) = left else {
                self.findings.complete = all;
                return Ok(());
            };
            let culprit = self.narrow(self.suspect(&rest)?.unwrap_or(rest))?;
            self.findings.culprits.push(culprit);
        }
    }

    /// The first suspect among these cores that blocks, if any does.
    fn suspect(&self, rest: &CpuSet) -> Result<Option<CpuSet>, Needs> {
        for suspect in self.suspects.iter().filter(|part| within(part, rest)) {
            if self.blocks(*suspect)? {
                return Ok(Some(*suspect));
            }
        }
        Ok(None)
    }

    /// Finds one culprit in a set that blocks: repeatedly finds the shortest beginning of
    /// what is left that blocks together with the cores kept; without its last core it does
    /// not block, so that core is kept too.
    fn narrow(&self, blocking: CpuSet) -> Result<CpuSet, Needs> {
        let mut kept = CpuSet::EMPTY;
        let mut left: Vec<usize> = blocking.iter().collect();
        while !self.blocks(kept)? {
            let (mut clean, mut blocks) = (0, left.len());
            while blocks - clean > 1 {
                let middle = usize::midpoint(clean, blocks);
                let tried = left[..middle].iter().copied().collect();
                if self.blocks(kept.union(&tried))? {
                    blocks = middle;
                } else {
                    clean = middle;
                }
            }
            kept.insert(left[clean]);
            left.truncate(clean);
        }
        Ok(kept)
    }
}

fn within(part: &CpuSet, whole: &CpuSet) -> bool {
    part.difference(whole).is_empty()
}

fn union(sets: &[CpuSet]) -> CpuSet {
    sets.iter()
        .fold(CpuSet::EMPTY, |all, cores| all.union(cores))
}

/// The smallest sets of cores that have one in common with each culprit; without such a
/// set, what is left contains no known culprit. `None` if there are more than [`MAX_WAYS`].
fn ways_to_leave_out(culprits: &[CpuSet]) -> Option<Vec<CpuSet>> {
    let mut ways = vec![CpuSet::EMPTY];
    for culprit in culprits {
        let (mut next, miss): (Vec<_>, Vec<_>) = ways
            .into_iter()
            .partition(|way| !way.intersection(culprit).is_empty());
        let hit = next.len();
        for way in miss {
            for core in culprit.iter() {
                let longer = way.union(&CpuSet::one(core));
                if !next[..hit].iter().any(|short| within(short, &longer)) {
                    next.push(longer);
                }
            }
            if next.len() > MAX_WAYS {
                return None;
            }
        }
        ways = next;
    }
    Some(ways)
}

#[cfg(test)]
#[path = "bisect_tests.rs"]
mod tests;
