//! One crash as the log tells it: everything seen, nothing concluded.

use std::collections::HashSet;

use super::{
    capture::{Capture, Stage},
    dump::{Cause, Dumps},
    fields::{ascii, clean},
    firmware::Firmware,
    message::Message,
    prefix::{Caller, Stamp},
    stall::Stalls,
    step::Step,
};

/// Lockups kept of one crash, one for each CPU of a large machine.
const MAX_LOCKUPS: usize = 600;

/// Times kept of one crash, to know its lines again.
const MAX_TIMES: usize = 4096;

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
    /// Which.
    pub trigger: Trigger,
    /// Where.
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
    /// Faults of which it is one: each of an oops's opening lines but the last
    /// is one more CPU's, if there are more than one.
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
    /// What is known of the capture kernel behind it.
    pub capture: Capture,
    /// A further boot behind the capture kernel's.
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
    /// The first thing seen of it, where that is no complaint and no step.
    pub first: Option<Mark>,
    /// The last line taken.
    pub last_line: u64,
    /// Times of its lines.
    pub times: HashSet<u64>,
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

    /// The CPU that panicked, or that warned on its way into the crash kernel.
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
        self.cpu_of(Cause::Panic).or_else(warned).or_else(by_tool)
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

    fn reach(&mut self, step: Step, at: impl Into<Mark>) {
        self.steps[step as usize].get_or_insert_with(|| at.into());
    }

    /// Did the stale warning begin its dump and not end it?
    pub fn warning_unfinished(&self) -> bool {
        let begun = |d: &super::dump::Dump| d.cause == Cause::Warn && d.id >= self.warning_dump;
        let last = self.line_of(Step::StaleWarning) == Some(self.last_line);
        self.has(Step::StaleWarning)
            && !self.warning_closed
            && (last || self.dumps.all.iter().any(begun))
    }

    /// Takes in a message that belongs to this crash.
    pub fn take(&mut self, message: Message<'_>, at: Place<'_>) {
        let caller = at.stamp.caller;
        if let Some(micros) = at.stamp.micros
            && !message.is_bulk()
        {
            self.latest = Some(self.latest.map_or(micros, |l| l.max(micros)));
            if self.times.len() < MAX_TIMES {
                self.times.insert(micros);
            }
        }
        self.last_line = at.line;
        let asks = matches!(message, Message::Asked(..));
        self.stalls.went_on |= !asks && !message.is_bulk();
        match message {
            Message::SoftLockup { cpu, stuck_s, task } => {
                self.complain(Trigger::Soft, at, Some(cpu), |c| {
                    c.stuck_s = Some(stuck_s);
                    c.task = task;
                });
                self.dumps.open(Cause::Lockup, Some(cpu), caller);
            }
            Message::HardLockup { cpu, by } => {
                self.complain(Trigger::Hard, at, cpu, |c| c.by = by);
                self.dumps.open(Cause::Lockup, cpu, caller);
            }
            Message::Oops(text) => {
                let text = clean(text);
                self.foreign = self
                    .foreign
                    .or(text.contains(" ARM").then_some("32-bit Arm"));
                let fault = !text.starts_with("Internal error: ");
                // A fault prints several opening lines; they share one dump.
                let known = self
                    .complaints
                    .last()
                    .is_some_and(|c| c.trigger == Trigger::Oops && self.dumps.next() == c.dump + 1);
                if !known || self.dumps.all.last().is_some_and(|d| d.line.is_some()) {
                    self.complain(Trigger::Oops, at, None, |c| {
                        c.text = Some(text);
                        c.faults.extend(fault.then_some((at.line, caller)));
                    });
                    self.dumps.open(Cause::Oops, None, caller);
                } else if let Some(last) = self.complaints.last_mut() {
                    if !fault {
                        last.text = Some(text);
                    } else if last.faults.len() < MAX_LOCKUPS
                        // The same task twice is a fault inside a fault.
                        && !(caller.is_some() && last.faults.iter().any(|(_, c)| *c == caller))
                    {
                        last.faults.push((at.line, caller));
                    }
                }
            }
            Message::SError(cpu) => {
                self.complain(Trigger::SError, at, Some(cpu), |_| {});
                self.dumps.open(Cause::Oops, Some(cpu), caller);
            }
            Message::RcuStall(cpus) => {
                self.complain(Trigger::Rcu, at, None, |_| {});
                for cpu in cpus {
                    self.stalls.stalled(cpu, at.line);
                }
            }
            Message::RcuCpu(cpu) => self.stalls.stalled(cpu, at.line),
            Message::RcuBy { by, cpus } => {
                self.stalls.detector = by.or(self.stalls.detector);
                self.stalls.itself |= by.is_none();
                self.stalls.line = Some(at.line);
                self.stalls.cpus = cpus.map(|c| (c, at.line)).or(self.stalls.cpus);
            }
            Message::CsdWait { cpu, on } if self.stalls.waits.len() < MAX_LOCKUPS => {
                self.stalls.waits.push((cpu, on, at.line));
            }
            Message::Workqueue(cpu) if self.stalls.workqueues.len() < MAX_LOCKUPS => {
                self.stalls.workqueues.push((cpu, at.line));
            }
            Message::Asked(by, list) => {
                self.stalls.ask(by, list, at.line);
                let of = |cpu| {
                    self.stalls
                        .asked
                        .iter()
                        .any(|(c, b, _)| (*c, *b) == (cpu, by))
                };
                if let Some(found) =
                    self.complaints.iter_mut().rev().find(|c| {
                        c.trigger == Trigger::Hard && c.by.is_none() && c.cpu.is_some_and(of)
                    })
                {
                    found.by = Some(by);
                }
            }
            Message::HungTask => self.hung_task = true,
            Message::StopTaken(cpu) if self.said_stopping.len() < MAX_LOCKUPS => {
                self.said_stopping.push(cpu);
            }
            Message::FirmwarePanic(text) => self.firmware.complain(clean(text), at.into()),
            Message::FirmwareRegister(name, value) => self.firmware.register(name, value),
            Message::HardwareError(text) => self.firmware.record(clean(text), at.line),
            Message::SdeiNmi(text) if self.sdei.len() < 16 => {
                self.sdei.push((clean(text), at.line));
            }
            Message::SysrqCrash => self.complain(Trigger::Sysrq, at, None, |_| {}),
            Message::Panic(reason) => {
                let reason = clean(reason);
                self.begin_known(&reason);
                self.complain_in_panic(&reason, at);
                self.panic = Some((reason, at.whole));
                self.reach(Step::Panic, at);
                self.dumps.open(Cause::Panic, None, caller);
            }
            Message::PanicEnd(seconds) if self.has(Step::Panic) => {
                self.panic_ended.get_or_insert(at.line);
                self.reboots_in = seconds.or(self.reboots_in);
            }
            // The panic's notifiers come behind the attempt to start a crash
            // kernel, but where crash_kexec_post_notifiers puts them first.
            Message::Notifiers if self.has(Step::Panic) && !self.has(Step::CrashKernel) => {
                self.panic_ended.get_or_insert(at.line);
            }
            Message::Stopping => self.reach(Step::StopSgi, at),
            Message::Retry(list) => {
                self.retry.get_or_insert(printed(list, at.whole));
                self.reach(Step::RetryNmi, at);
            }
            Message::RetrySdei(list) => {
                self.retry_sdei.get_or_insert(printed(list, at.whole));
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
                let booted = self.boot.clone().unwrap_or_else(|| at.into());
                self.reach(Step::CaptureBoot, booted);
                self.reach(Step::VmcoreSaved, at);
                self.capture.reach(Stage::DumpSaved, at.line);
            }
            Message::CaptureSign => {
                let booted = self.boot.clone().unwrap_or_else(|| at.into());
                self.reach(Step::CaptureBoot, booted);
            }
            // What shows which one is worth more than what does not.
            Message::Foreign(which) => {
                let vague = |known: &&str| known.starts_with("another");
                self.foreign = self.foreign.filter(|k| !vague(k)).or(Some(which));
            }
            detail => self.detail(detail, at),
        }
    }

    /// Were this line's time and text seen in it before? Times have microseconds:
    /// two lines with the same one are the same line.
    pub fn knows(&self, micros: Option<u64>) -> bool {
        micros.is_some_and(|micros| self.times.contains(&micros))
    }

    /// A panic whose oops was read from its dump on: the log begins behind the
    /// oops's first lines.
    fn begin_known(&mut self, reason: &str) {
        let faulted = reason.contains("Fatal exception") || reason.contains("SError");
        if !faulted
            || self
                .complaints
                .iter()
                .any(|c| matches!(c.trigger, Trigger::Oops | Trigger::SError))
        {
            return;
        }
        let unknown = |d: &&mut super::dump::Dump| d.cause == Cause::Unknown && d.line.is_some();
        if let Some(dump) = self.dumps.all.iter_mut().rev().find(unknown) {
            dump.cause = Cause::Oops;
        }
    }

    /// Some kernels name the CPU in a hard lockup in the panic's reason only.
    fn complain_in_panic(&mut self, reason: &str, at: Place<'_>) {
        let number = reason.strip_prefix("Watchdog detected hard LOCKUP on cpu ");
        if let Some(cpu) = number.and_then(|n| n.trim().parse().ok())
            && !self.complaints.iter().any(|c| c.trigger == Trigger::Hard)
        {
            self.complain(Trigger::Hard, at, Some(cpu), |_| {});
        }
    }

    fn detail(&mut self, message: Message<'_>, at: Place<'_>) {
        let caller = at.stamp.caller;
        self.has_details |= !message.is_bulk();
        match message {
            Message::Warn(cpu) => self.dumps.open(Cause::Warn, Some(cpu), caller),
            Message::Backtrace(cpu) => {
                if self.stalls.answered.len() < MAX_LOCKUPS {
                    self.stalls.answered.push(cpu);
                }
                self.dumps.backtrace(cpu, caller);
            }
            Message::EndTrace => {
                self.warning_closed |= self.has(Step::StaleWarning);
                self.dumps.end_trace(caller);
            }
            Message::Cpu(mut line) => {
                if let Some(loaded) = line.kdump_loaded {
                    if self.kdump_loaded != Some(loaded) {
                        self.lines.kdump_loaded = Some(at.line);
                    }
                    self.kdump_loaded = Some(loaded);
                }
                if let Some(release) = line.release.take()
                    && self.release.as_ref() != Some(&release)
                {
                    self.release = Some(release);
                    self.lines.release = Some(at.line);
                }
                self.dumps.cpu_line(line, caller, at.line);
            }
            Message::Hardware(name) => {
                self.lines.hardware.get_or_insert(at.line);
                self.hardware.get_or_insert(name);
            }
            Message::Pc(pc) => self.dumps.pc(pc, caller),
            Message::Lr(lr) => self.dumps.lr(lr, caller),
            Message::CallTrace => self.dumps.call_trace(caller),
            Message::Frame(symbol) => self.dumps.frame(symbol, caller),
            tool => self.tool(tool, at),
        }
    }

    /// Takes in a line of the `crash` utility.
    fn tool(&mut self, message: Message<'_>, at: Place<'_>) {
        let before = std::mem::replace(&mut self.tool, true);
        match message {
            Message::ToolTask(pid, cpu, comm) => {
                self.dumps.tool_task(pid, cpu, comm, at.line);
                self.first.get_or_insert(at.into());
            }
            Message::ToolFrame(symbol) => self.dumps.tool_frame(&symbol),
            Message::ToolPc(symbol) => self.dumps.tool_pc(symbol),
            Message::ToolRelease(release) => {
                self.release = Some(release);
                self.lines.release = Some(at.line);
            }
            Message::ToolPanic(text) => {
                let text = clean(text);
                let text = text.trim_matches('"');
                let text = text
                    .strip_prefix("Kernel panic - not syncing: ")
                    .unwrap_or(text);
                if self.panic.is_none() {
                    self.panic = Some((text.to_string(), true));
                    self.reach(Step::Panic, at);
                }
            }
            Message::ToolCpus(count) => {
                self.cpus_up = Some(count);
                self.lines.cpus_up = Some(at.line);
            }
            Message::NoRegisters(cpu) if self.without_registers.len() < MAX_LOCKUPS => {
                self.without_registers.push(cpu);
            }
            _ => self.tool = before,
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
            by: None,
            stuck_s: None,
            task: None,
            text: None,
            faults: Vec::new(),
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
