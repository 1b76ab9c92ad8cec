//! The reading of one crash: what `--json` shows, and what the words are made
//! from. Its field names are a promise to tools; see `docs/triage.md`.

use serde::Serialize;
use stalecore_model::kdump::Kernel;

use super::{
    command::Command,
    cpus::{Count, CountSource, Cpus, Meaning},
    crash::{Complaint, Crash},
    era,
    findings::{self, Evidence, Finding},
    outcome::{Kind, Outcome, Status, status},
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
    pub time: Option<String>,
}

/// The kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KernelReading {
    /// Its release.
    pub release: String,
    /// Its era, as `stalecore run --kernel` names it.
    pub era: Option<&'static str>,
    /// A vendor's kernel.
    pub vendor: bool,
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
    pub time: Option<String>,
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
    /// The stale cores to stage.
    pub stale: Option<Stale>,
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
}

impl<'a> Basics<'a> {
    fn of(crash: &'a Crash) -> Self {
        let (kind, complaint) = Kind::of(crash);
        let era = crash.release.as_deref().and_then(era::like);
        let stuck_cpu = complaint.filter(|_| kind.is_lockup()).and_then(|c| c.cpu);
        Self {
            kind,
            complaint,
            era,
            cpus: Cpus::of(crash, kind, stuck_cpu, era),
            stuck_cpu,
        }
    }

    /// The CPU whose stack and task are those of the crash.
    fn cpu(&self) -> Option<u32> {
        self.stuck_cpu.or(self.cpus.crashed)
    }

    fn status(&self, crash: &Crash, step: Step) -> Status {
        let counted = |c: Count| c.count == 1 && c.source == CountSource::Boot;
        status(crash, self.kind, self.cpus.count.is_some_and(counted), step)
    }

    fn head(&self, crash: &Crash, number: u64) -> Head {
        let (comm, pid) = task(crash, self.complaint, self.cpu());
        let last_present = crash.last_step();
        let begins = self
            .complaint
            .map(|c| &c.mark)
            .or_else(|| crash.steps.iter().flatten().min_by_key(|m| m.line));
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
        let stack = Stack::of_crash(crash, complaint, basics.cpu(), era);
        let others = stale::others(crash, cpus.crashed, era);
        let stale = Stale::of(crash, kind, cpus, stack.as_ref(), &others);
        let findings = findings::of(&Evidence {
            crash,
            kind,
            era,
            cpus,
            stack: stack.as_ref(),
            others: &others,
        });
        let command = if findings::is_foreign(crash) {
            Err("The scenario plays arm64 kernels only.".into())
        } else {
            Command::of(crash, era, cpus, stale.as_ref())
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
        Self {
            head: basics.head(crash, number),
            panic: crash.panic.as_ref().map(|(text, _)| text.clone()),
            oops: crash.complaints.iter().rev().find_map(|c| c.text.clone()),
            kernel: crash.release.as_ref().map(|release| KernelReading {
                era: era.map(Kernel::name),
                vendor: era::is_vendor(release),
                release: release.clone(),
            }),
            hardware: crash.hardware.clone(),
            kdump_loaded: crash.kdump_loaded,
            in_capture_kernel: crash.in_capture,
            cpus: cpus.count,
            steps: steps.collect(),
            failed_to_stop: failed(crash, cpus),
            stack,
            others,
            stale,
            findings,
            command,
            no_command,
        }
    }
}

fn failed(crash: &Crash, cpus: &Cpus) -> Option<FailedToStop> {
    let list = crash.failed.as_ref()?;
    Some(FailedToStop {
        list: list.text.clone(),
        count: cpus.failed.map(|set| set.len()),
        whole: list.whole,
        meaning: cpus.meaning?,
        nmi_retry: crash.retry.as_ref().map(|retry| retry.text.clone()),
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
