//! The command line: the same keys and values on the host (`--ops ic-ivau`)
//! and in the boot arguments (`stalecore.ops=ic-ivau`), read by the same code.

mod bootargs;
pub(crate) mod values;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use values::{list, number, one_of, ratio, switch, time};

use crate::{
    cpuset::CpuSet,
    fabric::FabricOptions,
    glossary::{LineState, StaleState, Subject},
    kdump::Kernel,
};

/// What the boot arguments' keys begin with.
pub const PREFIX: &str = "stalecore.";

/// Every key, with what it takes. The host's flags have the same names.
pub const KEYS: &[(&str, &str)] = &[
    (
        "ops",
        "operations and routines: a list of names, 'all' or 'default'",
    ),
    ("stale", "stale states: a list of names, or 'all'"),
    ("stale-cpus", "the stale cores: a CPU list like 0-23,25-127"),
    (
        "initiators",
        "the cores that run the operations: a CPU list",
    ),
    ("lines", "line states: a list of names, or 'all'"),
    ("samples", "samples per case and class: 1 to 100000000"),
    (
        "deadline-ms",
        "how long an operation may take before it counts as blocked: 1 to 3600000",
    ),
    (
        "max-slowdown",
        "slow-down against the baseline that is still fine: 1.0 to 1000000",
    ),
    (
        "sweep",
        "the depth sweep: auto (up to 100 cases), on or off",
    ),
    ("sentinel", "the core that only watches: auto, off or a CPU"),
    ("counter", "the counter: auto, pmccntr or cntvct"),
    (
        "icount",
        "instructions are counted, one a nanosecond: on or off",
    ),
    (
        "fabric",
        "the model of the interconnect at EL2: items like deaf=spin@1-3,to=dvm,depth=4,early-comp=off,delay=50us,fault=ic-ivau,heal=sev",
    ),
    (
        "bisect",
        "narrow the stale cores of a block down to the smallest set that still blocks: on or off",
    ),
    (
        "recorder",
        "the flight recorder, which outlives a reset, so that the next boot goes on: on or off",
    ),
    (
        "after-block",
        "what to do when nothing releases an operation: end, or reset the machine and go on",
    ),
    ("semihosting", "end through semihosting: on or off"),
    (
        "hold",
        "hold still for a while when an operation blocks or the crash kernel has reported: on or off",
    ),
    (
        "scenario",
        "what to run: plan (operations under stale states) or kdump (a crash, end to end)",
    ),
    (
        "kernel",
        "whose crash path kdump plays: 4.18, 4.19, 5.10, 5.16, 6.1 or 6.12",
    ),
    (
        "trace",
        "print where kdump's routines are, instruction by instruction: on or off",
    ),
    (
        "watchdog-thresh",
        "the watchdog's threshold; stuck is twice as long: 10ms to 60s",
    ),
];

/// A choice left open, made, or refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Auto {
    /// Decided by the plan.
    #[default]
    Auto,
    /// Asked for.
    On,
    /// Refused.
    Off,
}

/// What is done when nothing releases an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AfterBlock {
    /// The run ends in order.
    #[default]
    End,
    /// The machine is reset; the next boot goes on behind the case.
    Reset,
}

/// Which core watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sentinel {
    /// The highest CPU that is neither initiator nor named as stale.
    #[default]
    Auto,
    /// None: every other core may be stale, and only the host can watch.
    Off,
    /// This CPU.
    Cpu(usize),
}

/// Which counter times the samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CounterChoice {
    /// PMCCNTR_EL0 where it counts, else CNTVCT_EL0.
    #[default]
    Auto,
    /// The PMU's cycle counter.
    Pmccntr,
    /// The generic timer's virtual count.
    Cntvct,
}

/// What to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scenario {
    /// Operations and routines under stale states.
    #[default]
    Plan,
    /// A kernel's crash path, from soft lockup to crash kernel.
    Kdump,
}

/// The watchdog's threshold in milliseconds when none is given.
pub const DEFAULT_WATCHDOG_MS: u32 = 200;

/// A slow-down in thousandths: 1500 is 1.5 times the baseline.
pub type Milli = u32;

/// The slow-down above which a case is called `slowed` when nobody says
/// otherwise: twice the baseline.
pub const DEFAULT_SLOWDOWN: Milli = 2000;

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// What to run, in the order given, without repeats.
    pub ops: Vec<Subject>,
    /// The stale states to run it under.
    pub stale: Vec<StaleState>,
    /// The stale cores, if named.
    pub stale_cpus: Option<CpuSet>,
    /// The cores that run the operations.
    pub initiators: CpuSet,
    /// The line states to run it on.
    pub lines: Vec<LineState>,
    /// Samples per case and class.
    pub samples: u32,
    /// Deadline of one operation in milliseconds, if given.
    pub deadline_ms: Option<u32>,
    /// The slow-down that counts against the exit code, if given.
    pub max_slowdown: Option<Milli>,
    /// Run the depth sweep?
    pub sweep: Auto,
    /// Who watches.
    pub sentinel: Sentinel,
    /// What counts time.
    pub counter: CounterChoice,
    /// The emulator counts instructions: one is one nanosecond.
    pub icount: bool,
    /// The fabric, if one is asked for.
    pub fabric: Option<FabricOptions>,
    /// Narrow the stale cores of a block down?
    pub bisect: bool,
    /// Is the run kept over a reset, and gone on with after one?
    pub recorder: bool,
    /// What follows a block that nothing releases.
    pub after_block: AfterBlock,
    /// `HLT #0xf000` is answered; fatal where it is not, so off by default.
    pub semihosting: bool,
    /// Hold still at the first block, and when the crash kernel has reported,
    /// for a debugger to look?
    pub hold: bool,
    /// What to run.
    pub scenario: Scenario,
    /// Whose crash path `kdump` plays.
    pub kernel: Kernel,
    /// Print where the routines of `kdump` are.
    pub trace: bool,
    /// The watchdog's threshold in milliseconds: a core is stuck after twice
    /// that time.
    pub watchdog_ms: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ops: Subject::default_set().collect(),
            stale: StaleState::ALL.to_vec(),
            stale_cpus: None,
            initiators: CpuSet::one(0),
            lines: [LineState::DirtyHere].to_vec(),
            samples: 64,
            deadline_ms: None,
            max_slowdown: None,
            sweep: Auto::Auto,
            sentinel: Sentinel::Auto,
            counter: CounterChoice::Auto,
            icount: false,
            fabric: None,
            bisect: false,
            recorder: true,
            after_block: AfterBlock::End,
            semihosting: false,
            hold: false,
            scenario: Scenario::Plan,
            kernel: Kernel::default(),
            trace: false,
            watchdog_ms: DEFAULT_WATCHDOG_MS,
        }
    }
}

impl Options {
    /// Sets one key.
    ///
    /// # Errors
    /// One line that names what is wrong and what is allowed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.apply(key, value).map_err(|e| format!("{key}: {e}"))
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "ops" => {
                self.ops = match value {
                    "default" => Subject::default_set().collect(),
                    "all" => Subject::ALL
                        .iter()
                        .copied()
                        .filter(|s| s.kind() != crate::glossary::Kind::Selftest)
                        .collect(),
                    _ => list(value, Subject::from_name)?,
                }
            }
            "stale" => {
                self.stale = match value {
                    "all" => StaleState::ALL.to_vec(),
                    _ => list(value, StaleState::from_name)?,
                }
            }
            "lines" => {
                self.lines = match value {
                    "all" => LineState::ALL.to_vec(),
                    _ => list(value, LineState::from_name)?,
                }
            }
            "stale-cpus" => self.stale_cpus = Some(CpuSet::parse(value)?),
            "initiators" => {
                self.initiators = CpuSet::parse(value)?;
                if self.initiators.is_empty() {
                    return Err("at least one CPU is needed".to_string());
                }
            }
            "samples" => self.samples = number(value, 1, 100_000_000)?,
            "deadline-ms" => self.deadline_ms = Some(number(value, 1, 3_600_000)?),
            "max-slowdown" => self.max_slowdown = Some(ratio(value)?),
            "sweep" => {
                self.sweep = one_of(
                    value,
                    &[("auto", Auto::Auto), ("on", Auto::On), ("off", Auto::Off)],
                )?;
            }
            "sentinel" => {
                self.sentinel = match value {
                    "auto" => Sentinel::Auto,
                    "off" => Sentinel::Off,
                    _ => Sentinel::Cpu(number(value, 0, 511).map_err(|_| {
                        format!("'{value}' is not allowed; allowed: auto, off, or a CPU")
                    })? as usize),
                }
            }
            "counter" => {
                self.counter = one_of(
                    value,
                    &[
                        ("auto", CounterChoice::Auto),
                        ("pmccntr", CounterChoice::Pmccntr),
                        ("cntvct", CounterChoice::Cntvct),
                    ],
                )?;
            }
            "icount" => self.icount = switch(value)?,
            "fabric" => self.fabric = Some(FabricOptions::parse(value)?),
            "bisect" => self.bisect = switch(value)?,
            "recorder" => self.recorder = switch(value)?,
            "after-block" => {
                self.after_block = one_of(
                    value,
                    &[("end", AfterBlock::End), ("reset", AfterBlock::Reset)],
                )?;
            }
            "semihosting" => self.semihosting = switch(value)?,
            "hold" => self.hold = switch(value)?,
            "scenario" => {
                self.scenario = one_of(
                    value,
                    &[("plan", Scenario::Plan), ("kdump", Scenario::Kdump)],
                )?;
            }
            "kernel" => self.kernel = Kernel::from_name(value)?,
            "trace" => self.trace = switch(value)?,
            "watchdog-thresh" => self.watchdog_ms = time(value, 10, 60_000)?,
            _ => {
                let known: Vec<_> = KEYS.iter().map(|(k, _)| *k).collect();
                return Err(format!("no such key; allowed: {}", known.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
