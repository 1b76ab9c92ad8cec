//! The parts of the rounds behind the first (groups.rs has that, in which each operation is
//! watched for the first time), and the rounds of cores that were never started.

use alloc::{boxed::Box, string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::StaleState,
    measured::{
        Measured, Series,
        in_turn::{self, Brought, Measures},
    },
    outcomes::Outcomes,
    part::baseline_line,
    plan::{Case, Group},
    rounds::ROUNDS,
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
        let conductor = self.conductor;
        in_turn::rounds(self, &conductor.plan, &conductor.judge, group, series)
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

impl Measures for Run<'_> {
    fn part(
        &mut self,
        group: &Group,
        cases: &[Case],
        parked: bool,
        part: Part,
    ) -> Result<Brought, String> {
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
                return Ok(Brought::Nothing);
            };
            if !parked {
                self.set_lines(group.line, &cpus);
            }
            let Visit { done, held } = self.visit(these, &present, effort)?;
            if let Some(held) = held {
                let case = these[done.len()];
                self.blocked(&case, &held, &mut entered, parked);
                if !self.ended
                    && let Err(lost) = entered.release().and_then(|()| self.drain())
                {
                    self.lost_after_block(&lost);
                }
                return Ok(Brought::Blocked(case.number));
            }
            found.extend(done);
            let stayed = parked || entered.have_stayed();
            if let Err(lost) = entered.release().and_then(|()| self.drain()) {
                self.go_on_without(&cpus, &lost)?;
                return Ok(Brought::Nothing);
            }
            if !stayed {
                return Ok(Brought::Nothing);
            }
        }
        Ok(Brought::All(found))
    }

    fn now_ms(&self) -> u64 {
        clock::ms_since(self.conductor.started)
    }

    fn outcomes(&mut self) -> &mut Outcomes {
        &mut self.outcomes
    }
}
