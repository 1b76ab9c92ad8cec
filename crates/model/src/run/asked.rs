//! Which cases an answer counts, and who made them.

use alloc::vec::Vec;

use super::{Run, Unread};
use crate::{
    glossary::{StaleState, Subject, Verdict},
    record::{CaseRecord, Maker},
};

impl Run {
    /// Is this the crash path and no plan of cases?
    pub const fn is_crash(&self) -> bool {
        !self.kdump.is_empty()
    }

    /// Was nothing asked for but the control, with every other core parked? Not
    /// where a case may have been something else: its record was lost.
    pub fn only_control(&self) -> bool {
        let whole = |unread: Unread| unread.of == Some(unread.read);
        if !self.unread().is_none_or(whole) {
            return false;
        }
        let parked = |state: &StaleState| *state == StaleState::Parked;
        let mut states = self.cases.iter().map(|case| &case.state);
        let mut groups = self.groups.iter().map(|group| &group.state);
        !self.cases.is_empty() && states.all(parked) && groups.all(parked)
    }

    /// Does this case test what was asked? The control, with every other core
    /// parked, does not, unless nothing else was asked for; and a crash path
    /// that no stale core could hold up does not.
    pub fn counts(&self, case: &CaseRecord) -> bool {
        let stale = || self.plan.as_ref().is_some_and(|p| !p.stale.is_empty());
        if case.state == StaleState::Parked {
            self.only_control()
        } else {
            !self.is_crash() || stale()
        }
    }

    /// Was something of what was asked decided? Without that the run proves
    /// nothing.
    pub fn decided(&self) -> bool {
        let decided = |v| !matches!(v, Verdict::Skipped | Verdict::Inconclusive);
        let mut cases = self.cases.iter();
        cases.any(|case| decided(case.verdict) && self.counts(case))
    }

    /// Who makes what comes of this subject, where it is not the machine's own
    /// cores and caches.
    pub fn maker(&self, subject: Subject) -> Option<Maker> {
        let fabric = self.made_by.contains(&Maker::Fabric);
        let plugin = self.made_by.contains(&Maker::Plugin);
        let plugin = || plugin.then_some(Maker::Plugin);
        Maker::of(subject, fabric).or_else(plugin)
    }

    /// Everybody who made a result of this run, or may have.
    pub fn makers(&self) -> Vec<Maker> {
        let cases = self.cases.iter().filter_map(|case| self.maker(case.op));
        let mut makers: Vec<_> = self.made_by.iter().copied().chain(cases).collect();
        makers.sort();
        makers.dedup();
        makers
    }
}
