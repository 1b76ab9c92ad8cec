//! One crash as the log tells it: everything seen, nothing concluded.

use super::{
    dump::{Cause, Dumps},
    fields::{ascii, clean},
    message::Message,
    prefix::Stamp,
    step::Step,
};

/// Lockups kept of one crash, one for each CPU of a large machine.
const MAX_LOCKUPS: usize = 600;

/// Where a message stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Line number, from 1.
    pub line: u64,
    /// Time as printed.
    pub time: Option<String>,
}

/// Where a message is being read.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Line number, from 1.
    pub line: u64,
    /// Its stamp.
    pub stamp: Stamp<'a>,
    /// Its line is whole.
    pub whole: bool,
}

impl From<Place<'_>> for Mark {
    fn from(place: Place<'_>) -> Self {
        Self {
            line: place.line,
            time: place.stamp.time.map(clean),
        }
    }
}

/// What can begin a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// The soft-lockup watchdog.
    Soft,
    /// The hard-lockup watchdog.
    Hard,
    /// A fault or BUG.
    Oops,
    /// A request through sysrq.
    Sysrq,
}

/// A message that can begin a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Which.
    pub trigger: Trigger,
    /// Where.
    pub mark: Mark,
    /// The CPU it names.
    pub cpu: Option<u32>,
    /// Seconds stuck.
    pub stuck_s: Option<u32>,
    /// The task on that CPU.
    pub task: Option<(String, u32)>,
    /// The text of an oops.
    pub text: Option<String>,
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
    /// The panic ended without a crash kernel.
    pub panic_ended: bool,
    /// The closing line of the stale warning was seen.
    pub warning_closed: bool,
    /// The number of the first dump that can be the stale warning's.
    pub warning_dump: u32,
    /// Where a kernel boots behind this crash.
    pub boot: Option<Mark>,
    /// What boots behind this crash is no capture kernel.
    pub reset: bool,
    /// It happened in a capture kernel.
    pub in_capture: bool,
    /// Registers of another architecture were seen.
    pub foreign: bool,
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

    /// The CPU that panicked, or that warned on its way into the crash kernel.
    pub fn panic_cpu(&self) -> Option<u32> {
        let warned = || {
            self.cpu_of(Cause::Warn)
                .filter(|_| self.has(Step::StaleWarning))
        };
        self.cpu_of(Cause::Panic).or_else(warned)
    }

    /// The CPU of the latest dump of a kind.
    pub fn cpu_of(&self, cause: Cause) -> Option<u32> {
        let fits = |d: &&super::dump::Dump| d.cause == cause && d.cpu.is_some();
        self.dumps.all.iter().rev().find(fits)?.cpu
    }

    fn reach(&mut self, step: Step, at: impl Into<Mark>) {
        self.steps[step as usize].get_or_insert_with(|| at.into());
    }

    /// Did the stale warning begin its dump and not end it?
    pub fn warning_unfinished(&self) -> bool {
        let begun = |d: &super::dump::Dump| d.cause == Cause::Warn && d.id >= self.warning_dump;
        self.has(Step::StaleWarning) && !self.warning_closed && self.dumps.all.iter().any(begun)
    }

    /// Takes in a message that belongs to this crash.
    pub fn take(&mut self, message: Message<'_>, at: Place<'_>) {
        let caller = at.stamp.caller;
        if let Some(micros) = at.stamp.micros
            && !message.is_bulk()
        {
            self.latest = Some(self.latest.map_or(micros, |l| l.max(micros)));
        }
        match message {
            Message::SoftLockup { cpu, stuck_s, task } => {
                self.complain(Trigger::Soft, at, Some(cpu), |c| {
                    c.stuck_s = Some(stuck_s);
                    c.task = task;
                });
                self.dumps.open(Cause::Lockup, Some(cpu), caller);
            }
            Message::HardLockup { cpu } => {
                self.complain(Trigger::Hard, at, cpu, |_| {});
                self.dumps.open(Cause::Lockup, cpu, caller);
            }
            Message::Oops(text) => {
                let text = clean(text);
                // A fault prints several opening lines; they share one dump.
                let known = self
                    .complaints
                    .last()
                    .is_some_and(|c| c.trigger == Trigger::Oops && self.dumps.next() == c.dump + 1);
                if !known || self.dumps.all.last().is_some_and(|d| d.line.is_some()) {
                    self.complain(Trigger::Oops, at, None, |c| c.text = Some(text));
                    self.dumps.open(Cause::Oops, None, caller);
                } else if let Some(last) = self.complaints.last_mut()
                    && text.starts_with("Internal error: ")
                {
                    last.text = Some(text);
                }
            }
            Message::SysrqCrash => self.complain(Trigger::Sysrq, at, None, |_| {}),
            Message::Panic(reason) => {
                self.panic = Some((clean(reason), at.whole));
                self.reach(Step::Panic, at);
                self.dumps.open(Cause::Panic, None, caller);
            }
            Message::PanicEnd => self.panic_ended |= self.has(Step::Panic),
            Message::Stopping => self.reach(Step::StopSgi, at),
            Message::Retry(list) => {
                self.retry.get_or_insert(printed(list, at.whole));
                self.reach(Step::RetryNmi, at);
            }
            Message::FailedToStop(list) => {
                self.failed.get_or_insert(printed(list, at.whole));
                self.reach(Step::FailedToStop, at);
            }
            Message::CrashKernel => self.reach(Step::CrashKernel, at),
            Message::StaleWarning => {
                self.warning_dump = self.dumps.next();
                self.reach(Step::StaleWarning, at);
            }
            Message::Bye => self.reach(Step::Bye, at),
            Message::VmcoreSaved => {
                self.reach(Step::CaptureBoot, at);
                self.reach(Step::VmcoreSaved, at);
            }
            Message::CaptureSign => {
                let booted = self.boot.clone().unwrap_or_else(|| at.into());
                self.reach(Step::CaptureBoot, booted);
            }
            Message::Foreign => self.foreign = true,
            detail => self.detail(detail, caller),
        }
    }

    fn detail(&mut self, message: Message<'_>, caller: Option<super::prefix::Caller>) {
        self.has_details |= !message.is_bulk();
        match message {
            Message::Warn(cpu) => self.dumps.open(Cause::Warn, Some(cpu), caller),
            Message::Backtrace(cpu) => self.dumps.backtrace(cpu, caller),
            Message::EndTrace => {
                self.warning_closed |= self.has(Step::StaleWarning);
                self.dumps.end_trace(caller);
            }
            Message::Cpu(mut line) => {
                if let Some(loaded) = line.kdump_loaded {
                    self.kdump_loaded = Some(loaded);
                }
                if let Some(release) = line.release.take() {
                    self.release = Some(release);
                }
                self.dumps.cpu_line(line, caller);
            }
            Message::Hardware(name) => {
                self.hardware.get_or_insert(name);
            }
            Message::Pc(pc) => self.dumps.pc(pc, caller),
            Message::Lr(lr) => self.dumps.lr(lr, caller),
            Message::CallTrace => self.dumps.call_trace(caller),
            Message::Frame(symbol) => self.dumps.frame(symbol, caller),
            _ => {}
        }
    }

    fn complain(
        &mut self,
        trigger: Trigger,
        at: Place<'_>,
        cpu: Option<u32>,
        fill: impl FnOnce(&mut Complaint),
    ) {
        self.reach(Step::Crash, at);
        // A watchdog repeats itself: the latest word on a CPU replaces the one
        // before, unless the panic has come in between.
        let panic_line = self.steps[Step::Panic as usize]
            .as_ref()
            .map_or(0, |m| m.line);
        let repeat = self.complaints.iter().position(|c| {
            c.trigger == trigger && cpu.is_some() && c.cpu == cpu && c.mark.line > panic_line
        });
        if let Some(repeat) = repeat {
            let gone = self.complaints.remove(repeat);
            gone.cpu.inspect(|cpu| self.dumps.forget(*cpu));
        }
        if self.complaints.len() == MAX_LOCKUPS {
            return;
        }
        let mut complaint = Complaint {
            trigger,
            mark: at.into(),
            cpu,
            stuck_s: None,
            task: None,
            text: None,
            dump: self.dumps.next(),
        };
        fill(&mut complaint);
        self.complaints.push(complaint);
    }

    /// Splits off the complaints that came behind the panic, or behind the
    /// start of the crash kernel: when another panic follows, they are its.
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
            ..Self::default()
        };
        late.steps[Step::Crash as usize] = Some(first.mark.clone());
        late.complaints = complaints;
        Some(late)
    }
}

fn printed(list: &[u8], whole: bool) -> PrintedList {
    let end = list
        .iter()
        .position(|b| !matches!(b, b'0'..=b'9' | b',' | b'-'))
        .unwrap_or(list.len());
    PrintedList {
        text: ascii(&list[..end.min(4000)]),
        whole,
    }
}
