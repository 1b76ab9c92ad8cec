//! The register dumps and stack traces of a crash, each assigned to its CPU
//! although several CPUs may print at once.

use super::{
    fields::{self, CpuLine, Symbol},
    prefix::Caller,
};

/// Bytes kept of one trace: some 60 frames, more than the kernel's traces have.
const MAX_TRACE: usize = 2048;

/// Dumps kept of one crash: one for each CPU of a large machine.
const MAX_DUMPS: usize = 600;

/// What made the kernel dump a CPU's registers or stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A soft or hard lockup: the registers are those of the stuck code.
    Lockup,
    /// A fault: the registers are those of the faulting code.
    Oops,
    /// The panic: a trace without registers.
    Panic,
    /// A WARN: registers of the warning code itself.
    Warn,
    /// A backtrace that a CPU was asked for.
    Backtrace,
    /// Seen without its beginning.
    Unknown,
}

/// One dump.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dump {
    /// Why it was printed.
    pub cause: Cause,
    /// Whose it is.
    pub cpu: Option<u32>,
    /// Who ran.
    pub line: Option<CpuLine>,
    /// The number of that line.
    pub line_number: Option<u64>,
    /// The program counter's symbol.
    pub pc: Option<Symbol>,
    /// The link register's symbol.
    pub lr: Option<Symbol>,
    /// The trace as printed, innermost first, a frame a line.
    trace: Vec<u8>,
    /// Another CPU's dump was open at the same time and nothing in the lines
    /// tells them apart.
    pub mixed: bool,
    /// Its closing line was seen.
    pub closed: bool,
    /// Its number, in the order of beginning.
    pub id: u32,
    caller: Option<Caller>,
    has_registers: bool,
    has_trace: bool,
    /// The `crash` utility showed its frames.
    has_tool_frames: bool,
}

impl Dump {
    /// Does this kind of dump show registers?
    fn wants_registers(&self) -> bool {
        self.cause != Cause::Panic && !self.closed
    }

    /// What the CPU was executing when it was interrupted, then its callers: the
    /// program counter of a lockup or backtrace and its trace, else the trace below
    /// the exception entry. Empty if there is neither.
    pub fn interrupted(&self) -> Vec<Symbol> {
        let mut frames: Vec<_> = self
            .trace
            .split(|b| *b == b'\n')
            .filter_map(|frame| fields::symbol(frame).or_else(|| fields::bare_symbol(frame)))
            .collect();
        let own = !matches!(self.cause, Cause::Panic | Cause::Warn);
        if own && let Some(pc) = &self.pc {
            // The trace begins with the program counter itself.
            if frames.first() == Some(pc) {
                frames.remove(0);
            }
            if frames.is_empty() {
                frames.extend(self.lr.clone());
            }
            frames.insert(0, pc.clone());
            return frames;
        }
        match frames.iter().position(is_entry) {
            Some(at) => frames.split_off(at + 1),
            // The `crash` utility's trace of a CPU that did not stop begins where the
            // CPU was.
            None if self.cause == Cause::Backtrace => frames,
            None => Vec::new(),
        }
    }

    /// Is it a stack from a vmcore of a CPU that neither stopped nor crashed?
    pub fn busy(&self) -> bool {
        let went = [
            "crash_save_cpu",
            "ipi_cpu_",
            "local_cpu_stop",
            "cpu_park_loop",
            "machine_kexec",
        ];
        self.cause == Cause::Backtrace
            && self.line.as_ref().is_some_and(|l| l.release.is_none())
            && !self.passes(&went)
            && !self.passes(&["__crash_kexec", "crash_kexec", "panic", "smp_send_stop"])
            && self.has_tool_frames
    }

    /// Does its trace hold one of these functions?
    pub fn passes(&self, names: &[&str]) -> bool {
        self.trace.split(|b| *b == b'\n').any(|frame| {
            let symbol = fields::symbol(frame).or_else(|| fields::bare_symbol(frame));
            symbol.is_some_and(|s| names.iter().any(|name| s.name.starts_with(name)))
        })
    }
}

/// Is it where the kernel is entered from code that was interrupted?
fn is_entry(symbol: &Symbol) -> bool {
    matches!(
        symbol.name.as_str(),
        "el1_irq" | "el1h_64_irq" | "el1_fiq" | "el1h_64_fiq" | "__sdei_asm_handler"
    )
}

/// The dumps of one crash, in the order in which they begin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dumps {
    /// The dumps.
    pub all: Vec<Dump>,
    /// The dump whose trace is being printed.
    tracing: Option<u32>,
    next: u32,
}

impl Dumps {
    /// The number that the next dump will have.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Drops the dumps of earlier complaints about a CPU.
    pub fn forget(&mut self, cpu: u32) {
        self.all
            .retain(|d| d.cause != Cause::Lockup || d.cpu != Some(cpu));
    }

    /// Begins a dump; if there are too many, the older half is dropped.
    pub fn open(&mut self, cause: Cause, cpu: Option<u32>, caller: Option<Caller>) {
        if self.all.len() == MAX_DUMPS {
            self.all.drain(..MAX_DUMPS / 2);
        }
        let id = self.next;
        self.next += 1;
        self.all.push(Dump {
            cause,
            cpu,
            line: None,
            line_number: None,
            pc: None,
            lr: None,
            trace: Vec::new(),
            mixed: false,
            closed: false,
            id,
            caller,
            has_registers: false,
            has_trace: false,
            has_tool_frames: false,
        });
    }

    /// A backtrace of a CPU; it completes the complaint about that CPU.
    pub fn backtrace(&mut self, cpu: u32, caller: Option<Caller>) {
        let waiting = self
            .all
            .iter_mut()
            .rev()
            .find(|d| d.cause == Cause::Lockup && d.cpu == Some(cpu) && d.line.is_none());
        match waiting {
            Some(dump) => dump.caller = caller,
            None => self.open(Cause::Backtrace, Some(cpu), caller),
        }
    }

    /// The line that says who ran.
    pub fn cpu_line(&mut self, line: CpuLine, caller: Option<Caller>, number: u64) {
        let newest = |dumps: &[Dump], fits: &dyn Fn(&Dump) -> bool| {
            dumps.iter().rposition(|d| d.line.is_none() && fits(d))
        };
        let same_caller = |d: &Dump| caller.is_some() && d.caller == caller;
        let same_cpu = |d: &Dump| d.cpu == Some(line.cpu);
        let any_cpu = |d: &Dump| d.cpu.is_none() || same_cpu(d);
        let at = newest(&self.all, &|d| same_caller(d) && any_cpu(d))
            .or_else(|| newest(&self.all, &same_cpu))
            .or_else(|| newest(&self.all, &|d| d.cpu.is_none()));
        let at = at.or_else(|| {
            self.open(Cause::Unknown, Some(line.cpu), caller);
            newest(&self.all, &same_cpu)
        });
        let Some(at) = at.filter(|at| *at < self.all.len()) else {
            return;
        };
        // A CPU prints its dumps one after the other: its earlier ones are over.
        for earlier in &mut self.all[..at] {
            earlier.closed |= earlier.cpu == Some(line.cpu);
        }
        self.all[at].cpu = Some(line.cpu);
        self.all[at].line = Some(line);
        self.all[at].line_number = Some(number);
    }

    /// The program counter; `None` when it is in user space.
    pub fn pc(&mut self, pc: Option<Symbol>, caller: Option<Caller>) {
        if let Some(at) = self.place(caller, |d| d.wants_registers() && !d.has_registers) {
            self.all[at].has_registers = true;
            self.all[at].pc = pc;
        }
    }

    /// The link register.
    pub fn lr(&mut self, lr: Option<Symbol>, caller: Option<Caller>) {
        if let Some(at) = self.place(caller, |d| d.has_registers && d.lr.is_none() && !d.closed) {
            self.all[at].lr = lr;
        }
    }

    /// A trace begins.
    pub fn call_trace(&mut self, caller: Option<Caller>) {
        let at = self.place(caller, |d| d.line.is_some() && !d.has_trace && !d.closed);
        self.tracing = at.map(|at| self.all[at].id);
        if let Some(at) = at {
            self.all[at].has_trace = true;
        }
    }

    /// A frame of the trace.
    pub fn frame(&mut self, symbol: &[u8], caller: Option<Caller>) {
        let at = match caller {
            Some(_) => self.place(caller, |d| d.has_trace && !d.closed),
            None => self.all.iter().rposition(|d| Some(d.id) == self.tracing),
        };
        if let Some(dump) = at.and_then(|at| self.all.get_mut(at))
            && dump.trace.len() + symbol.len() < MAX_TRACE
        {
            dump.trace.extend_from_slice(symbol);
            dump.trace.push(b'\n');
        }
    }

    /// The `crash` utility's line about a CPU's task.
    pub fn tool_task(&mut self, pid: u32, cpu: u32, comm: String, number: u64) {
        self.open(Cause::Backtrace, Some(cpu), None);
        if let Some(dump) = self.all.last_mut() {
            dump.line = Some(CpuLine {
                cpu,
                pid: Some(pid),
                comm: Some(comm),
                ..CpuLine::default()
            });
            dump.line_number = Some(number);
            self.tracing = Some(dump.id);
        }
    }

    /// A frame of that task.
    pub fn tool_frame(&mut self, symbol: &Symbol) {
        self.frame(symbol.name.as_bytes(), None);
        if let Some(dump) = self
            .all
            .iter_mut()
            .rev()
            .find(|d| Some(d.id) == self.tracing)
        {
            dump.has_tool_frames = true;
        }
    }

    /// Its program counter: that of the interrupted code.
    pub fn tool_pc(&mut self, symbol: Symbol) {
        let open = self
            .all
            .iter_mut()
            .rev()
            .find(|d| Some(d.id) == self.tracing);
        if let Some(dump) = open
            && dump.pc.is_none()
        {
            dump.pc = Some(symbol);
        }
    }

    /// Drops the dumps of warnings: what is left may belong to a crash.
    pub fn without_warnings(&mut self) {
        self.all.retain(|d| d.cause != Cause::Warn);
    }

    /// A dump of a fault or a WARN is complete.
    pub fn end_trace(&mut self, caller: Option<Caller>) {
        let open = |d: &Dump| {
            !d.closed
                && matches!(d.cause, Cause::Warn | Cause::Oops)
                && (caller.is_none() || d.caller.is_none() || d.caller == caller)
        };
        if let Some(at) = self.all.iter().rposition(open) {
            self.all[at].closed = true;
        }
        self.tracing = None;
    }

    /// Splits off the dumps numbered `from` and above.
    pub fn split_off(&mut self, from: u32) -> Self {
        let at = self.all.partition_point(|d| d.id < from);
        Self {
            all: self.all.split_off(at),
            tracing: self.tracing.filter(|t| *t >= from),
            next: self.next,
        }
    }

    /// The dump that a line goes to: one of the same caller if callers are printed,
    /// else the first that lacks such a line, since CPUs go on with their dumps in the
    /// order in which they began them.
    fn place(&mut self, caller: Option<Caller>, lacks: impl Fn(&Dump) -> bool) -> Option<usize> {
        if caller.is_some()
            && let Some(at) = self
                .all
                .iter()
                .rposition(|d| d.caller == caller && lacks(d))
        {
            return Some(at);
        }
        let begun = |d: &Dump| d.line.is_some() && lacks(d);
        let Some(at) = self.all.iter().position(begun) else {
            return self.all.iter().rposition(lacks);
        };
        let others = self.all[at + 1..]
            .iter()
            .any(|d| begun(d) && d.cpu != self.all[at].cpu);
        if others && caller.is_none() {
            self.all[at].mixed = true;
        }
        Some(at)
    }
}
