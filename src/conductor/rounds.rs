//! Baseline and case in turn: what a machine does from one moment to the next is in
//! both, and what is certain shows in every round. The first round is the group's
//! ordinary way (groups.rs), in which each operation is watched for the first time; here
//! are those that follow, and those that confirm what the first ones show.

use alloc::{boxed::Box, string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::StaleState,
    measured::{Measured, Series},
    part::{baseline_line, in_order},
    plan::{Case, Group},
    rounds::{ROUNDS, most_to_confirm},
};

use super::{
    cases::Visit,
    effort::{Effort, Part},
    run::Run,
};
use crate::{
    hal::clock,
    stuck::{self, Proof, StaleSet},
};

impl Run<'_> {
    /// The rounds behind the first, of the cases of which that found nothing serious.
    /// What cannot be gone on with is left as it is: fewer rounds say less.
    pub(super) fn rounds(
        &mut self,
        group: &Group,
        series: &mut Vec<Series<'_>>,
    ) -> Result<(), String> {
        // A core is started but once in a boot, and does not come back from a load that is not
        // answered.
        if group.state == StaleState::NeverStarted
            || stuck::row(group.state).proof == Proof::Unanswered
        {
            return Ok(());
        }
        let clean: Vec<usize> = (0..series.len())
            .filter(|nth| series[*nth].is_clean())
            .collect();
        let begun = clock::now();
        for nth in 1..ROUNDS {
            if !self.round(group, series, &clean, Part::nth(nth, ROUNDS))? {
                return Ok(());
            }
        }
        let judge = self.conductor.judge;
        let mut open: Vec<usize> = clean
            .into_iter()
            .filter(|nth| judge.is_candidate(&series[*nth]))
            .collect();
        let plan = &self.conductor.plan;
        let left_ms = self
            .outcomes
            .confirming_left_ms(plan, clock::ms_since(begun));
        let begun = clock::now();
        for nth in 0..most_to_confirm(judge.family) {
            open.retain(|nth| judge.is_open(&series[*nth]));
            if open.is_empty() {
                break;
            }
            if clock::ms_since(begun) >= left_ms {
                self.outcomes.unconfirmed += open.len();
                break;
            }
            let part = Part {
                only: judge.class(open.iter().map(|nth| &series[*nth])),
                ..Part::nth(ROUNDS + nth, ROUNDS)
            };
            if !self.round(group, series, &open, part)? {
                break;
            }
        }
        self.outcomes.confirming_ms += clock::ms_since(begun);
        Ok(())
    }

    /// One round of these cases, in both parts. Can others follow? Not where one did not
    /// return, which then has its verdict and is no longer in the series, or where cores
    /// did not do as they were asked.
    fn round(
        &mut self,
        group: &Group,
        series: &mut Vec<Series<'_>>,
        which: &[usize],
        part: Part,
    ) -> Result<bool, String> {
        let Some(first) = which.first() else {
            return Ok(false);
        };
        let own = group.state == StaleState::Parked && !group.line.needs_stale_core();
        let cases: Vec<Case> = which.iter().map(|nth| *series[*nth].case).collect();
        let mut bases = None;
        let mut done = Vec::new();
        for parked in in_order(series[*first].case.number, part.nth) {
            if parked && own {
                continue;
            }
            let Some(found) = self.part(group, series, &cases, parked, part)? else {
                return Ok(false);
            };
            match parked {
                true => bases = Some(found),
                false => done = found,
            }
        }
        let mut bases = bases.into_iter().flatten();
        for (of, done) in which.iter().zip(done) {
            series[*of].absorb(bases.next(), done, part.nth < ROUNDS);
        }
        Ok(true)
    }

    /// A part of a round: the cases with every other core parked, or in the group's
    /// state. `None` where others cannot follow.
    fn part(
        &mut self,
        group: &Group,
        series: &mut Vec<Series<'_>>,
        cases: &[Case],
        parked: bool,
        part: Part,
    ) -> Result<Option<Vec<Box<Measured>>>, String> {
        let most = match Self::is_used_up(group, parked) {
            true => 1,
            false => cases.len(),
        };
        let mut found = Vec::with_capacity(cases.len());
        for these in cases.chunks(most) {
            let (state, line, effort) = match parked {
                true => (
                    StaleState::Parked,
                    baseline_line(group),
                    Effort::Baseline(part),
                ),
                false => (group.state, group.line, Effort::Case(part)),
            };
            let cpus = self.stale(state);
            let (present, of) = match parked {
                true => (CpuSet::EMPTY, cpus.len()),
                false => (cpus, self.conductor.plan.roles.stale.len()),
            };
            let Ok(mut entered) = StaleSet::enter(&cpus, state, line, of) else {
                if let Err(lost) = stuck::recover(&cpus) {
                    self.go_on_without(&cpus, &lost)?;
                }
                return Ok(None);
            };
            if !parked {
                self.set_lines(group.line, &cpus);
            }
            let Visit { done, held } = self.visit(these, &present, effort)?;
            if let Some(held) = held {
                let case = these[done.len()];
                self.blocked(&case, &held, &mut entered, parked);
                series.retain(|series| series.case.number != case.number);
                if !self.ended
                    && let Err(lost) = entered.release().and_then(|()| self.drain())
                {
                    self.lost_after_block(&lost);
                }
                return Ok(None);
            }
            found.extend(done);
            let stayed = parked || entered.have_stayed();
            if let Err(lost) = entered.release().and_then(|()| self.drain()) {
                self.go_on_without(&cpus, &lost)?;
                return Ok(None);
            }
            if !stayed {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// The further rounds of cores that were never started, which have to be made before
    /// any is.
    pub(super) fn visits_before_start(
        &mut self,
        cases: &[Case],
        stale: &CpuSet,
        first: &mut Visit,
    ) -> Result<(), String> {
        for nth in 1..ROUNDS {
            if first.held.is_some() {
                break;
            }
            let part = Part::nth(nth, ROUNDS);
            let more = self.visit(cases, stale, Effort::Case(part))?;
            first.done.truncate(more.done.len());
            for (known, more) in first.done.iter_mut().zip(more.done) {
                known.absorb(*more);
            }
            first.held = more.held;
        }
        Ok(())
    }

    /// The baselines of cores that had not been started: all rounds, when they have been.
    pub(super) fn baselines_in_rounds(
        &mut self,
        group: &Group,
        cases: &[Case],
    ) -> Result<Option<Vec<Box<Measured>>>, String> {
        let Some(mut found) = self.baselines(group, cases)? else {
            return Ok(None);
        };
        for _ in 1..ROUNDS {
            let Some(more) = self.baselines(group, cases)? else {
                return Ok(None);
            };
            for (known, more) in found.iter_mut().zip(more) {
                known.absorb(*more);
            }
        }
        Ok(Some(found))
    }
}
