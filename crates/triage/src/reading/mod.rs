//! The reading of one crash: what `--json` shows, and what the words are made
//! from. Its field names are a promise to tools; see `docs/triage.md`.

mod sources;

use serde::Serialize;
use stalecore_model::{
    cpuset::{CpuSet, MAX_CPUS},
    kdump::Kernel,
};

use super::{
    capture::{End, Stage},
    command::{self, Command},
    cpus::{Count, CountSource, Cpus, Meaning},
    crash::{Complaint, Crash},
    era::{self, Build},
    evidence::Support,
    findings::{self, Evidence, Finding},
    hung::{self, Hung},
    mark::Time,
    outcome::{Kind, Outcome, Status, status},
    signature::{self, Marks},
    stale::{self, Other, Stack, Stale},
    step::Step,
};

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StepReading {
    /// Which.
    pub step: Step,
    /// Is it there?
    pub status: Status,
    /// The line that shows it.
    pub line: Option<u64>,
    /// Its time as printed.
    pub time: Option<Time>,
}

/// The kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KernelReading {
    /// Its release.
    pub release: String,
    /// Its era, as `stalecore run --kernel` names it.
    pub era: Option<&'static str>,
    /// A vendor's kernel, a distribution's among them.
    pub vendor: bool,
    /// What kind of build it is.
    pub build: Build,
    /// The distribution, where the release names one.
    pub distribution: Option<&'static str>,
}

/// How far the capture kernel came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CaptureReading {
    /// The furthest stage.
    pub reached: Stage,
    /// Percent of the dump written.
    pub percent: Option<u8>,
    /// How it ended.
    pub ended: End,
    /// The last line heard of it.
    pub last_line: Option<u64>,
    /// Its time.
    pub last_time: Option<Time>,
    /// Its text.
    pub last_text: Option<String>,
}

/// Where a fact comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Source {
    /// The field of the reading.
    pub fact: &'static str,
    /// How it is known, and from which lines.
    #[serde(flatten)]
    pub support: Support,
}

/// The list of CPUs that failed to stop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FailedToStop {
    /// As printed.
    pub list: String,
    /// How many CPUs it names, if it can be read.
    pub count: Option<usize>,
    /// Its line is whole.
    pub whole: bool,
    /// What it means.
    pub meaning: Meaning,
    /// The list of the NMI retry, if there was one.
    pub nmi_retry: Option<String>,
    /// The list of the retry through firmware.
    pub sdei_retry: Option<String>,
}

/// A crash in short.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Head {
    /// Its number in the log, from 1.
    pub number: u64,
    /// What kind of crash.
    pub kind: Kind,
    /// How far the kdump path came.
    pub outcome: Outcome,
    /// The line where it begins.
    pub line: Option<u64>,
    /// The time where it begins, as printed.
    pub time: Option<Time>,
    /// The CPU that went down the kdump path.
    pub cpu: Option<u32>,
    /// The CPU that was stuck, in a lockup: mostly the same.
    pub stuck_cpu: Option<u32>,
    /// For how many seconds.
    pub stuck_s: Option<u32>,
    /// The task on the stuck or crashed CPU.
    pub comm: Option<String>,
    /// Its pid.
    pub pid: Option<u32>,
    /// The last step present.
    pub last_present: Option<Step>,
    /// The first missing step behind it.
    pub first_missing: Option<Step>,
}

/// A crash, read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reading {
    /// In short.
    #[serde(flatten)]
    pub head: Head,
    /// The panic's reason.
    pub panic: Option<String>,
    /// An oops's text.
    pub oops: Option<String>,
    /// The kernel.
    pub kernel: Option<KernelReading>,
    /// The machine.
    pub hardware: Option<String>,
    /// Was a crash kernel loaded?
    pub kdump_loaded: Option<bool>,
    /// It happened in a capture kernel.
    pub in_capture_kernel: bool,
    /// How many CPUs there are.
    pub cpus: Option<Count>,
    /// Every step of the path.
    pub steps: Vec<StepReading>,
    /// The CPUs that failed to stop.
    pub failed_to_stop: Option<FailedToStop>,
    /// The stack of the crash.
    pub stack: Option<Stack>,
    /// What is known of other CPUs.
    pub others: Vec<Other>,
    /// CPUs that the log shows stuck, each with what shows it.
    pub hung: Vec<Hung>,
    /// The CPU that found the stall or lockup of another.
    pub found_by: Option<u32>,
    /// A CPU that the log names as the one that crashed, and refutes.
    pub refuted_cpu: Option<u32>,
    /// CPUs that were offline.
    pub offline: CpuSet,
    /// How far the capture kernel came.
    pub capture: Option<CaptureReading>,
    /// The stale cores to stage.
    pub stale: Option<Stale>,
    /// Where the facts come from.
    pub sources: Vec<Source>,
    /// The same for every log of the same failure.
    pub signature: String,
    /// Conclusions.
    pub findings: Vec<Finding>,
    /// The command that stages it.
    pub command: Option<Command>,
    /// Why there is none.
    pub no_command: Option<String>,
}

/// What the head and the rest of a reading are both made from.
struct Basics<'a> {
    kind: Kind,
    complaint: Option<&'a Complaint>,
    era: Option<Kernel>,
    cpus: Cpus,
    stuck_cpu: Option<u32>,
    /// The CPU that panicked, where another took the panic over.
    redirected: Option<u32>,
}

impl<'a> Basics<'a> {
    fn of(crash: &'a Crash) -> Self {
        let (kind, complaint) = Kind::of(crash);
        let era = crash.release.as_deref().and_then(era::like);
        let stalled = || Some(crash.stalls.rcu.first()?.0).filter(|_| kind == Kind::RcuStall);
        let complained = complaint.filter(|_| kind.is_lockup()).and_then(|c| c.cpu);
        let stuck_cpu = complained.or_else(stalled);
        Self {
            kind,
            complaint,
            era,
            cpus: Cpus::of(crash, kind, stuck_cpu, era),
            stuck_cpu,
            redirected: crash.redirected.map(|(from, ..)| from),
        }
    }

    /// The CPU whose task is that of the crash.
    fn cpu(&self) -> Option<u32> {
        self.stuck_cpu.or(self.cpus.crashed)
    }

    /// The CPU whose stack is.
    fn stack_cpu(&self) -> Option<u32> {
        self.stuck_cpu.or(self.redirected).or(self.cpus.crashed)
    }

    fn status(&self, crash: &Crash, step: Step) -> Status {
        let counted = |c: Count| c.count == 1 && c.source == CountSource::Boot;
        status(crash, self.kind, self.cpus.count.is_some_and(counted), step)
    }

    fn head(&self, crash: &Crash, number: u64) -> Head {
        let (comm, pid) = task(crash, self.complaint, self.cpu());
        let last_present = crash.last_step();
        let begins = crash
            .steps
            .iter()
            .flatten()
            .chain(crash.first.as_ref())
            .chain(self.complaint.map(|c| &c.mark))
            .min_by_key(|m| m.line);
        Head {
            number,
            kind: self.kind,
            outcome: Outcome::of(crash),
            line: begins.map(|m| m.line),
            time: begins.and_then(|m| m.time.clone()),
            cpu: self.cpus.crashed,
            stuck_cpu: self.stuck_cpu,
            stuck_s: self.complaint.and_then(|c| c.stuck_s),
            comm,
            pid,
            last_present,
            first_missing: Step::ALL
                .into_iter()
                .filter(|s| Some(*s) > last_present)
                .find(|s| self.status(crash, *s) == Status::Missing),
        }
    }
}

impl Head {
    /// Reads a crash in short.
    pub fn of(crash: &Crash, number: u64) -> Self {
        Basics::of(crash).head(crash, number)
    }
}

impl Reading {
    /// Reads a crash.
    pub fn of(crash: &Crash, number: u64) -> Self {
        let basics = Basics::of(crash);
        let Basics {
            kind,
            complaint,
            era,
            ..
        } = basics;
        let cpus = &basics.cpus;
        let stack = Stack::of_crash(crash, complaint, basics.stack_cpu(), era);
        let others = stale::others(crash, cpus.crashed, era);
        let hung = hung::of(crash);
        let stuck = hung
            .iter()
            .map(|h| h.cpu as usize)
            .filter(|cpu| *cpu < MAX_CPUS)
            .collect();
        let stand_in = match cpus.crashed {
            Some(_) => None,
            None => command::stand_in(cpus, &stuck),
        };
        let stale = Stale::of(&stale::Known {
            crash,
            kind,
            cpus,
            initiator: stand_in,
            stack: stack.as_ref(),
            others: &others,
            hung: &hung,
        });
        let findings = findings::of(&Evidence {
            crash,
            kind,
            era,
            cpus,
            stack: stack.as_ref(),
            others: &others,
            hung: &hung,
            stale: stale.as_ref(),
        });
        let command = if findings::is_foreign(crash) {
            Err("The scenario plays arm64 kernels only.".into())
        } else {
            Command::of(crash, era, cpus, stand_in, stale.as_ref())
        };
        let (command, no_command) = match command {
            Ok(command) => (Some(command), None),
            Err(why) => (None, Some(why)),
        };
        let steps = Step::ALL.into_iter().map(|step| {
            let mark = crash.steps[step as usize].as_ref();
            StepReading {
                step,
                status: basics.status(crash, step),
                line: mark.map(|m| m.line),
                time: mark.and_then(|m| m.time.clone()),
            }
        });
        let (capture, failed_to_stop) = (capture(crash), failed(crash, cpus));
        let shown = failed_to_stop.is_some() || !hung.is_empty();
        let signature = signature::of(&Marks {
            kind,
            stack: stack.as_ref(),
            outcome: Outcome::of(crash),
            reached: capture.as_ref().map(|capture| capture.reached),
            meaning: failed_to_stop.as_ref().map(|list| list.meaning),
            stale: stale.as_ref().filter(|_| shown),
            in_capture: crash.in_capture,
        });
        Self {
            head: basics.head(crash, number),
            panic: crash.panic.as_ref().map(|(text, _)| text.clone()),
            oops: crash.complaints.iter().rev().find_map(|c| c.text.clone()),
            kernel: crash.release.as_ref().map(|release| KernelReading {
                era: era.map(Kernel::name),
                vendor: era::is_vendor(release),
                build: era::builder(release).build,
                distribution: era::builder(release).distribution.map(|(name, _)| name),
                release: release.clone(),
            }),
            hardware: crash.hardware.clone(),
            kdump_loaded: crash.kdump_loaded,
            in_capture_kernel: crash.in_capture,
            cpus: cpus.count,
            steps: steps.collect(),
            failed_to_stop,
            stack,
            others,
            found_by: complaint.and_then(|c| c.by).or(crash.stalls.detector),
            hung,
            refuted_cpu: cpus.refuted,
            offline: cpus.offline,
            capture,
            sources: sources::sources(crash, &basics, stale.as_ref()),
            signature,
            stale,
            findings,
            command,
            no_command,
        }
    }
}

fn capture(crash: &Crash) -> Option<CaptureReading> {
    if !crash.has(Step::CaptureBoot) {
        return None;
    }
    let last = crash.capture.last.as_ref();
    Some(CaptureReading {
        reached: crash.capture.stage,
        percent: crash.capture.percent,
        ended: crash.capture.end,
        last_line: last.map(|(mark, _)| mark.line),
        last_time: last.and_then(|(mark, _)| mark.time.clone()),
        last_text: last.map(|(_, text)| text.clone()),
    })
}

fn failed(crash: &Crash, cpus: &Cpus) -> Option<FailedToStop> {
    let list = crash.failed.as_ref()?;
    Some(FailedToStop {
        list: list.text.clone(),
        count: cpus.failed.map(|set| set.len()),
        whole: list.whole,
        meaning: cpus.meaning?,
        nmi_retry: crash.retry.as_ref().map(|retry| retry.text.clone()),
        sdei_retry: crash.retry_sdei.as_ref().map(|retry| retry.text.clone()),
    })
}

/// The task on the CPU in question: from the complaint, else from a dump.
fn task(
    crash: &Crash,
    complaint: Option<&Complaint>,
    cpu: Option<u32>,
) -> (Option<String>, Option<u32>) {
    if let Some((comm, pid)) = complaint.and_then(|c| c.task.clone()) {
        return (Some(comm), Some(pid));
    }
    let line = crash
        .dumps
        .all
        .iter()
        .filter(|d| cpu.is_none() || d.cpu == cpu)
        .find_map(|d| d.line.as_ref());
    (line.and_then(|l| l.comm.clone()), line.and_then(|l| l.pid))
}
