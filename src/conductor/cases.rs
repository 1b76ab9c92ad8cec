//! One case: all initiators run it at once, somebody watches, and what they
//! bring back is judged.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use stalecore_model::{cpuset::CpuSet, glossary::StaleState, plan::Case, record::Record};

use super::{Outcome, Run};
use crate::{
    core_local, fabric,
    findings::{self, Measured},
    initiator::{self, AREAS, Order},
    mark::{self, Phase},
    recorder, report, scenario,
    sentinel::{self, Held, Watched},
    worker::{Command, core},
};

/// How much of a case is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effort {
    /// Its samples, with no core stale.
    Baseline,
    /// Everything.
    Case,
    /// As much as shows again what blocked.
    Trial {
        /// Samples per class.
        samples: u32,
        /// Did the depth sweep block?
        sweep: bool,
    },
}

impl Effort {
    /// Fewest samples of a trial.
    const FEWEST: u32 = 16;
    /// Samples of a trial for each operation up to the one that blocked, as one
    /// that blocks now and then may come later the next time.
    const FOR_EACH: u32 = 8;

    /// Of a trial after this block, in a plan of so many samples.
    pub(super) fn of_trial(held: &Held, samples: u32, sweep: bool) -> Self {
        let until = u32::try_from(held.seen.returned).unwrap_or(u32::MAX);
        let wanted = until.saturating_mul(Self::FOR_EACH).max(Self::FEWEST);
        let phase = held.seen.site.map(|site| site.phase);
        Self::Trial {
            samples: samples.min(wanted),
            sweep: sweep && !matches!(phase, Some(Phase::Issue | Phase::Complete)),
        }
    }
}

impl Run<'_> {
    /// Runs one case on all initiators at once.
    pub(super) fn measure(
        &mut self,
        case: &Case,
        stale: &CpuSet,
        effort: Effort,
    ) -> Result<Outcome, String> {
        let real = effort != Effort::Baseline;
        let (samples, sweep) = match effort {
            Effort::Baseline => (self.conductor.samples, false),
            Effort::Case => (self.conductor.samples, self.conductor.plan.sweep),
            Effort::Trial { samples, sweep } => (samples, sweep),
        };
        let roles = &self.conductor.plan.roles;
        let order = Order {
            subject: case.subject,
            line: case.line,
            samples,
            counter: self.conductor.judge.counter,
            batch: findings::batch_of(case.subject, self.conductor.judge.counter),
            sweep,
            stepped: real,
            stale: stale.len() as u32,
            gate: real && case.state == StaleState::CpuOffInflight,
            patient: matches!(effort, Effort::Trial { .. }),
            deadline_ms: self.conductor.plan.deadline_ms,
        };
        mark::begin_case(case.number);
        report::running(mark::case());
        if let Some(first) = roles.initiators.lowest() {
            recorder::fly(first, mark::read(core(first)));
        }
        let own = core_local::this().map(|c| c.index);
        for cpu in roles.initiators.iter() {
            core(cpu).job.put(order);
        }
        let others: CpuSet = roles
            .initiators
            .iter()
            .filter(|cpu| Some(*cpu) != own)
            .collect();
        scenario::ask(&others, Command::Measure, |_| 0);
        if own.is_some_and(|cpu| roles.initiators.contains(cpu))
            && let Some(core) = core_local::this()
        {
            initiator::measure(core);
        }
        match sentinel::watch(&others, self.conductor.plan.deadline_ms)? {
            Watched::Returned => {
                recorder::land();
                let measured = findings::collect(&roles.initiators);
                if measured.cut && effort == Effort::Case {
                    self.cut.push(case.number);
                }
                Ok(Outcome::Done(Box::new(measured)))
            }
            Watched::Held(held) => Ok(Outcome::Blocked(held)),
        }
    }

    /// Lets the initiators see the end of what they have posted, now that every
    /// core answers.
    pub(super) fn settle(&self) -> Result<(), String> {
        let own = core_local::this().map(|c| c.index);
        let initiators = self.conductor.plan.roles.initiators;
        let others: CpuSet = initiators.iter().filter(|cpu| Some(*cpu) != own).collect();
        if others.len() < initiators.len() {
            fabric::settle();
        }
        scenario::ask(&others, Command::Settle, |_| 0);
        scenario::wait_done(&others, "to see the end of what they have posted")
    }

    /// Lets released stale cores execute the newest code.
    pub(super) fn check_released(
        &self,
        stale: &CpuSet,
    ) -> Result<Option<(usize, u16, u16)>, String> {
        let Some(areas) = AREAS.get() else {
            return Ok(None);
        };
        let Some(initiator) = self.conductor.plan.roles.initiators.lowest() else {
            return Ok(None);
        };
        if self.conductor.plan.roles.initiators.len() != 1 {
            return Ok(None); // whose code is newest is not known
        }
        let newest = areas.newest();
        let here: CpuSet = stale
            .iter()
            .filter(|cpu| core(*cpu).online.load(Ordering::Acquire))
            .collect();
        scenario::ask(&here, Command::Check, |_| {
            initiator | usize::from(newest) << 16
        });
        scenario::wait_done(&here, "to execute the new code")?;
        Ok(here.iter().find_map(|cpu| {
            let seen = core(cpu).answer.load(Ordering::Relaxed);
            u16::try_from(seen).ok().map(|seen| (cpu, newest, seen))
        }))
    }

    /// Judges cases that returned; the last of them ran just before the
    /// released cores were seen to execute `old` code, if they did.
    pub(super) fn judge(
        &mut self,
        measured: Vec<(&Case, Box<Measured>)>,
        baselines: &[Box<Measured>],
        doubt: Option<String>,
        old: Option<(usize, u16, u16)>,
    ) {
        let count = measured.len();
        for (nth, (case, mut done)) in measured.into_iter().enumerate() {
            if nth + 1 == count && old.is_some() {
                done.stale_code = old;
            }
            let baseline = baselines.get(nth).map(Box::as_ref);
            let (record, fault) = self
                .conductor
                .judge
                .record(case, *done, baseline, doubt.clone());
            if let Some(fault) = fault {
                report::record(&Record::Fault(fault));
            }
            self.finish(case, record);
        }
    }
}
