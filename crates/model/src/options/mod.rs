//! The command line: the same keys and values on the host (`--ops ic-ivau`)
//! and in the boot arguments (`stalecore.ops=ic-ivau`), read by the same code.

mod keys;
mod numbers;
mod preset;
pub(crate) mod values;

use alloc::{format, string::String, vec::Vec};

use keys::PARSERS;
pub use keys::{KEYS, Key};
pub use numbers::CaseNumbers;
pub use preset::Preset;

use crate::{
    cpuset::CpuSet,
    fabric::{FabricOptions, trap::Barrier},
    framebuffer,
    glossary::{LineState, StaleState, Subject},
    kdump::Kernel,
};

/// What the boot arguments' keys begin with.
pub const PREFIX: &str = "stalecore.";

/// The key that the others depart from.
const PRESET: &str = "preset";

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

/// How the machine is left when the run has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Then {
    /// Off, where firmware can do that.
    #[default]
    Off,
    /// Reset, so that what was installed on it boots.
    Reset,
    /// To the kernel that was loaded beside the image; a reset where that cannot be.
    Kexec,
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

/// The slow-down above which a case is called `slowed` unless told otherwise: twice the
/// baseline.
pub const DEFAULT_SLOWDOWN: Milli = 2000;

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The named plan that the rest departs from, if one was asked for.
    pub preset: Option<Preset>,
    /// What to run, in the order given, without repeats.
    pub ops: Vec<Subject>,
    /// The stale states to run it under.
    pub stale: Vec<StaleState>,
    /// Those that may cost the machine and are allowed to.
    pub allow: Vec<StaleState>,
    /// A device that is known not to answer, by the address of a register, for `device-stuck`.
    pub device_stuck_at: Option<u64>,
    /// The stale cores, if named.
    pub stale_cpus: Option<CpuSet>,
    /// The cores that run the operations.
    pub initiators: CpuSet,
    /// The line states to run it on.
    pub lines: Vec<LineState>,
    /// Which cases of the resulting plan to run, if not all.
    pub cases: Option<CaseNumbers>,
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
    /// The barrier behind each operation, if not the kernel's.
    pub dsb: Option<Barrier>,
    /// Is EL1's stage 2 on, an identity?
    pub stage2: bool,
    /// The emulator counts instructions: one is one nanosecond.
    pub icount: bool,
    /// Are the interconnect's counters read; even if somebody else uses them?
    pub witness: Auto,
    /// The fabric, if one is asked for.
    pub fabric: Option<FabricOptions>,
    /// Narrow the stale cores of a block down?
    pub bisect: bool,
    /// Is the run kept over a reset, and continued after one?
    pub recorder: bool,
    /// How long a blocked operation may take to return by itself before anything is
    /// tried, in milliseconds, if given.
    pub wait_ms: Option<u32>,
    /// How long nobody does anything before one operation, in milliseconds, one length
    /// after the other, if given.
    pub dwell_ms: Option<Vec<u32>>,
    /// What follows a block that nothing releases.
    pub after_block: AfterBlock,
    /// Are cores that an earlier kernel left stuck interrupted, when nothing else releases
    /// an operation?
    pub disturb_inherited: bool,
    /// How the machine is left.
    pub then: Then,
    /// Is the console's log kept in Linux's ramoops memory too?
    pub ramoops: bool,
    /// Is a frame buffer drawn in, and in which?
    pub framebuffer: framebuffer::Choice,
    /// May the console's input be read, once the run has ended, for requests to send
    /// records again?
    pub ask: bool,
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
            preset: None,
            ops: Subject::default_set().collect(),
            stale: StaleState::default_set().collect(),
            allow: Vec::new(),
            device_stuck_at: None,
            stale_cpus: None,
            initiators: CpuSet::one(0),
            lines: [LineState::DirtyHere].to_vec(),
            cases: None,
            samples: 64,
            deadline_ms: None,
            max_slowdown: None,
            sweep: Auto::Auto,
            sentinel: Sentinel::Auto,
            counter: CounterChoice::Auto,
            dsb: None,
            stage2: false,
            icount: false,
            witness: Auto::Auto,
            fabric: None,
            bisect: false,
            recorder: true,
            wait_ms: None,
            dwell_ms: None,
            after_block: AfterBlock::End,
            disturb_inherited: false,
            then: Then::Off,
            ramoops: false,
            framebuffer: framebuffer::Choice::Auto,
            ask: false,
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
        let Some(known) = PARSERS.iter().find(|known| known.name == key) else {
            let names: Vec<_> = PARSERS.iter().map(|known| known.name).collect();
            return Err(format!("{key}: no such key; allowed: {}", names.join(", ")));
        };
        (known.read)(self, value).map_err(|error| format!("{key}: {error}"))
    }

    /// Reads boot arguments: words `stalecore.key=value`; other words are passed over. A
    /// preset is applied first, wherever it stands.
    ///
    /// # Errors
    /// As [`Self::set`], for the first word that is wrong.
    pub fn from_bootargs(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for presets in [true, false] {
            let words = text.split_ascii_whitespace();
            for word in words.filter_map(|word| word.strip_prefix(PREFIX)) {
                let (key, value) = word
                    .split_once('=')
                    .ok_or_else(|| format!("{PREFIX}{word}: no '=' and value"))?;
                if (key == PRESET) == presets {
                    options.set(key, value)?;
                }
            }
        }
        Ok(options)
    }

    /// What is to be done at the end, in boot arguments of which others may be wrong.
    pub fn end_of(text: &str) -> Then {
        let mut options = Self::default();
        for word in text.split_ascii_whitespace() {
            let key = word.strip_prefix(PREFIX);
            if let Some(value) = key.and_then(|key| key.strip_prefix("then=")) {
                // What is wrong is told by who reads all of them.
                let _ = options.set("then", value);
            }
        }
        options.then
    }

    /// Writes the boot arguments that give these options: only what differs from the
    /// default, or from the preset, so that they fit a board's command line.
    pub fn to_bootargs(&self) -> String {
        let usual = self.preset.map_or_else(Self::default, Self::of);
        let words: Vec<_> = PARSERS
            .iter()
            .filter_map(|key| {
                let value = (key.write)(self);
                let differs = key.name == PRESET || value != (key.write)(&usual);
                value
                    .filter(|_| differs)
                    .map(|value| format!("{PREFIX}{}={value}", key.name))
            })
            .collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests;
