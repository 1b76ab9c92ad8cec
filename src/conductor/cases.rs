//! One case: all initiators run it at once, somebody watches, and what they
//! bring back is judged.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    fabric::holders,
    glossary::{LineState, Need},
    plan::Case,
    record::Record,
};
use stalecore_routines::probe::batch_of;

use super::{
    findings::{self, Measured},
    run::{Outcome, Run},
    sentinel::{self, Held, Watched},
};
use crate::{
    cores::{
        ask::{ask, wait_done},
        command::Command,
        job::Order,
        mark::{self, Phase},
        percpu::{self, Core, core},
        sleep,
    },
    fabric,
    hal::{arch, clock, psci, watchdog},
    measure::{self, AREAS},
    report::{self, recorder},
    stuck,
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

/// How much longer the sentinel sleeps than the initiators: its waking is not to be what
/// comes before the operation.
const DOZES_ON_MS: u64 = 20;

/// Sleeps, but for what the watchdog wants.
fn doze(own: &Core, begun: u64, ms: u64) {
    let mut slept = 0;
    while slept < ms {
        slept = watchdog::refresh_ms().map_or(ms, |most| ms.min(slept + most));
        sleep::until(own, begun, slept);
        watchdog::refresh();
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
        if let Some(why) = self.lacks(case) {
            return Ok(Outcome::Done(Box::new(Measured::lacking(why))));
        }
        let real = effort != Effort::Baseline;
        let (samples, sweep) = match effort {
            Effort::Baseline => (self.conductor.samples, false),
            Effort::Case => (self.conductor.samples, self.conductor.plan.sweep),
            Effort::Trial { samples, sweep } => (samples, sweep),
        };
        let order = Order {
            subject: case.subject,
            line: case.line,
            samples,
            counter: self.conductor.judge.counter,
            batch: batch_of(case.subject, self.conductor.judge.counter),
            sweep,
            stepped: real,
            stale: stale.len() as u32,
            cpu_off_hold: real && stuck::row(case.state).hold.is_some(),
            patient: matches!(effort, Effort::Trial { .. }),
            deadline_ms: self.conductor.plan.deadline_ms,
            dwell_ms: None,
        };
        mark::begin_case(case.number);
        report::running(mark::case());
        let mut measured = match self.carry_out(order) {
            Watched::Returned => self.collect(case),
            Watched::Held(held) => return Ok(Outcome::Blocked(held)),
        };
        if measured.cut && effort == Effort::Case {
            self.cut.push(case.number);
        }
        if !matches!(effort, Effort::Trial { .. }) && !measured.has_faulted() {
            let dwell = &self.conductor.plan.dwell;
            for (ms, nth) in dwell
                .before(case.subject)
                .iter()
                .flat_map(|ms| (0..dwell.samples()).map(move |nth| (*ms, nth)))
            {
                let order = Order {
                    samples: nth,
                    batch: 1,
                    dwell_ms: Some(ms),
                    ..order
                };
                match self.carry_out(order) {
                    Watched::Returned => measured.add_dwell(ms, self.collect(case)),
                    Watched::Held(held) => return Ok(Outcome::Blocked(held)),
                }
            }
        }
        Ok(Outcome::Done(Box::new(measured)))
    }

    /// What the initiators have brought back.
    fn collect(&mut self, case: &Case) -> Measured {
        recorder::clear_in_flight();
        self.tell_serrors(case.number);
        findings::collect(&self.conductor.plan.roles.initiators)
    }

    /// Has all initiators carry out an order at once, and watches them.
    fn carry_out(&self, order: Order) -> Watched {
        let roles = &self.conductor.plan.roles;
        if let Some(first) = roles.initiators.lowest() {
            recorder::set_in_flight(first, core(first).mark.read());
        }
        let own = percpu::this().filter(|own| roles.initiators.contains(own.index));
        for cpu in roles.initiators.iter() {
            core(cpu).job.put(order);
        }
        let mut others = roles.initiators;
        if let Some(own) = own {
            others.remove(own.index);
        }
        let begun = clock::now();
        ask(&others, Command::Measure, |_| 0);
        if let Some(own) = own {
            measure::run_order(own);
        } else if let (Some(ms), Some(watcher)) = (order.dwell_ms, percpu::this()) {
            doze(watcher, begun, u64::from(ms) + DOZES_ON_MS);
        }
        sentinel::watch(&others, self.conductor.plan.deadline_ms)
    }

    /// What a case needs that this machine, or its stale state, does not have.
    fn lacks(&self, case: &Case) -> Option<String> {
        match case.subject.needs()? {
            Need::Lse => (!arch::has_lse()).then(|| "this core has no FEAT_LSE".into()),
            Need::TlbRange => {
                (!arch::has_tlb_ranges()).then(|| "this core has no FEAT_TLBIRANGE".into())
            }
            Need::Psci => (!psci::is_available()).then(|| "this machine has no PSCI".into()),
            Need::Taker => {
                let takes =
                    stuck::takes_interrupts(case.state) && !self.stale(case.state).is_empty();
                (!takes).then(|| format!("no core takes interrupts in {}", case.state))
            }
        }
    }

    /// Says what asynchronous aborts cores have taken since they were told of last.
    fn tell_serrors(&mut self, case: usize) {
        let all = percpu::all();
        let count = all.iter().map(|core| core.serrors().0).sum();
        if count == self.serrors {
            return;
        }
        self.serrors = count;
        for core in all {
            let (count, esr) = core.serrors();
            if count > 0 {
                report::note(format!(
                    "CPU {} has taken {count} SErrors by the end of case {case}, the last with \
                     ESR_EL1 {esr:#x}",
                    core.index
                ));
            }
        }
    }

    /// Lets the initiators see the end of what they have posted, and make visible what
    /// was left that way on purpose, now that every core answers.
    pub(super) fn drain(&self) -> Result<(), String> {
        let own = percpu::this().map(|c| c.index);
        let initiators = self.conductor.plan.roles.initiators;
        let others: CpuSet = initiators.iter().filter(|cpu| Some(*cpu) != own).collect();
        if let Some(own) = own.filter(|cpu| initiators.contains(*cpu)) {
            fabric::drain();
            measure::mend(own);
        }
        ask(&others, Command::Drain, |_| 0);
        wait_done(&others, "to see the end of what they have posted")
    }

    /// Tells the fabric which stale cores may hold the lines under test.
    pub(super) fn set_lines(&self, line: LineState, stale: &CpuSet) {
        if let Some(areas) = AREAS.get() {
            fabric::set_lines(areas.range(), &holders(line, *stale));
        }
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
        let here: CpuSet = stale.iter().filter(|cpu| core(*cpu).is_online()).collect();
        ask(&here, Command::Check, |_| {
            initiator | usize::from(newest) << 16
        });
        wait_done(&here, "to execute the new code")?;
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
