//! The plan, group by group: enters the state, runs the cases, lets the cores
//! go, judges.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{LineState, StaleState, Subject, Verdict},
    plan::{Case, Group},
    record::{Absent, BASELINE_BLOCKED, CaseRecord, GroupRecord, Record},
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
    stuck::{self, Proof, StaleSet},
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
        let stale = self.conductor.plan.roles.stale.intersection(&self.present);
        // Where a core shows itself, or looks for its way out, by an interrupt.
        let by_interrupt = stuck::row(state).proof == Proof::Interrupt
            || matches!(state, StaleState::WfiMasked | StaleState::CpuSuspend);
        let can = |cpu: &usize| match state {
            StaleState::NeverStarted => !core(*cpu).is_online(),
            // One that takes none can show nothing there.
            _ => !(by_interrupt && core(*cpu).polls()),
        };
        stale.iter().filter(can).collect()
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
        if row.needs_psci && !psci::is_available() && group.state != StaleState::NeverStarted {
            return Some("this machine has no PSCI".into());
        }
        let first = self.stale(group.state).lowest();
        if row.needs_psci
            && group.state.powered_off()
            && first.is_some_and(|cpu| !psci::tells_affinity(core(cpu).cpu.mpidr))
        {
            return Some("PSCI has no AFFINITY_INFO: nothing tells that a core is off".into());
        }
        if group.state == StaleState::CpuSuspend
            && let Err(why) = psci::may_standby()
        {
            return Some(why.into());
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
        let passes = stuck::row(group.state).hold.is_some();
        let used_up = passes || group.line.needs_stale_core();
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
                if let Err(lost) = stuck::recover(stale) {
                    if self.exit == ExitCode::Blocked {
                        self.lost_after_block(&lost);
                    } else {
                        self.go_on_without(stale, &lost)?;
                    }
                }
                return Ok(cases.len());
            }
        };
        if group.state == StaleState::CpuSuspend
            && let Some(error) = stuck::refused()
        {
            entered.release()?;
            self.skip(cases, &format!("PSCI CPU_SUSPEND: {error}"));
            return Ok(cases.len());
        }
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
            self.blocked(case, held, &mut entered, false);
            if self.ended {
                // The initiator is lost; what was measured before still counts.
                self.judge(measured, baselines, None, None);
                return Ok(run);
            }
        } else {
            doubt = entered.verify().err();
        }
        if let Err(lost) = entered.release().and_then(|()| self.drain()) {
            if block.is_none() {
                self.go_on_without(stale, &lost)?;
                doubt = Some(lost);
            } else {
                self.lost_after_block(&lost);
                self.judge(measured, baselines, None, None);
                return Ok(run);
            }
        }
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
        let old = match self.check_released(stale) {
            Ok(old) => old,
            Err(lost) if block.is_some() => {
                self.lost_after_block(&lost);
                None
            }
            Err(lost) => return Err(lost),
        };
        self.judge(measured, baselines, doubt, old);
        drop(late);
        if let Some((case, held)) = block
            && self.conductor.bisect
            && !self.ended
        {
            let (samples, sweep) = (self.conductor.samples, self.conductor.plan.sweep);
            let effort = Effort::of_trial(&held, samples, sweep);
            self.bisect(group, case, stale, effort)?;
        }
        Ok(run)
    }

    /// Brings up every core that is not, and reports those that are new; a core that
    /// does not come up has no role from then on.
    ///
    /// # Errors
    /// It was an initiator.
    pub fn start_everybody(&mut self) -> Result<(), String> {
        let all = CpuSet::first(percpu::all().len());
        let missing = start::start_all(&self.present);
        let cpus: CpuSet = missing.iter().map(|missing| missing.cpu).collect();
        self.present = self.present.difference(&cpus);
        // What was left by a kernel was found before anything ran.
        report::absent(missing.into_iter().map(|missing| missing.told(false)));
        let initiators = cpus.intersection(&self.conductor.plan.roles.initiators);
        if !initiators.is_empty() {
            return Err(format!("initiator CPU {initiators} does not come up"));
        }
        for cores in survey::groups(&all.difference(&self.reported)) {
            report::record(&Record::Cores(cores));
        }
        self.reported = all;
        Ok(())
    }

    /// Goes on without those of the stale cores that did not come back.
    ///
    /// # Errors
    /// `why`, if it is none of them that is missing.
    fn go_on_without(&mut self, stale: &CpuSet, why: &str) -> Result<(), String> {
        let away = |cpu: &usize| !core(*cpu).is_online() || !core(*cpu).mailbox.is_done();
        let lost: CpuSet = stale.iter().filter(away).collect();
        if lost.is_empty() {
            return Err(why.into());
        }
        self.present = self.present.difference(&lost);
        report::absent(lost.iter().map(|cpu| Absent {
            cpus: CpuSet::one(cpu),
            why: why.into(),
            inherited: false,
        }));
        Ok(())
    }

    /// The same cases with every other core parked; `None` if one blocked.
    fn baselines(
        &mut self,
        group: &Group,
        cases: &[Case],
    ) -> Result<Option<Vec<Box<Measured>>>, String> {
        let others = self.stale(StaleState::Parked);
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
                    self.blocked(case, &held, &mut entered, true);
                    if !self.ended
                        && let Err(lost) = entered.release()
                    {
                        self.lost_after_block(&lost);
                    }
                    if !self.ended {
                        let rest: Vec<Case> = cases
                            .iter()
                            .filter(|c| c.number != case.number)
                            .copied()
                            .collect();
                        self.skip(&rest, &format!("{} {BASELINE_BLOCKED}", case.subject));
                    }
                    return Ok(None);
                }
            }
        }
        entered.release()?;
        // Stale cores are about to execute what the initiators have written.
        self.drain()?;
        Ok(Some(found))
    }
}
