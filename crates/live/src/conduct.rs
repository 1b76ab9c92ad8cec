//! Conducts the run: group by group, every result written as it comes, one closing record.
//! It runs on the thread that watches.

use std::{collections::BTreeMap, path::PathBuf, slice, time::Instant};

use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{StaleState, Subject, Verdict},
    ktap,
    measured::{self, Judge, Measured},
    options::Options,
    part::{Part, baseline_line},
    plan::{Case, Group, Plan},
    record::{CaseRecord, End, GroupRecord, InitiatorRecord, Maker, Record},
};
use stalecore_routines::probe::batch_of;

use crate::{
    blocks::Blocked,
    entered::Entered,
    flight::{BLOCKED, Flight},
    initiator::{COUNTER, Order, Results},
    offline::Tell,
    report, scope,
    threads::{Done, Task, Threads},
    watch::{self, Watched},
};

/// Samples of the empty block in each visit.
const OF_EMPTY: u32 = 16;

/// A run under way.
pub struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) options: &'a Options,
    pub(crate) judge: Judge,
    pub(crate) threads: Threads,
    pub(crate) tell: Tell,
    pub(crate) flight: Flight,
    pub(crate) dir: PathBuf,
    /// Bytes of a line.
    pub(crate) size: usize,
    /// Instructions that end a program here.
    pub(crate) lacking: Vec<Subject>,
    /// May CPUs be taken offline?
    pub(crate) may_offline: bool,
    pub(crate) started: Instant,
    pub(crate) outcomes: BTreeMap<usize, (Verdict, Option<String>)>,
    pub(crate) exit: ExitCode,
    pub(crate) generation: u16,
    pub(crate) dropped: u64,
    pub(crate) taken: u64,
    pub(crate) cut: Vec<usize>,
    pub(crate) confirming_ms: u64,
    pub(crate) unconfirmed: usize,
    /// An initiator is held up for good.
    pub(crate) ended: bool,
}

/// What a visit to a state brings.
pub struct Visit {
    /// Of the cases that returned, in order.
    pub done: Vec<Box<Measured>>,
    /// Did the next one not?
    pub blocked: bool,
}

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
            let why = scope::why_not_state(group.state, self.may_offline).map(str::to_string);
            let alone = group.state != StaleState::Parked && self.plan.roles.stale.is_empty();
            let alone = || alone.then(|| "no CPU is left to be stale".to_string());
            match why.or_else(alone) {
                Some(why) => self.skip(&group.cases, &why),
                None => self.group(group)?,
            }
        }
        Ok(())
    }

    pub(crate) fn skip(&mut self, cases: &[Case], why: &str) {
        for case in cases {
            let record = CaseRecord::blank(case, Verdict::Skipped, Some(why.into()));
            self.finish(case, record);
        }
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
            self.rounds(group, &mut series)?;
        }
        for series in series {
            let case = series.case;
            let (record, _) = self.judge.record(series, batch_of(case.subject, COUNTER));
            self.finish(case, record);
        }
        Ok(())
    }

    fn inconclusive(&mut self, cases: &[Case], why: &str) {
        let open: Vec<_> = cases
            .iter()
            .filter(|case| !self.outcomes.contains_key(&case.number))
            .collect();
        for case in open {
            let record = CaseRecord::blank(case, Verdict::Inconclusive, Some(why.into()));
            self.finish(case, record);
        }
    }

    /// The stale CPUs.
    pub(crate) fn stale(&self) -> CpuSet {
        self.plan.roles.stale
    }

    /// A part of a round: these cases with every other thread asleep (`parked`), or in the
    /// group's state; until one does not return.
    pub(crate) fn visits(
        &mut self,
        group: &Group,
        cases: &[Case],
        parked: bool,
        part: Part,
    ) -> Result<Visit, String> {
        // Lines that stale threads touched are so once.
        let most = if group.line.needs_stale_core() {
            1
        } else {
            cases.len()
        };
        let mut all = Visit {
            done: Vec::new(),
            blocked: false,
        };
        for these in cases.chunks(most.max(1)) {
            let (state, line) = match parked {
                true => (StaleState::Parked, baseline_line(group)),
                false => (group.state, group.line),
            };
            let cpus = self.stale();
            let touch = (line, self.size);
            let of = cpus.len();
            let mut entered =
                Entered::enter(&self.threads, &mut self.tell, &cpus, state, touch, of)?;
            let visit = self.visit(these, &mut entered, parked, part);
            let shown = match self.ended {
                true => Ok(()),
                false => entered.show(&self.threads),
            };
            if !self.ended {
                entered.release(&self.threads, &mut self.tell)?;
            } else {
                // Whatever else: no CPU stays away for it.
                entered.unlock();
                entered.online(&self.threads, &mut self.tell)?;
            }
            let visit = visit?;
            if !visit.blocked {
                shown?;
            }
            all.done.extend(visit.done);
            if visit.blocked {
                all.blocked = true;
                break;
            }
        }
        Ok(all)
    }

    fn visit(
        &mut self,
        cases: &[Case],
        entered: &mut Entered,
        parked: bool,
        part: Part,
    ) -> Result<Visit, String> {
        let stale = if parked { 0 } else { entered.cpus.len() };
        let Some(first) = cases.first() else {
            return Err("no case".into());
        };
        let empty = Case {
            subject: Subject::None,
            ..*first
        };
        let order = Order {
            samples: OF_EMPTY,
            only: None,
            ..self.order(&empty, 0, Part::WHOLE)
        };
        let empty = match self.hand_over(&empty, &order, entered, parked)? {
            Some(empty) => empty.median(),
            // No operation: its thread is not run.
            None => return Err("an empty timed block was held up".into()),
        };
        let mut done = Vec::new();
        for case in cases {
            let order = self.order(case, stale, part);
            let order = Order {
                sweep: self.plan.sweep && part.nth == 0 && !parked,
                ..order
            };
            report::running(case.number);
            self.tell_flight(case, parked, part)?;
            let Some(mut measured) = self.hand_over(case, &order, entered, parked)? else {
                return Ok(Visit {
                    done,
                    blocked: true,
                });
            };
            measured.set_empty(empty);
            if measured.cut && part.nth < part.of && !self.cut.contains(&case.number) {
                self.cut.push(case.number);
            }
            done.push(measured);
        }
        Ok(Visit {
            done,
            blocked: false,
        })
    }

    /// Writes what is about to run to the disk.
    fn tell_flight(&mut self, case: &Case, parked: bool, part: Part) -> Result<(), String> {
        let stale = self.stale();
        let others = match parked {
            true => format!("CPU {stale} asleep (its baseline)"),
            false => format!("CPU {stale} in {}", case.state),
        };
        let line = format!(
            "case {}, {} under {}, on CPU {}, {others}, round {}",
            case.number,
            case.subject,
            case.state,
            self.plan.roles.initiators,
            part.nth + 1
        );
        self.flight
            .write(&line)
            .map_err(|error| format!("{}: {error}", self.dir.display()))
    }

    fn order(&self, case: &Case, stale: usize, part: Part) -> Order {
        Order {
            subject: case.subject,
            line: case.line,
            size: self.size,
            samples: part.share(self.options.samples),
            parts: part.times(),
            only: part.only,
            batch: batch_of(case.subject, COUNTER),
            sweep: false,
            stale,
            deadline_ms: self.plan.deadline_ms,
            generation: self.generation,
        }
    }

    /// Has the initiators carry out an order, all at once; `None` if one did not return,
    /// which has been told then.
    fn hand_over(
        &mut self,
        case: &Case,
        order: &Order,
        entered: &mut Entered,
        parked: bool,
    ) -> Result<Option<Box<Measured>>, String> {
        let initiators = self.plan.roles.initiators;
        for cpu in initiators.iter() {
            self.threads.ask(cpu, Task::Measure(Box::new(*order)));
        }
        let mut found = Vec::new();
        match watch::watch(
            &self.threads,
            &initiators,
            self.plan.deadline_ms,
            &mut found,
        ) {
            Watched::Returned => Ok(Some(Box::new(self.collect(found)))),
            Watched::Starved(cpu) => {
                self.ended = true;
                Err(format!(
                    "CPU {cpu}: Linux did not run the initiator's thread for {} ms: too busy to \
                     measure anything (--fifo, or a quieter machine)",
                    self.plan.deadline_ms * 10
                ))
            }
            Watched::Held(held) => {
                let line = format!(
                    "case {}, {} under {}: stood still for {} ms{BLOCKED}",
                    case.number,
                    case.subject,
                    case.state,
                    held.waited_ms()
                );
                // The record counts, whatever the disk says.
                let _ = self.flight.write(&line);
                self.blocked(Blocked {
                    case,
                    held: &held,
                    parked,
                    found: &mut found,
                    entered,
                });
                Ok(None)
            }
        }
    }

    /// Takes the initiators' results together.
    fn collect(&mut self, found: Vec<(usize, Results)>) -> Measured {
        let mut all = Measured::default();
        let several = found.len() > 1;
        for (cpu, results) in found {
            self.generation = self.generation.max(results.generation);
            self.dropped += results.dropped;
            self.taken += results.taken;
            all.issue.merge(&results.issue);
            all.complete.merge(&results.complete);
            all.cut |= results.cut;
            if all.sweep.is_empty() {
                all.sweep = results.sweep;
            }
            if let Some((expected, seen)) = results.stale_code {
                all.stale_code.get_or_insert((cpu, expected, seen));
            }
            if several {
                let histogram = match results.complete.count() {
                    0 => &results.issue,
                    _ => &results.complete,
                };
                let quantile = |q| histogram.quantile(q).unwrap_or(0);
                all.initiators.push(InitiatorRecord {
                    cpu: cpu as u32,
                    count: histogram.count(),
                    p50: quantile(500),
                    p99: quantile(990),
                    max: histogram.max().unwrap_or(0),
                });
            }
        }
        all.end_round();
        all
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

    /// Writes a case's record and remembers its verdict.
    pub(crate) fn finish(&mut self, case: &Case, mut record: CaseRecord) {
        record.by = Maker::of(case.subject, false);
        let mut code = record.verdict.exit_code();
        if self.options.max_slowdown.is_some() && record.verdict == Verdict::Slowed {
            code = code.worse(ExitCode::Slowed);
        }
        self.exit = self.exit.worse(code);
        self.outcomes
            .insert(case.number, (record.verdict, record.why.clone()));
        report::record(&Record::Case(Box::new(record)));
    }

    /// The tree, the closing record.
    fn close(&mut self, broken: bool) -> ExitCode {
        let mut counts: Vec<(Verdict, u32)> = Vec::new();
        for verdict in Verdict::ALL {
            let count = self.outcomes.values().filter(|(v, _)| v == verdict).count();
            let missing = match verdict {
                Verdict::Skipped => self.plan.len() - self.outcomes.len(),
                _ => 0,
            };
            if count + missing > 0 {
                counts.push((*verdict, (count + missing) as u32));
            }
        }
        let decided = |v: Verdict| !matches!(v, Verdict::Skipped | Verdict::Inconclusive);
        let mut exit = self.exit;
        if !self.outcomes.values().any(|(v, _)| decided(*v)) {
            exit = exit.worse(ExitCode::Inconclusive);
        }
        if broken {
            exit = ExitCode::Harness;
        }
        self.tell_what_was_cut();
        let mut tree = String::new();
        let strict = self.options.max_slowdown.is_some();
        // Writing to a string cannot fail.
        let _ = ktap::write_tree(&mut tree, self.plan, strict, |case| {
            let outcome = self.outcomes.get(&case.number);
            outcome.map(|(verdict, why)| ktap::Outcome {
                verdict: *verdict,
                why: why.as_deref(),
                by: Maker::of(case.subject, false),
            })
        });
        report::text(format_args!("{tree}"));
        if !broken {
            report::record(&Record::End(End {
                exit: exit as u8,
                verdicts: counts,
                elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            }));
        }
        // A block is kept on the disk: who comes next is to know of it.
        if !self.ended
            && let Err(error) = Flight::end(&self.dir)
        {
            report::note(format!("{}: {error}", self.dir.display()));
        }
        exit
    }

    fn tell_what_was_cut(&self) {
        report::note(format!(
            "of {} samples {} were dropped, as the initiator's thread was taken off its CPU \
             meanwhile (getrusage); what interrupts take is in the rest",
            self.taken, self.dropped
        ));
        match self.cut[..] {
            [] => {}
            [first, ..] => report::note(format!(
                "{} cases, case {first} the first, took so long that there are fewer samples, or \
                 depths of the sweep, than were asked for",
                self.cut.len()
            )),
        }
        if self.unconfirmed > 0 {
            report::note(format!(
                "{} cases beyond the threshold were left unconfirmed, as fresh rounds had taken \
                 {} ms",
                self.unconfirmed, self.confirming_ms
            ));
        }
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
