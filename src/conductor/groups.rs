//! The plan, group by group: enters the state, runs the cases, lets the cores
//! go, judges.

use alloc::{
    boxed::Box,
    format,
    string::String,
    vec::{self, Vec},
};
use core::slice;

use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{StaleState, Subject, Verdict},
    measured::{self, Measured, Series},
    part::baseline_line,
    plan::{Case, Group, not_allowed},
    record::{Absent, BASELINE_BLOCKED, CaseRecord, GroupRecord, Record},
};

use super::{
    cases::Visit,
    effort::{Effort, Part},
    run::{Conductor, Run},
};
use crate::{
    board,
    cores::{
        percpu::{self, core},
        start, survey,
    },
    fabric,
    hal::{psci, sdei},
    report::{self, screen},
    stuck::{self, Proof, StaleSet},
};

/// Runs the plan, and ends the image.
pub fn run_plan(conductor: &Conductor) -> ! {
    let mut run = Run::new(conductor);
    let result = run.groups();
    if let Err(error) = &result {
        report::note(format!("harness error: {error}"));
        screen::fail(|| error.clone());
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
        // Does a core show itself, or find its way out, by an interrupt?
        let by_interrupt = stuck::row(state).proof == Proof::Interrupt
            || matches!(
                state,
                StaleState::WfiMasked | StaleState::CpuSuspend | StaleState::CpuSuspendPowerdown
            );
        let can = |cpu: &usize| match state {
            StaleState::NeverStarted => !core(*cpu).is_online(),
            // A core that takes none can show nothing there.
            _ => !(by_interrupt && core(*cpu).polls()),
        };
        stale.iter().filter(can).collect()
    }

    /// Why this machine cannot do a group, if it cannot.
    fn why_not(&self, group: &Group) -> Option<String> {
        let row = stuck::row(group.state);
        if group.state.gate().is_some() && !board::get().options.allow.contains(&group.state) {
            return Some(not_allowed(group.state));
        }
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
        if group.state == StaleState::DeviceStuck && !fabric::is_on() && stuck::device().is_none() {
            return Some(
                "nothing here is known not to answer: --device-stuck-at ADDRESS names a register \
                 that is, or --fabric has EL2 play one"
                    .into(),
            );
        }
        if group.state == StaleState::SdeiParked && !sdei::is_on() {
            return Some("this machine's firmware has no SDEI for the image".into());
        }
        if group.state == StaleState::CpuSuspendPowerdown && !stuck::may_power_down() {
            return Some("no idle state of a device tree powers a core down by CPU_SUSPEND".into());
        }
        if group.state == StaleState::CpuSuspend
            && let Err(why) = psci::may_standby()
        {
            return Some(why.into());
        }
        if group.state.powered_off() && group.line.needs_stale_core() {
            return Some("a core that is off has no lines: nothing is left in its caches".into());
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

    /// Runs a group: its cases in rounds, and what came of them. Without a sentinel each
    /// case by itself: behind one that does not return, nobody could judge those before.
    fn group(&mut self, group: &Group) -> Result<(), String> {
        let alone = self.conductor.plan.roles.sentinel.is_none();
        if alone && group.state != StaleState::NeverStarted {
            for case in &group.cases {
                if !self.ended {
                    self.run_in_state(group, slice::from_ref(case))?;
                }
            }
            return Ok(());
        }
        self.run_in_state(group, &group.cases)
    }

    /// Does one case use up what the cores do in a part of a round, so that each needs
    /// its own entry into the state?
    pub(super) fn is_used_up(group: &Group, parked: bool) -> bool {
        let passes = stuck::row(group.state).hold.is_some() && !parked;
        passes || group.line.needs_stale_core()
    }

    /// Runs cases under one entry into the state, or each under its own, with a new entry
    /// after each that blocked and was released; then further rounds of those that
    /// returned.
    fn run_in_state(&mut self, group: &Group, cases: &[Case]) -> Result<(), String> {
        let never_started = group.state == StaleState::NeverStarted;
        let mut baselines = Vec::new().into_iter();
        if !never_started {
            self.start_everybody()?;
            match self.baselines(group, cases)? {
                Some(found) => baselines = found.into_iter(),
                None => return Ok(()),
            }
        }
        let most = match Self::is_used_up(group, false) {
            true => 1,
            false => cases.len(),
        };
        let mut series = Vec::new();
        let mut next = 0;
        while next < cases.len() && !self.ended {
            let stale = self.stale(group.state);
            if never_started && stale.is_empty() {
                self.skip(&cases[next..], "no core is left that was never started");
                break;
            }
            let these = &cases[next..cases.len().min(next + most)];
            next += self.run_cases(group, these, &stale, &mut baselines, &mut series)?;
        }
        let further = match self.ended {
            true => Ok(()),
            false => self.rounds(group, &mut series),
        };
        // Even if that failed, what was measured counts.
        self.judge(series);
        further
    }

    /// Enters the state once, runs cases until the end or a block, releases the cores;
    /// returns how many cases were run. Those that returned are added to the series, each
    /// with the next of the baselines.
    fn run_cases<'a>(
        &mut self,
        group: &Group,
        cases: &'a [Case],
        stale: &CpuSet,
        baselines: &mut vec::IntoIter<Box<Measured>>,
        series: &mut Vec<Series<'a>>,
    ) -> Result<usize, String> {
        let of = self.conductor.plan.roles.stale.len();
        let row = stuck::row(group.state);
        let mut entered = match StaleSet::enter(stale, group.state, group.line, of) {
            Ok(entered) => entered,
            Err(why) => {
                for case in cases {
                    baselines.next();
                    self.finish(
                        case,
                        CaseRecord::blank(case, Verdict::Inconclusive, Some(why.clone())),
                    );
                }
                if let Err(lost) = stuck::recover(stale) {
                    if self.outcomes.exit_so_far() == ExitCode::Blocked {
                        self.lost_after_block(&lost);
                    } else {
                        self.go_on_without(stale, &lost)?;
                    }
                }
                return Ok(cases.len());
            }
        };
        if matches!(
            group.state,
            StaleState::CpuSuspend | StaleState::CpuSuspendPowerdown
        ) && let Some(error) = stuck::refused()
        {
            entered.release()?;
            self.skip(cases, &format!("PSCI CPU_SUSPEND: {error}"));
            return Ok(cases.len());
        }
        let unanswered = row.proof == Proof::Unanswered;
        if unanswered && let Some(came) = stuck::answered() {
            entered.release()?;
            let at = stuck::device().unwrap_or(0);
            self.skip(
                cases,
                &format!("a load from {at:#x} {came}: nothing is stuck there"),
            );
            return Ok(cases.len());
        }
        self.set_lines(group.line, stale);
        let mut visit = self.visit(cases, stale, Effort::Case(Part::FIRST))?;
        if group.state == StaleState::NeverStarted {
            self.visits_before_start(cases, stale, &mut visit)?;
        }
        let Visit { done, held } = visit;
        let returned = done.len();
        let block = held.as_ref().map(|held| (&cases[returned], held));
        let run = returned + usize::from(block.is_some());
        let mut doubt = None;
        let mut lost = None;
        if let Some((case, held)) = block {
            self.blocked(case, held, &mut entered, false);
        } else {
            doubt = entered.verify().err();
        }
        // Where the initiator is lost, what was measured before still counts.
        if !self.ended {
            lost = entered.release().and_then(|()| self.drain()).err();
        }
        if group.state == StaleState::CpuSuspendPowerdown && stuck::stood_by() {
            doubt = Some("PSCI CPU_SUSPEND returned: the cores only stood by".into());
        }
        if let Some(lost) = lost {
            if block.is_none() {
                self.go_on_without(stale, &lost)?;
                // Nothing releases a load that is not answered.
                doubt = doubt.or((!unanswered).then_some(lost));
            } else {
                self.lost_after_block(&lost);
            }
        }
        let mut late = Vec::new();
        if group.state == StaleState::NeverStarted && !self.ended {
            self.start_everybody()?;
            match self.baselines_in_rounds(group, &cases[..run])? {
                Some(found) => late = found,
                None => return Ok(run),
            }
        }
        let mut old = None;
        if !self.ended {
            old = match self.check_released(stale) {
                Ok(old) => old,
                Err(lost) if block.is_some() => {
                    self.lost_after_block(&lost);
                    None
                }
                Err(lost) => return Err(lost),
            };
        }
        let own: Vec<_> = match group.state {
            StaleState::NeverStarted => late,
            _ => baselines.take(run).collect(),
        };
        series.extend(measured::series(cases, done, own, doubt.as_ref()));
        // It ran just before the released cores were seen to execute old code.
        if let Some(last) = series.last_mut().filter(|_| old.is_some()) {
            last.done.stale_code = old;
        }
        if let Some((case, held)) = block
            && self.conductor.bisect
            && !self.ended
        {
            let (samples, sweep) = (self.conductor.samples, self.conductor.plan.sweep);
            let effort = Effort::of_trial(held, samples, sweep);
            self.bisect(group, case, stale, effort)?;
        }
        Ok(run)
    }

    /// Brings up every core that is not, and reports those that are new; a core that
    /// does not come up has no role from then on.
    ///
    /// # Errors
    /// A core that does not come up is an initiator.
    pub fn start_everybody(&mut self) -> Result<(), String> {
        let all = CpuSet::first(percpu::all().len());
        let missing = start::start_all(&self.present);
        let cpus: CpuSet = missing.iter().map(|missing| missing.cpu).collect();
        self.present = self.present.difference(&cpus);
        // Cores that a kernel left stuck were found before anything ran.
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
    /// `why`, if none of them is missing.
    pub(super) fn go_on_without(&mut self, stale: &CpuSet, why: &str) -> Result<(), String> {
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

    /// The first part of the same cases with every other core parked; `None` if one
    /// blocked.
    pub(super) fn baselines(
        &mut self,
        group: &Group,
        cases: &[Case],
    ) -> Result<Option<Vec<Box<Measured>>>, String> {
        if group.state == StaleState::Parked && !group.line.needs_stale_core() {
            return Ok(Some(Vec::new()));
        }
        let others = self.stale(StaleState::Parked);
        let line = baseline_line(group);
        let most = match Self::is_used_up(group, true) {
            true => 1,
            false => cases.len().max(1),
        };
        let mut found = Vec::with_capacity(cases.len());
        for these in cases.chunks(most) {
            if these[0].subject == Subject::SelftestHang {
                continue; // has no baseline: it never returns
            }
            let mut entered = StaleSet::enter(&others, StaleState::Parked, line, others.len())?;
            let visit = self.visit(these, &CpuSet::EMPTY, Effort::Baseline(Part::FIRST))?;
            found.extend(visit.done);
            let Some(held) = visit.held else {
                entered.release()?;
                // Stale cores are about to execute what the initiators have written.
                self.drain()?;
                continue;
            };
            let case = &cases[found.len()];
            self.blocked(case, &held, &mut entered, true);
            if !self.ended
                && let Err(lost) = entered.release()
            {
                self.lost_after_block(&lost);
            }
            if !self.ended {
                let others = cases.iter().filter(|c| c.number != case.number);
                let rest: Vec<Case> = others.copied().collect();
                self.skip(&rest, &format!("{} {BASELINE_BLOCKED}", case.subject));
            }
            return Ok(None);
        }
        Ok(Some(found))
    }
}
