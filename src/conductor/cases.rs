//! One case: all initiators run it at once, somebody watches, and what they
//! bring back is judged.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    fabric::holders,
    glossary::{LineState, Need, StaleState, Subject},
    maintenance::MessageClass,
    measured::{Measured, Series},
    plan::Case,
    record::Record,
};
use stalecore_routines::probe::batch_of;

use super::{
    effort::{Effort, Part},
    findings,
    run::Run,
    sentinel::{self, Held, Watched},
    witness,
};
use crate::{
    board,
    cores::{
        ask::{ask, wait_done},
        command::Command,
        job::{Job, Order},
        mark,
        percpu::{self, Core, core},
        sleep,
    },
    fabric,
    hal::{arch, clock, psci, watchdog},
    measure::{self, AREAS},
    report::{self, recorder, screen},
    stuck,
};

/// What a visit to a state brings.
pub(super) struct Visit {
    /// What was measured of the cases that returned, in order.
    pub(super) done: Vec<Box<Measured>>,
    /// The next case, if it did not return.
    pub(super) held: Option<Held>,
}

/// How often a visit is tried, if the empty block is held up.
const VISITS: usize = 3;

/// Samples of the empty block in each visit.
const OF_EMPTY: u32 = 16;

/// How much longer the sentinel sleeps than the initiators, so that its waking does not
/// come just before the operation.
const DOZES_ON_MS: u64 = 20;

/// Sleeps, waking only to refresh the watchdog.
fn doze(own: &Core, begun: u64, ms: u64) {
    let mut slept = 0;
    while slept < ms {
        slept = watchdog::refresh_ms().map_or(ms, |most| ms.min(slept + most));
        sleep::until(own, begun, slept);
        watchdog::refresh();
    }
}

impl Run<'_> {
    /// Runs these cases on all initiators at once, the empty block before them, until one
    /// does not return.
    ///
    /// # Errors
    /// The empty block does not return: only a core that is not run can be held up there.
    pub(super) fn visit(
        &mut self,
        cases: &[Case],
        stale: &CpuSet,
        effort: Effort,
    ) -> Result<Visit, String> {
        for _ in 0..VISITS {
            if let Some(visit) = self.try_visit(cases, stale, effort)? {
                return Ok(visit);
            }
        }
        Err(format!(
            "an empty timed block was held up {VISITS} times in a row"
        ))
    }

    /// The same; `None` if the empty block was held up, and has returned since.
    fn try_visit(
        &mut self,
        cases: &[Case],
        stale: &CpuSet,
        effort: Effort,
    ) -> Result<Option<Visit>, String> {
        let lacks: Vec<_> = cases.iter().map(|case| self.lacks(case)).collect();
        let mut orders = Vec::with_capacity(cases.len() + 1);
        if let Some(first) = cases.first() {
            orders.push(self.empty_block(first, stale));
        }
        for (case, _) in cases.iter().zip(&lacks).filter(|(_, why)| why.is_none()) {
            orders.push(self.order(case, stale, effort));
        }
        let mut found = Vec::with_capacity(orders.len());
        let mut held = None;
        for orders in orders.chunks(self.conductor.plan.most_at_once()) {
            let Some(at) = self.hand_over(orders, &mut found) else {
                continue;
            };
            if !found.is_empty() {
                held = Some(at);
                break;
            }
            // Only the empty block: the core is not run. Nothing to do but wait for it.
            let plan = &self.conductor.plan;
            self.at_rest(&plan.roles.initiators, 10 * plan.deadline_ms)?;
            return Ok(None);
        }
        let mut found = found.into_iter();
        let empty = found.next();
        let empty = empty.map_or((0, 0), |empty| (empty.median(), empty.max()));
        let mut done: Vec<Box<Measured>> = Vec::with_capacity(cases.len());
        for (case, lacks) in cases.iter().zip(lacks) {
            if let Some(why) = lacks {
                done.push(Box::new(Measured::lacking(why)));
                continue;
            }
            let Some(mut measured) = found.next() else {
                break;
            };
            measured.set_empty(empty.0, empty.1);
            // In rounds that confirm, one late sample is enough.
            let counts = matches!(effort, Effort::Case(part) if part.nth < part.of);
            if measured.cut && counts {
                self.outcomes.cut(case.number);
            }
            done.push(measured);
        }
        if held.is_none() && effort.is_first() {
            for (nth, case) in cases.iter().enumerate() {
                held = self.dwells(case, stale, effort, &mut done[nth]);
                if held.is_some() {
                    done.truncate(nth);
                    break;
                }
            }
        }
        Ok(Some(Visit { done, held }))
    }

    /// Adds what is measured of a case behind dwells, if that is wanted; returns the
    /// operation that did not return, if any.
    fn dwells(
        &mut self,
        case: &Case,
        stale: &CpuSet,
        effort: Effort,
        measured: &mut Measured,
    ) -> Option<Held> {
        if !measured.is_clean() {
            return None;
        }
        let dwell = &self.conductor.plan.dwell;
        for (ms, nth) in dwell
            .before(case.subject)
            .iter()
            .flat_map(|ms| (0..dwell.samples()).map(move |nth| (*ms, nth)))
        {
            let order = Order {
                samples: nth,
                batch: 1,
                sweep: false,
                dwell_ms: Some(ms),
                ..self.order(case, stale, effort)
            };
            let mut one = Vec::new();
            if let Some(held) = self.hand_over(&[order], &mut one) {
                return Some(held);
            }
            one.into_iter().for_each(|one| measured.add_dwell(ms, *one));
        }
        None
    }

    /// What is to be done for a case.
    fn order(&self, case: &Case, stale: &CpuSet, effort: Effort) -> Order {
        let whole = self.conductor.samples;
        let (samples, parts, first, real) = match effort {
            Effort::Baseline(part) => (part.share(whole), part.times(), false, false),
            Effort::Case(part) => (part.share(whole), part.times(), part.nth == 0, true),
            Effort::Trial { samples, .. } => (samples, 1, true, true),
        };
        let sweep = match effort {
            Effort::Trial { sweep, .. } => sweep,
            _ => first && self.conductor.plan.sweep,
        };
        Order {
            case: case.number,
            subject: case.subject,
            line: case.line,
            state: case.state,
            looks: real && self.conductor.plan.roles.initiators.len() == 1,
            samples,
            parts,
            only: match effort {
                Effort::Baseline(part) | Effort::Case(part) => part.only,
                Effort::Trial { .. } => None,
            },
            counter: self.conductor.counter,
            batch: batch_of(case.subject, self.conductor.counter),
            sweep,
            // What was late with steps may be late without, and then has no mark inside.
            stepped: first || real && self.outcomes.was_cut(case.number),
            stale: stale.len() as u32,
            cpu_off_hold: real && stuck::row(case.state).hold.is_some(),
            // The handler's broadcast holds up nothing that would not be held up itself.
            interrupted: case.state == StaleState::SgiStorm
                && matches!(
                    case.subject.sends(),
                    None | Some(MessageClass::Dvm | MessageClass::Sync)
                ),
            patient: matches!(effort, Effort::Trial { .. }),
            deadline_ms: self.conductor.plan.deadline_ms,
            dwell_ms: None,
        }
    }

    /// The empty block beside a case.
    fn empty_block(&self, beside: &Case, stale: &CpuSet) -> Order {
        let case = Case {
            subject: Subject::None,
            ..*beside
        };
        Order {
            samples: OF_EMPTY,
            ..self.order(&case, stale, Effort::Baseline(Part::WHOLE))
        }
    }

    /// Has the initiators carry out orders, and adds what they bring back; returns the
    /// operation that did not return, if any.
    fn hand_over(&mut self, orders: &[Order], done: &mut Vec<Box<Measured>>) -> Option<Held> {
        let (first, last) = (orders.first()?.case, orders.last()?.case);
        let initiators = self.conductor.plan.roles.initiators;
        mark::begin_case(first);
        report::running(mark::case());
        if let Some(order) = orders.last() {
            screen::now(first, order.case, order.subject);
        }
        if let Some(first) = initiators.lowest() {
            recorder::set_in_flight(first, core(first).mark.read());
        }
        let own = percpu::this().map(|c| c.index);
        let jobs = || initiators.iter().filter_map(|cpu| core(cpu).job.get());
        jobs().for_each(|job| job.put(orders.iter().copied()));
        let others: CpuSet = initiators.iter().filter(|cpu| Some(*cpu) != own).collect();
        // While nothing is in flight that could hold a load up.
        let before = witness::read();
        let begun = clock::now();
        ask(&others, Command::Measure, |_| 0);
        let dwell_ms = orders.first().and_then(|order| order.dwell_ms);
        match (percpu::this(), dwell_ms) {
            (Some(own), _) if initiators.contains(own.index) => measure::run_orders(own),
            (Some(watcher), Some(ms)) => doze(watcher, begun, u64::from(ms) + DOZES_ON_MS),
            _ => {}
        }
        let watched = self.watch(&others);
        let (returned, held) = match watched {
            Watched::Returned => (orders.len(), None),
            Watched::Held(held) => {
                jobs().for_each(Job::stop);
                // A core held up behind its last operation has not come back either.
                let done = jobs().map(Job::done).min().unwrap_or(0);
                let subjects = orders.iter().map(|order| order.subject);
                let returned = held.seen.order(subjects, done);
                (returned, Some(Held { before, ..held }))
            }
        };
        if held.is_none() {
            recorder::clear_in_flight();
            self.tell_serrors(last);
        }
        let started = self.conductor.started;
        done.extend(
            (0..returned).map(|nth| Box::new(findings::collect(&initiators, nth, started))),
        );
        held
    }

    /// What a case needs that this machine, or its stale state, does not have.
    fn lacks(&self, case: &Case) -> Option<String> {
        match case.subject.needs()? {
            Need::Lse => (!arch::has_lse()).then(|| "this core has no FEAT_LSE".into()),
            Need::TlbRange => {
                (!arch::has_tlb_ranges()).then(|| "this core has no FEAT_TLBIRANGE".into())
            }
            Need::Psci => (!psci::is_available()).then(|| "this machine has no PSCI".into()),
            Need::El2 => (board::get().entry_el < 2)
                .then(|| "the image was entered at EL1: EL2 is not its own".into()),
            Need::Taker => {
                let takes =
                    stuck::takes_interrupts(case.state) && !self.stale(case.state).is_empty();
                (!takes).then(|| format!("no core takes interrupts in {}", case.state))
            }
        }
    }

    /// Reports the asynchronous aborts that cores have taken since the last report.
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

    /// Has the initiators wait for what they have posted, and make visible what was left
    /// invisible on purpose, now that every core answers.
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

    /// Has released stale cores execute the newest code.
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
            return Ok(None); // nobody knows whose code is newest
        }
        let newest = areas.newest();
        let here = stale.intersection(&self.present);
        let here: CpuSet = here.iter().filter(|cpu| core(*cpu).is_online()).collect();
        ask(&here, Command::Check, |_| {
            initiator | usize::from(newest) << 16
        });
        wait_done(&here, "to execute the new code")?;
        Ok(here.iter().find_map(|cpu| {
            let seen = core(cpu).answer.load(Ordering::Relaxed);
            u16::try_from(seen).ok().map(|seen| (cpu, newest, seen))
        }))
    }

    /// Judges cases that returned.
    pub(super) fn judge(&mut self, series: Vec<Series<'_>>) {
        for series in series {
            let (case, looks) = (series.case, series.done.looks);
            let batch = batch_of(case.subject, self.conductor.counter);
            let now_ms = clock::ms_since(self.conductor.started);
            if let Some(clock) = series.clock() {
                self.outcomes.clock(clock);
            }
            let (record, fault) = self.conductor.judge.record(series, batch, now_ms);
            if let Some((cpu, registers, returned)) = fault {
                let fault = findings::fault_record(case, case.subject, cpu, registers, returned);
                report::record(&Record::Fault(fault));
            }
            if looks > 0 {
                report::note(format!(
                    "case {}: looked {looks} times for a store to a page behind its {} and DSB",
                    case.number, case.subject
                ));
            }
            self.finish(case, record);
        }
    }

    /// Watches these initiators as the sentinel, each for the plan's deadline.
    pub(super) fn watch(&self, initiators: &CpuSet) -> Watched {
        self.watch_for(initiators, self.conductor.plan.deadline_ms)
    }

    fn watch_for(&self, initiators: &CpuSet, deadline_ms: u32) -> Watched {
        sentinel::watch(initiators, deadline_ms, self.conductor.counts_instructions)
    }

    /// Waits until the initiators have done what they were asked, none of it an operation.
    fn at_rest(&self, initiators: &CpuSet, deadline_ms: u32) -> Result<(), String> {
        match self.watch_for(initiators, deadline_ms) {
            Watched::Returned => Ok(()),
            Watched::Held(held) => Err(format!(
                "CPU {} has not gone on in an empty timed block",
                held.cpu
            )),
        }
    }
}
