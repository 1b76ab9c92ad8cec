//! One crash as the log tells it: everything seen, nothing concluded.

mod messages;

use super::{
    capture::Capture,
    dump::{Cause, Dumps},
    firmware::{Firmware, cpu_of},
    mark::{Mark, Place},
    prefix::Caller,
    stall::Stalls,
    step::Step,
};

/// Lockups kept of one crash, one for each CPU of a large machine.
const MAX_LOCKUPS: usize = 600;

/// Times kept of one crash, to recognize its lines.
const MAX_TIMES: usize = 4096;

/// What can begin a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// The soft-lockup watchdog.
    Soft,
    /// The hard-lockup watchdog.
    Hard,
    /// A fault or BUG.
    Oops,
    /// An SError.
    SError,
    /// An RCU stall.
    Rcu,
    /// A request through sysrq.
    Sysrq,
}

/// A message that can begin a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Which kind.
    pub trigger: Trigger,
    /// Where it is.
    pub mark: Mark,
    /// The CPU it names.
    pub cpu: Option<u32>,
    /// The CPU that found it, where that is another one.
    pub by: Option<u32>,
    /// Seconds stuck.
    pub stuck_s: Option<u32>,
    /// The task on that CPU.
    pub task: Option<(String, u32)>,
    /// The text of an oops.
    pub text: Option<String>,
    /// The opening lines of an oops: if there are several, each but the last is
    /// another CPU's fault.
    pub faults: Vec<(u64, Option<Caller>)>,
    /// The first dump that can belong to it.
    pub dump: u32,
}

/// A list of CPUs as printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrintedList {
    /// The text.
    pub text: String,
    /// The line is whole; where it is not, the list may be longer.
    pub whole: bool,
    /// Its number.
    pub line: u64,
}

/// Where facts were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FactLines {
    /// The kernel's release.
    pub release: Option<u64>,
    /// The machine's name.
    pub hardware: Option<u64>,
    /// The number of CPUs.
    pub cpus_up: Option<u64>,
    /// Whether a crash kernel was loaded.
    pub kdump_loaded: Option<u64>,
}

/// Everything that was seen of one crash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Crash {
    /// Complaints in order.
    pub complaints: Vec<Complaint>,
    /// Where each step was first seen.
    pub steps: [Option<Mark>; Step::ALL.len()],
    /// The panic's reason, and whether its line is whole.
    pub panic: Option<(String, bool)>,
    /// The panic was moved from the first of these CPUs to the second, and the line
    /// that says so.
    pub redirected: Option<(u32, u32, u64)>,
    /// The list of the NMI retry.
    pub retry: Option<PrintedList>,
    /// The list of CPUs that did not stop.
    pub failed: Option<PrintedList>,
    /// All dumps.
    pub dumps: Dumps,
    /// The kernel's release.
    pub release: Option<String>,
    /// Was a crash kernel loaded?
    pub kdump_loaded: Option<bool>,
    /// The machine's name.
    pub hardware: Option<String>,
    /// CPUs that came up at boot.
    pub cpus_up: Option<u32>,
    /// The panic ended without a crash kernel, and the line that shows it.
    pub panic_ended: Option<u64>,
    /// Seconds until it reboots.
    pub reboots_in: Option<u32>,
    /// The list of the NMI retry through firmware.
    pub retry_sdei: Option<PrintedList>,
    /// What the driver for that said, and where.
    pub sdei: Vec<(String, u64)>,
    /// RCU stalls and the like.
    pub stalls: Stalls,
    /// What firmware said.
    pub firmware: Firmware,
    /// CPUs that said that they stop.
    pub said_stopping: Vec<u32>,
    /// CPUs that were offline.
    pub offline: Vec<u32>,
    /// MPIDRs by CPU.
    pub mpidrs: Vec<(u32, u64)>,
    /// Sleeping tasks were complained of.
    pub hung_task: bool,
    /// What is known about the capture kernel after it.
    pub capture: Capture,
    /// A further boot after the capture kernel's.
    pub next_boot: Option<u64>,
    /// The capture kernel printed this crash's lines again.
    pub replayed: bool,
    /// Lines that stood there twice.
    pub doubled: u32,
    /// It comes from a record in persistent storage.
    pub pstore: bool,
    /// The `crash` utility's output is part of it.
    pub tool: bool,
    /// CPUs of which a dump holds no registers.
    pub without_registers: Vec<u32>,
    /// The lines of facts.
    pub lines: FactLines,
    /// The first thing seen of it, if that is neither complaint nor step.
    pub first: Option<Mark>,
    /// The last line taken.
    pub last_line: u64,
    /// Times of its lines.
    pub times: Vec<u64>,
    /// The closing line of the stale warning was seen.
    pub warning_closed: bool,
    /// The number of the first dump that can be the stale warning's.
    pub warning_dump: u32,
    /// Where a kernel boots after this crash.
    pub boot: Option<Mark>,
    /// The MPIDR of the core that it boots on, and the line.
    pub booted_on: Option<(u64, u64)>,
    /// What boots after this crash is no capture kernel.
    pub reset: bool,
    /// It happened in a capture kernel.
    pub in_capture: bool,
    /// The other architecture whose lines were seen.
    pub foreign: Option<&'static str>,
    /// Its lines carry stamps.
    pub logged: bool,
    /// It began inside a Markdown quotation: the number of its fence.
    pub quoted: Option<u64>,
    /// A dump was seen.
    pub has_details: bool,
    /// The log ends in the middle of a line.
    pub cut_line: bool,
    /// The latest kernel time.
    pub latest: Option<u64>,
}

impl Crash {
    /// Was the step seen?
    pub fn has(&self, step: Step) -> bool {
        self.steps[step as usize].is_some()
    }

    /// The latest step seen.
    pub fn last_step(&self) -> Option<Step> {
        Step::ALL.into_iter().rev().find(|s| self.has(*s))
    }

    /// The CPU that went on with the panic, or that warned on its way into the crash
    /// kernel.
    pub fn panic_cpu(&self) -> Option<u32> {
        let warned = || {
            self.cpu_of(Cause::Warn)
                .filter(|_| self.has(Step::StaleWarning))
        };
        let by_tool = || {
            let on_its_way = ["machine_kexec", "__crash_kexec", "crash_kexec"];
            let fits = |d: &&super::dump::Dump| d.passes(&on_its_way);
            self.dumps.all.iter().filter(|_| self.tool).find(fits)?.cpu
        };
        self.redirected
            .map(|(_, to, _)| to)
            .or_else(|| self.cpu_of(Cause::Panic))
            .or_else(warned)
            .or_else(by_tool)
    }

    /// The CPU of the latest dump of a kind.
    pub fn cpu_of(&self, cause: Cause) -> Option<u32> {
        let fits = |d: &&super::dump::Dump| d.cause == cause && d.cpu.is_some();
        self.dumps.all.iter().rev().find(fits)?.cpu
    }

    /// The line where a step was seen.
    pub fn line_of(&self, step: Step) -> Option<u64> {
        self.steps[step as usize].as_ref().map(|mark| mark.line)
    }

    /// The line in which a CPU shows itself, the first from `from` on, else the
    /// last.
    pub fn cpu_line(&self, cpu: u32, from: Option<u64>) -> Option<u64> {
        let mut of_cpu = self.dumps.all.iter().filter(|d| d.cpu == Some(cpu));
        let lines = of_cpu.clone().filter_map(|d| d.line_number);
        lines
            .clone()
            .filter(|line| Some(*line) >= from)
            .min()
            .or_else(|| of_cpu.next_back()?.line_number)
    }

    /// The CPU that its capture kernel boots on, if no line of the path was printed
    /// because another CPU held the console.
    pub fn unprinted(&self) -> Option<(u32, u64)> {
        let path = [Step::Panic, Step::StopSgi, Step::CrashKernel, Step::Bye];
        let (mpidr, line) = self.booted_on?;
        let known = self.has(Step::CaptureBoot) && !path.iter().any(|step| self.has(*step));
        known.then_some((cpu_of(mpidr, &self.mpidrs)?, line))
    }

    fn reach(&mut self, step: Step, at: impl Into<Mark>) {
        self.steps[step as usize].get_or_insert_with(|| at.into());
    }

    /// Did the stale warning's dump begin but not end?
    pub fn warning_unfinished(&self) -> bool {
        let begun = |d: &super::dump::Dump| d.cause == Cause::Warn && d.id >= self.warning_dump;
        let last = self.line_of(Step::StaleWarning) == Some(self.last_line);
        self.has(Step::StaleWarning)
            && !self.warning_closed
            && (last || self.dumps.all.iter().any(begun))
    }

    /// Were this line's time and text seen in it before? Times have microseconds:
    /// two lines with the same one are the same line.
    pub fn knows(&self, micros: Option<u64>) -> bool {
        micros.is_some_and(|micros| self.times.contains(&micros))
    }

    /// Splits off the complaints that came after the panic, or after the start of
    /// the crash kernel: when another panic follows, they belong to it.
    pub fn split_off_late(&mut self) -> Option<Self> {
        let border = [Step::Panic, Step::StopSgi, Step::CrashKernel, Step::Bye]
            .iter()
            .filter_map(|s| self.steps[*s as usize].as_ref())
            .map(|m| m.line)
            .max()?;
        let at = self.complaints.iter().position(|c| c.mark.line > border)?;
        let complaints = self.complaints.split_off(at);
        let first = complaints.first()?;
        let from = first.dump;
        let mut late = Self {
            dumps: self.dumps.split_off(from),
            logged: self.logged,
            quoted: self.quoted,
            has_details: self.has_details,
            release: self.release.clone(),
            hardware: self.hardware.clone(),
            cpus_up: self.cpus_up,
            kdump_loaded: self.kdump_loaded,
            latest: self.latest,
            offline: self.offline.clone(),
            mpidrs: self.mpidrs.clone(),
            doubled: self.doubled,
            lines: self.lines,
            ..Self::default()
        };
        late.steps[Step::Crash as usize] = Some(first.mark.clone());
        late.complaints = complaints;
        Some(late)
    }
}
