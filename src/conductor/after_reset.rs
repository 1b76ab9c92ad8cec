//! A plan over several boots: takes over what the flight recorder has kept of it,
//! reports the case that was in flight, and runs what is left.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{StaleState, Verdict},
    mark::Seen,
    plan::{Case, Group},
    record::{Block, CaseRecord, CoreState, Record, Resume},
    recorder::{AfterReset, Flight, Reset},
};

use super::{
    effort::{Effort, Part},
    run::Run,
};
use crate::{
    hal::{clock, console, psci, watchdog},
    report::{self, recorder},
};

impl Run<'_> {
    /// Takes over what an earlier boot has finished, and reports the case that
    /// did not return from it.
    pub(super) fn take_over(&mut self) {
        let Some(left) = &self.conductor.left else {
            return;
        };
        for (number, (verdict, why)) in left.finished.iter() {
            self.outcomes.add(*number, *verdict, why.clone());
        }
        for search in &left.bisected {
            self.suspect(&search.culprits);
        }
        let case = |flight: &Flight| {
            let number = flight.case as usize;
            let cases = self.conductor.plan.groups.iter().flat_map(|g| &g.cases);
            let mut unfinished = cases.filter(|case| self.outcomes.is_open(case));
            unfinished.find(|case| case.number == number).copied()
        };
        let lost = left
            .flight
            .and_then(|flight| Some((case(&flight)?, flight)));
        report::record(&Record::Resume(Resume {
            boots: left.boots,
            finished: left.finished.len() as u32,
            unfinished: lost.map(|(case, _)| case.number as u32),
        }));
        if let Some((case, flight)) = lost {
            let (verdict, why) = self.judge_lost(&case, &flight);
            if verdict == Verdict::Blocked && !self.was_told(&case) {
                report::record(&Record::Block(self.describe_lost(&case, &flight)));
            }
            self.finish(&case, CaseRecord::blank(&case, verdict, Some(why)));
        }
    }

    /// What a reset proves about the case that it hit.
    fn judge_lost(&self, case: &Case, flight: &Flight) -> (Verdict, String) {
        if self.was_told(case) {
            let left = self.conductor.left.as_ref();
            let begun = left.and_then(|left| left.begun.as_deref());
            let why = "it had been reported when the machine was reset".to_string()
                + &recorder::last_of_all(begun);
            return (Verdict::Blocked, why);
        }
        let left = self.conductor.left.as_ref();
        let reset = Reset {
            by_watchdog: watchdog::has_reset(),
            entered: self.conductor.started,
            first_entered: left.and_then(|left| left.first_entered),
            hz: clock::frequency(),
            deadline_ms: self.conductor.plan.deadline_ms.into(),
        };
        match flight.after(&reset) {
            AfterReset::Blocked(why) => (Verdict::Blocked, why),
            AfterReset::Inconclusive(why) => (Verdict::Inconclusive, why),
        }
    }

    /// Was the block of this case reported before the reset?
    fn was_told(&self, case: &Case) -> bool {
        let left = self.conductor.left.as_ref();
        left.is_some_and(|left| {
            left.blocks
                .iter()
                .any(|block| block.n as usize == case.number)
        })
    }

    /// The block report of a case that was in flight, as far as it was kept.
    fn describe_lost(&self, case: &Case, flight: &Flight) -> Block {
        let roles = &self.conductor.plan.roles;
        // A mark of the case before says nothing about this one.
        let site = flight.seen.site.filter(|site| {
            flight.seen.in_flight()
                && (site.subject == case.subject || site.instruction == case.subject)
        });
        let initiator = flight.cpu as usize;
        let one = |cpus: CpuSet, role: &str, doing: &str, proof: &str| CoreState {
            cpus,
            role: role.to_string(),
            doing: doing.to_string(),
            proof: proof.to_string(),
            at: None,
        };
        let mut cores = Vec::new();
        cores.push(one(
            CpuSet::one(initiator),
            "initiator",
            "in flight",
            "its mark, as the flight recorder kept it",
        ));
        if !roles.stale.is_empty() {
            let proof = match case.state {
                StaleState::NeverStarted => "as the plan has it",
                _ => "proved when the state was entered",
            };
            cores.push(one(roles.stale, "stale", case.state.name(), proof));
        }
        let seen = match site {
            Some(_) => flight.seen,
            None => Seen {
                site,
                returned: 0,
                ..flight.seen
            },
        };
        let block = case.block(flight.cpu as usize, &seen, 0, "flight recorder");
        Block {
            address: block.address.filter(|_| site.is_some()),
            cores,
            ..block
        }
    }

    /// The cases of a group that have no outcome yet.
    pub(super) fn unfinished(&self, group: &Group) -> Group {
        let open = |case: &&Case| self.outcomes.is_open(case);
        Group {
            cases: group.cases.iter().filter(open).copied().collect(),
            ..*group
        }
    }

    /// Searches for the culprits of cases that an earlier boot found blocked
    /// but had no time to search.
    pub(super) fn search_what_is_left(&mut self, group: &Group) -> Result<(), String> {
        let Some(left) = self
            .conductor
            .left
            .as_ref()
            .filter(|_| self.conductor.bisect)
        else {
            return Ok(());
        };
        for case in &group.cases {
            let blocked = self.outcomes.of(case.number) == Some(Verdict::Blocked);
            let searched = left.bisected.iter().any(|b| b.n as usize == case.number);
            if !blocked || self.ended || searched {
                continue;
            }
            self.start_everybody()?;
            self.bisect(
                group,
                case,
                &self.stale(group.state),
                Effort::Case(Part::WHOLE),
            )?;
        }
        Ok(())
    }

    /// Resets the machine: the next boot goes on. Returns only if that fails or
    /// nothing is left to do.
    pub(super) fn reset(&mut self) {
        let plan = &self.conductor.plan;
        let done = plan
            .groups
            .iter()
            .all(|group| self.unfinished(group).cases.is_empty());
        if done && !self.conductor.bisect {
            return;
        }
        report::note("restarting the machine to go on after the case".into());
        recorder::clear_in_flight();
        if !psci::has_warm_reset() {
            report::note(
                "PSCI has no SYSTEM_RESET2, which keeps memory: if this machine's reset loses it, the \
                 plan is lost with it"
                    .into(),
            );
        }
        console::flush();
        if let Err(error) = psci::system_reset() {
            report::note(alloc::format!(
                "the machine cannot be restarted: PSCI says {error}"
            ));
        }
    }
}
