//! Conducts the run: group by group, baseline beside each case, every result
//! written as it comes, one closing record.
//!
//! It runs on the sentinel, which only watches while an operation is in
//! flight. With no sentinel it runs on the lowest initiator, and then only the
//! host can see a block.

use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec::Vec};

use spin::Mutex;
use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{LineState, StaleState, Subject, Verdict},
    histogram::Histogram,
    ktap,
    options::DEFAULT_SLOWDOWN,
    plan::{Case, Group, Plan},
    record::{CaseRecord, End, Fault, GroupRecord, Hex, InitiatorRecord, Record},
    syndrome, verdict,
};

use crate::{
    clock, console, core_local, cores, exit, identity,
    initiator::{self, AREAS, Order},
    probe::Counter,
    report, scenario,
    sentinel::{self, Watched},
    stuck::{self, Needs},
    symbols,
    worker::{Command, core},
};

/// Everything that the conductor needs, made at boot.
pub struct Conductor {
    /// What to do.
    pub plan: Plan,
    /// Samples per case and class.
    pub samples: u32,
    /// The slow-down that counts against the exit code, if any.
    pub max_slowdown: Option<u32>,
    /// What times.
    pub counter: Counter,
    /// The smallest difference that it can show.
    pub resolution: u64,
    /// The core that booted: it was started, whatever the plan wants.
    pub boot_cpu: usize,
    /// CNTVCT_EL0 at entry.
    pub started: u64,
}

static CONDUCTOR: Mutex<Option<Conductor>> = Mutex::new(None);

/// Leaves the run for whoever conducts it.
pub fn install(conductor: Conductor) {
    *CONDUCTOR.lock() = Some(conductor);
}

/// Conducts the run that was installed, and ends the image.
pub fn conduct() -> ! {
    let Some(conductor) = CONDUCTOR.lock().take() else {
        exit::end(ExitCode::Harness);
    };
    let mut run = Run {
        conductor: &conductor,
        outcomes: BTreeMap::new(),
        exit: ExitCode::Expected,
        reported: identity::known(),
        ended: false,
    };
    let result = run.groups();
    if let Err(error) = &result {
        report::note(format!("harness error: {error}"));
    }
    run.close(result.is_err())
}

/// What was measured of a case on all initiators.
#[derive(Default)]
struct Measured {
    issue: Histogram,
    complete: Histogram,
    sweep: Vec<stalecore_model::record::Depth>,
    initiators: Vec<InitiatorRecord>,
    /// CPU, syndrome and what the routine returned.
    fault: Option<(usize, [u64; 3], i64)>,
    /// CPU, what its code had to return and what it did.
    stale_code: Option<(usize, u16, u16)>,
}

/// How a measurement ended.
enum Outcome {
    Done(Box<Measured>),
    Blocked(sentinel::Held),
}

struct Run<'a> {
    conductor: &'a Conductor,
    outcomes: BTreeMap<usize, (Verdict, Option<String>)>,
    exit: ExitCode,
    /// Cores whose registers have been reported.
    reported: CpuSet,
    /// An initiator is held up for good: nothing more can be run.
    ended: bool,
}

impl Run<'_> {
    fn groups(&mut self) -> Result<(), String> {
        for group in &self.conductor.plan.groups {
            if self.ended {
                break;
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
        Ok(())
    }

    /// The stale cores of a group: those of the plan that can be in its state.
    fn stale(&self, state: StaleState) -> CpuSet {
        let mut stale = self.conductor.plan.roles.stale;
        if state == StaleState::NeverStarted {
            stale = stale
                .iter()
                .filter(|cpu| {
                    !core(*cpu)
                        .online
                        .load(core::sync::atomic::Ordering::Acquire)
                })
                .collect();
        }
        stale
    }

    /// Why this machine cannot do a group, if it cannot.
    fn why_not(&self, group: &Group) -> Option<String> {
        let row = stuck::row(group.state);
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
            && !crate::psci::is_available()
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
            let record = self.blank(case, Verdict::Skipped, Some(why.into()));
            self.finish(case, record);
        }
    }

    /// A group, its stale cores entering their state once, or for each case
    /// where what they do is used up by one.
    fn group(&mut self, group: &Group) -> Result<(), String> {
        if group.state == StaleState::CpuOffInflight || group.line.needs_stale_core() {
            for case in &group.cases {
                if !self.ended {
                    self.batch(group, core::slice::from_ref(case))?;
                }
            }
            return Ok(());
        }
        self.batch(group, &group.cases)
    }

    fn batch(&mut self, group: &Group, cases: &[Case]) -> Result<(), String> {
        let stale = self.stale(group.state);
        let never_started = group.state == StaleState::NeverStarted;
        let mut baselines = Vec::new();
        if !never_started {
            self.start_everybody()?;
            match self.baselines(group, cases)? {
                Some(found) => baselines = found,
                None => return Ok(()),
            }
        }
        let mut measured = Vec::new();
        let order = self.conductor.plan.roles.stale.len();
        let entered = match scenario::enter(&stale, group.state, group.line, order) {
            Ok(entered) => entered,
            Err(why) => {
                for case in cases {
                    let record = self.blank(case, Verdict::Inconclusive, Some(why.clone()));
                    self.finish(case, record);
                }
                return scenario::recover(&stale);
            }
        };
        for case in cases {
            match self.measure(case, &stale, true)? {
                Outcome::Done(done) => measured.push((case, done)),
                Outcome::Blocked(held) => {
                    // What was measured before it counts; its own baselines
                    // are there too.
                    for (nth, (case, done)) in measured.drain(..).enumerate() {
                        self.judge(case, *done, baselines.get(nth).map(Box::as_ref), None);
                    }
                    self.blocked(case, &held, &entered);
                    return Ok(());
                }
            }
        }
        let still = entered.verify();
        entered.release()?;
        if never_started {
            self.start_everybody()?;
            match self.baselines(group, cases)? {
                Some(found) => baselines = found,
                None => return Ok(()),
            }
        }
        let old = self.check_released(&stale)?;
        for (nth, (case, done)) in measured.into_iter().enumerate() {
            let doubt = still.as_ref().err().cloned();
            let last = nth + 1 == cases.len();
            let done = match (&old, last) {
                (Some(found), true) => Measured {
                    stale_code: Some(*found),
                    ..*done
                },
                _ => *done,
            };
            self.judge(case, done, baselines.get(nth).map(Box::as_ref), doubt);
        }
        Ok(())
    }

    /// Brings up every core that is not, and reports those that are new.
    fn start_everybody(&mut self) -> Result<(), String> {
        let all = CpuSet::first(core_local::all().len());
        cores::start_all(&all)?;
        for cores in identity::groups(&all.difference(&self.reported)) {
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
        let entered = scenario::enter(&others, StaleState::Parked, line, others.len())?;
        let mut found = Vec::new();
        for case in cases {
            if case.subject == Subject::SelftestHang {
                continue; // has no baseline: it never returns
            }
            match self.measure(case, &CpuSet::EMPTY, false)? {
                Outcome::Done(done) => found.push(done),
                Outcome::Blocked(held) => {
                    self.blocked(case, &held, &entered);
                    return Ok(None);
                }
            }
        }
        entered.release()?;
        Ok(Some(found))
    }

    /// Runs one case on all initiators at once.
    fn measure(&mut self, case: &Case, stale: &CpuSet, real: bool) -> Result<Outcome, String> {
        let roles = &self.conductor.plan.roles;
        let batched =
            self.conductor.counter == Counter::Cntvct && !initiator::timed_whole(case.subject);
        let order = Order {
            subject: case.subject,
            line: case.line,
            samples: self.conductor.samples,
            counter: self.conductor.counter,
            batch: if batched && has_depth(case.subject) {
                16
            } else {
                1
            },
            sweep: real && self.conductor.plan.sweep,
            stepped: real,
            stale: stale.len() as u32,
            gate: real && case.state == StaleState::CpuOffInflight,
        };
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
            Watched::Returned => Ok(Outcome::Done(Box::new(collect(&roles.initiators)))),
            Watched::Held(held) => Ok(Outcome::Blocked(held)),
        }
    }

    /// Lets released stale cores execute the newest code.
    fn check_released(&self, stale: &CpuSet) -> Result<Option<(usize, u16, u16)>, String> {
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
            .filter(|cpu| {
                core(*cpu)
                    .online
                    .load(core::sync::atomic::Ordering::Acquire)
            })
            .collect();
        scenario::ask(&here, Command::Check, |_| {
            initiator | usize::from(newest) << 16
        });
        scenario::wait_done(&here, "to execute the new code")?;
        Ok(here.iter().find_map(|cpu| {
            let seen = core(cpu).answer.load(core::sync::atomic::Ordering::Relaxed);
            u16::try_from(seen).ok().map(|seen| (cpu, newest, seen))
        }))
    }

    fn blank(&self, case: &Case, verdict: Verdict, why: Option<String>) -> CaseRecord {
        CaseRecord {
            n: case.number as u32,
            op: case.subject,
            state: case.state,
            line: case.line,
            verdict,
            why,
            batch: 1,
            issue: Histogram::new(),
            complete: Histogram::new(),
            base_issue: Histogram::new(),
            base_complete: Histogram::new(),
            sweep: Vec::new(),
            initiators: Vec::new(),
        }
    }

    /// The verdict of a case that returned.
    fn judge(
        &mut self,
        case: &Case,
        done: Measured,
        baseline: Option<&Measured>,
        doubt: Option<String>,
    ) {
        let mut record = self.blank(case, Verdict::Completed, None);
        record.issue = done.issue;
        record.complete = done.complete;
        record.sweep = done.sweep;
        record.initiators = done.initiators;
        if let Some(baseline) = baseline {
            record.base_issue = baseline.issue.clone();
            record.base_complete = baseline.complete.clone();
        } else if case.state == StaleState::Parked {
            record.base_issue = record.issue.clone();
            record.base_complete = record.complete.clone();
        }
        if self.conductor.counter == Counter::Cntvct && has_depth(case.subject) {
            record.batch = 16;
        }
        let threshold = self.conductor.max_slowdown.unwrap_or(DEFAULT_SLOWDOWN);
        let slowdown = verdict::of_case(&record, self.conductor.resolution);
        (record.verdict, record.why) = if let Some((cpu, registers, returned)) = done.fault {
            self.fault(case, cpu, registers, returned);
            (Verdict::Faulted, None)
        } else if let Some((cpu, expected, seen)) = done.stale_code {
            (
                Verdict::Incoherent,
                Some(format!(
                    "CPU {cpu} executed code of generation {seen}, {expected} had been written"
                )),
            )
        } else if let Some(doubt) = doubt {
            (Verdict::Inconclusive, Some(doubt))
        } else {
            match verdict::on_latency(slowdown, threshold) {
                Verdict::Inconclusive => {
                    (Verdict::Inconclusive, Some("no samples to compare".into()))
                }
                found => (found, None),
            }
        };
        self.finish(case, record);
    }

    fn fault(&self, case: &Case, cpu: usize, [esr, far, elr]: [u64; 3], returned: i64) {
        report::record(&Record::Fault(Fault {
            n: case.number as u32,
            op: case.subject,
            initiator: cpu as u32,
            esr: Hex(esr),
            syndrome: syndrome::describe(esr),
            far: Hex(far),
            elr: Hex(elr),
            at: format!("{}", symbols::At(elr)),
            returned,
        }));
    }

    /// An operation did not return: the block report, and the end of the run,
    /// as its initiator is lost.
    fn blocked(&mut self, case: &Case, held: &sentinel::Held, entered: &scenario::Entered) {
        report::record(&Record::Block(sentinel::describe(
            case,
            held,
            entered,
            &self.conductor.plan.roles,
        )));
        let record = self.blank(case, Verdict::Blocked, None);
        self.finish(case, record);
        self.ended = true;
    }

    /// Writes a case's record and remembers its verdict.
    fn finish(&mut self, case: &Case, record: CaseRecord) {
        let strict = self.conductor.max_slowdown.is_some();
        let mut code = ExitCode::of_verdict(record.verdict);
        if strict && record.verdict == Verdict::Slowed {
            code = code.worse(ExitCode::Slowed);
        }
        self.exit = self.exit.worse(code);
        self.outcomes
            .insert(case.number, (record.verdict, record.why.clone()));
        report::boxed(Record::Case, record);
    }

    /// The tree, the closing record, the end.
    fn close(&self, broken: bool) -> ! {
        let mut counts: Vec<(Verdict, u32)> = Vec::new();
        for verdict in Verdict::ALL {
            let count = self.outcomes.values().filter(|(v, _)| v == verdict).count();
            let missing = if *verdict == Verdict::Skipped {
                self.conductor.plan.len() - self.outcomes.len()
            } else {
                0
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
        let strict = self.conductor.max_slowdown.is_some();
        console::with(|out| {
            // Writing to a console cannot fail: a dead line swallows it.
            let _ = ktap::write_tree(out, &self.conductor.plan, strict, |case| {
                self.outcomes
                    .get(&case.number)
                    .map(|(verdict, why)| ktap::Outcome {
                        verdict: *verdict,
                        why: why.as_deref(),
                    })
            });
        });
        if !broken {
            report::record(&Record::End(End {
                exit: exit as u8,
                verdicts: counts,
                elapsed_ms: clock::ms_since(self.conductor.started),
            }));
        }
        exit::end(exit)
    }
}

/// Is there a depth sweep of it, so that it can be timed in batches?
fn has_depth(subject: Subject) -> bool {
    crate::probe::of(subject).is_some_and(|p| p.depth.is_some())
}

/// Takes the initiators' results together.
fn collect(initiators: &CpuSet) -> Measured {
    let mut all = Measured::default();
    for cpu in initiators.iter() {
        // Returned, so nobody holds the lock.
        let Some(results) = core(cpu).results.get().and_then(|r| r.try_lock()) else {
            continue;
        };
        all.issue.merge(&results.issue);
        all.complete.merge(&results.complete);
        if all.sweep.is_empty() {
            all.sweep.extend(&results.sweep[..results.depths]);
        }
        if let Some(registers) = results.fault {
            all.fault.get_or_insert((cpu, registers, results.returned));
        }
        if let Some((expected, seen)) = results.stale_code {
            all.stale_code.get_or_insert((cpu, expected, seen));
        }
        if initiators.len() > 1 {
            let histogram = if results.complete.count() > 0 {
                &results.complete
            } else {
                &results.issue
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
    all
}
