//! The plan, group by group: enters the state, runs the cases, lets the cores
//! go, judges.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState, Subject, Verdict},
    plan::{Case, Group},
    record::{CaseRecord, GroupRecord, Record},
};

use super::{
    cases::Effort,
    findings::Measured,
    run::{Conductor, Outcome, Run},
};
use crate::{
    cores::{
        percpu::{self, core},
        start, survey,
    },
    hal::psci,
    report,
    stuck::{self, Needs, StaleSet},
};

/// Runs the plan, and ends the image.
pub fn run_plan(conductor: &Conductor) -> ! {
    let mut run = Run::new(conductor);
    let result = run.groups();
    if let Err(error) = &result {
        report::note(format!("harness error: {error}"));
    }
    run.close(result.is_err())
}

impl Run<'_> {
    fn groups(&mut self) -> Result<(), String> {
        self.take_over();
        for group in &self.conductor.plan.groups {
            self.search_what_is_left(group)?;
            let group = &self.unfinished(group);
            if self.ended {
                break;
            }
            if group.cases.is_empty() {
                continue;
            }
            report::record(&Record::Group(GroupRecord {
                state: group.state,
                line: group.line,
                first: group.cases.first().map_or(0, |c| c.number as u32),
                cases: group.cases.len() as u32,
            }));
            match self.why_not(group) {
                Some(why) => self.skip(&group.cases, &why),
                None => self.group(group)?,
            }
        }
        if self.ended && self.goes_on_after_reset() {
            self.reset();
        }
        Ok(())
    }

    /// The stale cores of a group: those of the plan that can be in its state.
    pub(super) fn stale(&self, state: StaleState) -> CpuSet {
        let mut stale = self.conductor.plan.roles.stale;
        if state == StaleState::NeverStarted {
            stale = stale.iter().filter(|cpu| !core(*cpu).is_online()).collect();
        }
        stale
    }

    /// Why this machine cannot do a group, if it cannot.
    fn why_not(&self, group: &Group) -> Option<String> {
        let row = stuck::row(group.state);
        if self.conductor.counts_instructions && group.state.is_busy() {
            return Some(
                "with instructions counted all cores take turns, and one that never waits keeps \
                 its turn for seconds"
                    .into(),
            );
        }
        if self.stale(group.state).is_empty() && group.state != StaleState::Parked {
            return Some(match group.state {
                StaleState::NeverStarted if !self.conductor.plan.roles.stale.is_empty() => {
                    format!(
                        "CPU {} was started by the firmware",
                        self.conductor.boot_cpu
                    )
                }
                _ => "no core is left to be stale".into(),
            });
        }
        if row.needs == Needs::Psci
            && !psci::is_available()
            && group.state != StaleState::NeverStarted
        {
            return Some("this machine has no PSCI".into());
        }
        if group.state == StaleState::NeverStarted && group.line.needs_stale_core() {
            return Some("a core that was never started cannot have touched the lines".into());
        }
        None
    }

    fn skip(&mut self, cases: &[Case], why: &str) {
        for case in cases {
            self.finish(
                case,
                CaseRecord::blank(case, Verdict::Skipped, Some(why.into())),
            );
        }
    }

    /// A group, its stale cores entering their state once, or for each case:
    /// where what they do is used up by one, and where nobody is left to judge
    /// the cases before the one that does not return.
    fn group(&mut self, group: &Group) -> Result<(), String> {
        let used_up = group.state == StaleState::CpuOffInflight || group.line.needs_stale_core();
        let alone = self.conductor.plan.roles.sentinel.is_none();
        if used_up || alone && group.state != StaleState::NeverStarted {
            for case in &group.cases {
                if !self.ended {
                    self.run_in_state(group, core::slice::from_ref(case))?;
                }
            }
            return Ok(());
        }
        self.run_in_state(group, &group.cases)
    }

    /// Cases under one entry into the state, and again after each that blocked
    /// and was released.
    fn run_in_state(&mut self, group: &Group, cases: &[Case]) -> Result<(), String> {
        let never_started = group.state == StaleState::NeverStarted;
        let mut baselines = Vec::new();
        if !never_started {
            self.start_everybody()?;
            match self.baselines(group, cases)? {
                Some(found) => baselines = found,
                None => return Ok(()),
            }
        }
        let mut next = 0;
        while next < cases.len() && !self.ended {
            let stale = self.stale(group.state);
            if never_started && stale.is_empty() {
                self.skip(&cases[next..], "no core is left that was never started");
                break;
            }
            next += self.run_cases(
                group,
                &cases[next..],
                &stale,
                baselines.get(next..).unwrap_or(&[]),
            )?;
        }
        Ok(())
    }

    /// Enters the state once, runs cases until the end or a block, lets the
    /// cores go; how many cases that were.
    fn run_cases(
        &mut self,
        group: &Group,
        cases: &[Case],
        stale: &CpuSet,
        baselines: &[Box<Measured>],
    ) -> Result<usize, String> {
        let of = self.conductor.plan.roles.stale.len();
        let mut entered = match StaleSet::enter(stale, group.state, group.line, of) {
            Ok(entered) => entered,
            Err(why) => {
                for case in cases {
                    self.finish(
                        case,
                        CaseRecord::blank(case, Verdict::Inconclusive, Some(why.clone())),
                    );
                }
                stuck::recover(stale)?;
                return Ok(cases.len());
            }
        };
        self.set_lines(group.line, stale);
        let mut measured = Vec::new();
        let mut block = None;
        for case in cases {
            match self.measure(case, stale, Effort::Case)? {
                Outcome::Done(done) => measured.push((case, done)),
                Outcome::Blocked(held) => {
                    block = Some((case, held));
                    break;
                }
            }
        }
        let run = measured.len() + usize::from(block.is_some());
        let mut doubt = None;
        if let Some((case, held)) = &block {
            self.blocked(case, held, &mut entered);
            if self.ended {
                // The initiator is lost; what was measured before still counts.
                self.judge(measured, baselines, None, None);
                return Ok(run);
            }
        } else {
            doubt = entered.verify().err();
        }
        entered.release()?;
        self.drain()?;
        let mut late = Vec::new();
        let mut baselines = baselines;
        if group.state == StaleState::NeverStarted {
            self.start_everybody()?;
            match self.baselines(group, &cases[..run])? {
                Some(found) => late = found,
                None => return Ok(run),
            }
            baselines = &late;
        }
        let old = self.check_released(stale)?;
        self.judge(measured, baselines, doubt, old);
        drop(late);
        if let Some((case, held)) = block
            && self.conductor.bisect
        {
            let (samples, sweep) = (self.conductor.samples, self.conductor.plan.sweep);
            let effort = Effort::of_trial(&held, samples, sweep);
            self.bisect(group, case, stale, effort)?;
        }
        Ok(run)
    }

    /// Brings up every core that is not, and reports those that are new.
    pub fn start_everybody(&mut self) -> Result<(), String> {
        let all = CpuSet::first(percpu::all().len());
        start::start_all(&all)?;
        for cores in survey::groups(&all.difference(&self.reported)) {
            report::record(&Record::Cores(cores));
        }
        self.reported = all;
        Ok(())
    }

    /// The same cases with every other core parked; `None` if one blocked.
    fn baselines(
        &mut self,
        group: &Group,
        cases: &[Case],
    ) -> Result<Option<Vec<Box<Measured>>>, String> {
        let others = self.conductor.plan.roles.stale;
        if group.state == StaleState::Parked && !group.line.needs_stale_core() {
            return Ok(Some(Vec::new()));
        }
        let line = if group.line.needs_stale_core() {
            group.line
        } else {
            LineState::DirtyHere
        };
        let mut entered = StaleSet::enter(&others, StaleState::Parked, line, others.len())?;
        let mut found = Vec::new();
        for case in cases {
            if case.subject == Subject::SelftestHang {
                continue; // has no baseline: it never returns
            }
            match self.measure(case, &CpuSet::EMPTY, Effort::Baseline)? {
                Outcome::Done(done) => found.push(done),
                Outcome::Blocked(held) => {
                    self.blocked(case, &held, &mut entered);
                    if !self.ended {
                        entered.release()?;
                        let rest: Vec<Case> = cases
                            .iter()
                            .filter(|c| c.number != case.number)
                            .copied()
                            .collect();
                        self.skip(
                            &rest,
                            &format!("{} blocked with every other core parked", case.subject),
                        );
                    }
                    return Ok(None);
                }
            }
        }
        entered.release()?;
        Ok(Some(found))
    }
}
