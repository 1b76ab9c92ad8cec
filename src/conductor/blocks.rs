//! What the conductor does about an operation that does not return.

use alloc::{format, string::String};

use stalecore_model::{
    bisect::Bisector,
    cpuset::CpuSet,
    glossary::{StaleState, Subject, Verdict},
    options::AfterBlock,
    plan::{Case, Group},
    record::{BisectRecord, CaseRecord, Record},
    recorder::Trial,
};

use super::{
    cases::Effort,
    escalation,
    run::{Outcome, Run},
    sentinel::{self, Held, Watched},
};
use crate::{
    cores::percpu::core,
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
        // What an earlier boot has tried already. A trial without an end is one
        // that the machine had to be reset for.
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
            let mut cut = false;
            let blocked = match self.measure(case, &tried, effort)? {
                Outcome::Done(done) => {
                    cut = done.cut;
                    false
                }
                Outcome::Blocked(held) => {
                    self.let_go(&held, &mut entered);
                    true
                }
            };
            if self.ended {
                if self.goes_on_after_reset() {
                    return Ok(());
                }
                why = Some("an initiator did not come back".into());
                break;
            }
            entered.release()?;
            self.drain()?;
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
            // A search among many cores is long, and nothing else tells that it
            // goes on.
            report::note(format!(
                "search for the culprits of case {}, trial {trials}: CPU {tried}: {}",
                case.number,
                if blocked { "blocked" } else { "returned" }
            ));
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

    /// An operation did not return: the ladder, the block report, and the end
    /// of the run if its initiator stays lost.
    pub(super) fn blocked(&mut self, case: &Case, held: &Held, entered: &mut StaleSet) {
        // First of all, should nothing more come.
        let place = sentinel::place(case, held);
        report::note(format!(
            "case {} has not returned from {place}: climbing the release ladder",
            case.number
        ));
        report::pause_for_debugger("an operation is held up");
        let ladder = escalation::escalate(held, entered, self.conductor.plan.deadline_ms);
        let block = sentinel::describe(case, held, entered, &self.conductor.plan.roles, ladder);
        let released = block.released_by().is_some();
        report::record(&Record::Block(block));
        self.finish(case, CaseRecord::blank(case, Verdict::Blocked, None));
        self.ended = !(released || self.forces_completion(held)) || !self.comes_back();
    }

    /// Has EL2 complete the operation, unless the machine is to be reset for it
    /// as silicon has to be.
    fn forces_completion(&self, held: &Held) -> bool {
        self.conductor.after_block == AfterBlock::End && escalation::force_complete(held)
    }

    /// Is the machine to be reset once nothing more can be run?
    pub(super) fn goes_on_after_reset(&self) -> bool {
        self.conductor.after_block == AfterBlock::Reset && recorder::is_on()
    }

    /// Lets a held operation go without a report, for the bisection.
    fn let_go(&mut self, held: &Held, entered: &mut StaleSet) {
        let ladder = escalation::escalate(held, entered, self.conductor.plan.deadline_ms);
        let released = ladder.last().is_some_and(|rung| rung.released);
        self.ended = !(released || self.forces_completion(held)) || !self.comes_back();
    }

    /// Do the initiators finish what they were asked, now that one was let go?
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
            match sentinel::watch(&initiators, self.conductor.plan.deadline_ms) {
                Ok(Watched::Returned) => return true,
                // The next operation of the same case: let go too.
                Ok(Watched::Held(held)) if self.forces_completion(&held) => {}
                _ => return false,
            }
        }
    }
}
