//! What each message adds to the crash that it belongs to.

use super::{
    super::{
        capture::Stage,
        dump::{Cause, Dump},
        fields::{ascii, clean},
        message::Message,
        step::Step,
    },
    Complaint, Crash, MAX_LOCKUPS, MAX_TIMES, Place, PrintedList, Trigger,
};

impl Crash {
    /// Takes in a message that belongs to this crash.
    pub fn take(&mut self, message: Message<'_>, at: Place<'_>) {
        let caller = at.stamp.caller;
        if let Some(micros) = at.stamp.micros
            && !message.is_bulk()
        {
            self.latest = Some(self.latest.map_or(micros, |l| l.max(micros)));
            if self.times.len() < MAX_TIMES {
                self.times.push(micros);
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
                // Whoever takes the panic over prints no dump.
                if self.redirected.is_none() {
                    self.dumps.open(Cause::Panic, None, caller);
                }
            }
            Message::Redirected(from, to) => {
                self.redirected = Some((from, to, at.line));
                self.first.get_or_insert(at.into());
                self.dumps.open(Cause::Panic, Some(from), caller);
            }
            Message::NotRedirected => self.redirected = None,
            Message::PanicEnd(seconds) if self.has(Step::Panic) => {
                self.panic_ended.get_or_insert(at.line);
                self.reboots_in = seconds.or(self.reboots_in);
            }
            // The panic's notifiers come after the attempt to start a crash
            // kernel, unless crash_kexec_post_notifiers puts them first.
            Message::Notifiers if self.has(Step::Panic) && !self.has(Step::CrashKernel) => {
                self.panic_ended.get_or_insert(at.line);
            }
            Message::Stopping => self.reach(Step::StopSgi, at),
            Message::Retry(list) => {
                self.retry.get_or_insert(printed(list, at));
                self.reach(Step::RetryNmi, at);
            }
            Message::RetrySdei(list) => {
                self.retry_sdei.get_or_insert(printed(list, at));
                self.reach(Step::RetryNmi, at);
            }
            Message::FailedToStop(list) => {
                self.failed.get_or_insert(printed(list, at));
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
            // A sign that names the architecture is worth more than a vague one.
            Message::Foreign(which) => {
                let vague = |known: &&str| known.starts_with("another");
                self.foreign = self.foreign.filter(|k| !vague(k)).or(Some(which));
            }
            detail => self.detail(detail, at),
        }
    }

    /// A panic whose oops was only read from its dump on: the log begins after the
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
        let unknown = |d: &&mut Dump| d.cause == Cause::Unknown && d.line.is_some();
        if let Some(dump) = self.dumps.all.iter_mut().rev().find(unknown) {
            dump.cause = Cause::Oops;
        }
    }

    /// Some kernels name the CPU of a hard lockup only in the panic's reason.
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
        // A watchdog repeats itself: the latest complaint about a CPU replaces the
        // one before, unless the panic has come in between.
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
}

fn printed(list: &[u8], at: Place<'_>) -> PrintedList {
    let end = list
        .iter()
        .position(|b| !matches!(b, b'0'..=b'9' | b',' | b'-'))
        .unwrap_or(list.len());
    PrintedList {
        text: ascii(&list[..end.min(4000)]),
        whole: at.whole,
        line: at.line,
    }
}
