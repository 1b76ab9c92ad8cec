//! What the conductor does about an operation that does not return.

use alloc::{format, string::String};
use core::slice;

use stalecore_model::{
    bisect::Bisector,
    cpuset::CpuSet,
    glossary::{StaleState, Subject, Verdict},
    options::AfterBlock,
    plan::{Case, Group},
    record::{BASELINE_BLOCKED, BisectRecord, CaseRecord, Record, RungRecord},
    recorder::Trial,
};

use super::{
    effort::Effort,
    escalation::{self, Patience},
    run::Run,
    sentinel::{self, Held, Watched},
    witness,
};
use crate::{
    cores::percpu::core,
    hal::{clock, console},
    report::{self, recorder},
    stuck::StaleSet,
};

impl Run<'_> {
    /// Narrows the stale cores that blocked a case down to the smallest sets
    /// that still do, each tried with this effort.
    pub(super) fn bisect(
        &mut self,
        group: &Group,
        case: &Case,
        stale: &CpuSet,
        effort: Effort,
    ) -> Result<(), String> {
        let mut search = Bisector::new(*stale, &self.suspects);
        let mut trials = 0;
        let mut why = match (case.subject, group.state) {
            (Subject::SelftestHang, _) => Some("it hangs whoever is stale".into()),
            (_, StaleState::NeverStarted) => Some("a core is started but once in a boot".into()),
            _ => None,
        };
        // What an earlier boot has tried already. A trial without an end is one in
        // which the machine had to be reset.
        let mut kept = recorder::trials(case.number).into_iter();
        while why.is_none()
            && let Some(tried) = search.trial()
        {
            trials += 1;
            let mut trial = Trial {
                case: case.number as u32,
                tried,
                blocked: None,
            };
            if let Some(kept) = kept.next().filter(|kept| kept.tried == tried) {
                trial.blocked = kept.blocked.or(Some(true));
                if kept.blocked.is_none() {
                    report::keep_trial(&trial);
                }
                if let Err(contradiction) = search.record(tried, trial.blocked == Some(true)) {
                    why = Some(contradiction);
                    break;
                }
                continue;
            }
            report::keep_trial(&trial);
            let mut entered = StaleSet::enter(&tried, group.state, group.line, tried.len())?;
            self.set_lines(group.line, &tried);
            let visit = self.visit(slice::from_ref(case), &tried, effort)?;
            let cut = visit.done.iter().any(|done| done.cut);
            let blocked = visit.held.is_some();
            if let Some(held) = &visit.held {
                // Before anything is done about it.
                report::note(format!(
                    "search for the culprits of case {}, trial {trials}: CPU {tried}: blocked",
                    case.number
                ));
                console::flush();
                self.let_go(held, &mut entered);
            }
            if self.ended {
                if self.goes_on_after_reset() {
                    return Ok(());
                }
                why = Some("an initiator did not come back".into());
                break;
            }
            if let Err(lost) = entered.release().and_then(|()| self.drain()) {
                self.lost_after_block(&lost);
                why = Some(lost);
                break;
            }
            if cut {
                // It may have returned only because it was not asked often enough.
                why = Some(format!(
                    "the time for the trial with CPU {tried} was over before it had repeated what \
                     blocked"
                ));
                break;
            }
            trial.blocked = Some(blocked);
            report::keep_trial(&trial);
            // A search among many cores takes long, and nothing else shows that it
            // goes on.
            if !blocked {
                report::note(format!(
                    "search for the culprits of case {}, trial {trials}: CPU {tried}: returned",
                    case.number
                ));
            }
            if let Err(contradiction) = search.record(tried, blocked) {
                why = Some(contradiction);
                break;
            }
        }
        let culprits = search.findings().culprits.clone();
        self.suspect(&culprits);
        report::record(&Record::Bisect(BisectRecord {
            n: case.number as u32,
            stale: *stale,
            culprits,
            complete: search.findings().complete && why.is_none(),
            trials,
            why,
        }));
        Ok(())
    }

    /// Remembers culprits: what blocks one operation may well block the next.
    pub(super) fn suspect(&mut self, culprits: &[CpuSet]) {
        for cores in culprits {
            if !self.suspects.contains(cores) {
                self.suspects.push(*cores);
            }
        }
    }

    /// An operation did not return: the block report, then the ladder, and the end
    /// of the run if its initiator stays lost. `baseline` says that every other core
    /// was parked.
    pub(super) fn blocked(
        &mut self,
        case: &Case,
        held: &Held,
        entered: &mut StaleSet,
        baseline: bool,
    ) {
        // First of all, as nothing more may come out: until this has, nobody executes a
        // barrier, maintenance or a call to firmware.
        let place = case.place(&held.seen);
        report::record(&Record::Block(sentinel::describe(
            case,
            held,
            entered,
            &self.conductor.plan.roles,
            &self.conductor.inherited,
            baseline,
        )));
        console::flush();
        witness::tell(case.number, &held.before);
        report::note(format!(
            "case {} {} {place}: climbing the release ladder",
            case.number,
            if held.is_behind() {
                "has not gone on behind"
            } else {
                "has not returned from"
            },
        ));
        console::flush();
        report::pause_for_debugger("an operation is held up");
        let patience = Patience {
            deadline_ms: self.conductor.plan.deadline_ms,
            wait_ms: self.conductor.wait_ms,
        };
        let released =
            escalation::escalate(held, entered, &self.conductor.disturbed, patience, |rung| {
                let returned = rung.released;
                report::record(&Record::Rung(RungRecord::new(case.number, rung)));
                // Not sooner: it may be a load that does not return, and the rung is out.
                witness::read_beside(case.number, returned, || {
                    held.waited_ms + clock::ms_since(held.at)
                });
            });
        let why = baseline.then(|| BASELINE_BLOCKED.into());
        self.finish(case, CaseRecord::blank(case, Verdict::Blocked, why));
        self.ended = !(released || self.forces_completion(held)) || !self.comes_back();
    }

    /// A core does not come back after a block: that is part of the finding, and the
    /// end of the run.
    pub(super) fn lost_after_block(&mut self, why: &str) {
        report::note(format!("after the block: {why}; nothing more can be run"));
        self.ended = true;
    }

    /// Has EL2 complete the operation, unless the machine is to be reset instead, as
    /// silicon has to be.
    fn forces_completion(&self, held: &Held) -> bool {
        self.conductor.after_block == AfterBlock::End && escalation::force_complete(held)
    }

    /// Is the machine to be reset once nothing more can be run?
    pub(super) fn goes_on_after_reset(&self) -> bool {
        self.conductor.after_block == AfterBlock::Reset && recorder::is_on()
    }

    /// Releases a held operation without a report, for the bisection.
    fn let_go(&mut self, held: &Held, entered: &mut StaleSet) {
        let patience = Patience {
            deadline_ms: self.conductor.plan.deadline_ms,
            wait_ms: None,
        };
        let released =
            escalation::escalate(held, entered, &self.conductor.disturbed, patience, |_| ());
        self.ended = !(released || self.forces_completion(held)) || !self.comes_back();
    }

    /// Do the initiators finish what they were asked, now that one was released?
    fn comes_back(&self) -> bool {
        let initiators: CpuSet = self
            .conductor
            .plan
            .roles
            .initiators
            .iter()
            .filter(|cpu| !core(*cpu).mailbox.is_done())
            .collect();
        loop {
            match self.watch(&initiators) {
                Watched::Returned => return true,
                // The next operation of the same case: released too.
                Watched::Held(held) if self.forces_completion(&held) => {}
                Watched::Held(_) => return false,
            }
        }
    }
}
