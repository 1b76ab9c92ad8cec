//! Conducts the run: group by group, every result written as it comes, one closing record.
//! It runs on the thread that watches.

use std::{slice, time::Instant};

use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{StaleState, Subject, Verdict},
    measured::{self, in_turn},
    part::Part,
    plan::{Case, Group},
    record::{CaseRecord, GroupRecord, Record},
};
use stalecore_routines::probe::batch_of;

use crate::{
    initiator::COUNTER,
    report,
    run::Run,
    scope,
    threads::{Done, Task},
    visits::Visit,
};

/// Runs the plan to its end, and gives the exit code.
pub fn conduct(mut run: Run<'_>) -> ExitCode {
    let result = run.groups();
    if let Err(error) = &result {
        report::note(format!("harness error: {error}"));
    }
    run.close(result.is_err())
}

impl Run<'_> {
    fn groups(&mut self) -> Result<(), String> {
        for group in &self.plan.groups {
            if self.ended {
                break;
            }
            report::record(&Record::Group(GroupRecord {
                state: group.state,
                line: group.line,
                first: group.cases.first().map_or(0, |case| case.number as u32),
                cases: group.cases.len() as u32,
            }));
            match scope::why_not_group(group, &self.plan.roles, self.offline) {
                Some(why) => self.skip(&group.cases, why),
                None => self.group(group)?,
            }
        }
        Ok(())
    }

    /// A group: the cases that there are here, in their state, and what came of them.
    fn group(&mut self, group: &Group) -> Result<(), String> {
        let mut cases = Vec::new();
        for case in &group.cases {
            let lacks = self
                .lacking
                .iter()
                .any(|lacking| uses(case.subject, *lacking));
            let lacks = lacks.then_some("an instruction of it ends a program here");
            match scope::why_not_subject(case.subject).or(lacks) {
                Some(why) => self.skip(slice::from_ref(case), why),
                None => cases.push(*case),
            }
        }
        if cases.is_empty() {
            return Ok(());
        }
        let stale = self.stale();
        let own = group.state == StaleState::Parked && !group.line.needs_stale_core();
        // What never returns has no baseline.
        let never = cases[0].subject == Subject::SelftestHang;
        let baselines = match own || never {
            true => Vec::new(),
            false => match self.visits(group, &cases, true, Part::FIRST)? {
                Visit { blocked: true, .. } => return Ok(()),
                Visit { done, .. } => done,
            },
        };
        let mut rest = &cases[..];
        let mut baselines = baselines.into_iter();
        let mut series = Vec::new();
        while !rest.is_empty() && !self.ended {
            let visit = match self.visits(group, rest, false, Part::FIRST) {
                Ok(visit) => visit,
                // Where the threads do not get there, that proves nothing, and is no end.
                Err(why) if !self.ended => {
                    self.inconclusive(rest, &why);
                    break;
                }
                Err(why) => return Err(why),
            };
            let ran = visit.done.len();
            let these = &rest[..ran];
            let bases: Vec<_> = baselines.by_ref().take(ran).collect();
            series.extend(measured::series(these, visit.done, bases, None));
            let with_block = ran + usize::from(visit.blocked);
            if visit.blocked {
                baselines.next();
            } else if ran == 0 {
                break;
            }
            rest = &rest[with_block.min(rest.len())..];
        }
        if !self.ended {
            self.check_released(&stale, &mut series)?;
            let (plan, judge) = (self.plan, self.judge);
            in_turn::rounds(self, plan, &judge, group, &mut series)?;
        }
        for series in series {
            let case = series.case;
            let (record, _) = self.judge.record(
                series,
                batch_of(case.subject, COUNTER),
                self.ms_until(Instant::now()),
            );
            self.finish(case, record);
        }
        Ok(())
    }

    fn inconclusive(&mut self, cases: &[Case], why: &str) {
        let open: Vec<_> = cases
            .iter()
            .filter(|case| self.outcomes.is_open(case))
            .collect();
        for case in open {
            let record = CaseRecord::blank(case, Verdict::Inconclusive, Some(why.into()));
            self.finish(case, record);
        }
    }

    /// Has the threads that were stale execute the newest code.
    fn check_released(
        &mut self,
        stale: &CpuSet,
        series: &mut [measured::Series<'_>],
    ) -> Result<(), String> {
        if self.plan.roles.initiators.len() != 1 {
            return Ok(()); // whose code is newest is not known
        }
        let newest = self.generation;
        for cpu in stale.iter() {
            self.threads.ask(cpu, Task::Check(newest));
        }
        for _ in stale.iter() {
            let wait = std::time::Duration::from_secs(10);
            match self.threads.done.recv_timeout(wait) {
                Ok((cpu, Done::Checked(Some(seen)))) => {
                    let code = |s: &&mut measured::Series<'_>| s.case.subject.makes_code_visible();
                    if let Some(last) = series.iter_mut().rev().find(code) {
                        last.done.stale_code = Some((cpu, newest, seen));
                    }
                }
                Ok(_) => {}
                Err(_) => return Err("a thread took too long to execute the new code".into()),
            }
        }
        Ok(())
    }
}

/// Does a subject execute this instruction?
fn uses(subject: Subject, instruction: Subject) -> bool {
    use Subject as S;
    let of_code = [S::DcCvau, S::IcIvau].contains(&instruction);
    let of_data = instruction == S::DcCivac;
    subject == instruction
        || instruction == S::IcIvau
            && matches!(subject, S::DsbIsh | S::DsbSy | S::DsbNsh | S::DsbOsh)
        || subject.parts().iter().any(|part| uses(*part, instruction))
        || subject.kind() == stalecore_model::glossary::Kind::Routine
            && subject.parts().is_empty()
            && (of_code && subject.operand() == stalecore_model::glossary::Operand::Code || of_data)
}
