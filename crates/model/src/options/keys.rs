//! The keys, a row for each: its name, what it means and takes, how it is read and
//! written.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    AfterBlock, Auto, CaseNumbers, CounterChoice, Options, Preset, Scenario, Sentinel, Then,
    values::{address, list, names, number, one_of, ratio, switch, time, word},
};
use crate::{
    cpuset::CpuSet,
    fabric::{FabricOptions, trap::Barrier},
    framebuffer,
    glossary::{Kind, LineState, StaleState, Subject},
    kdump::Kernel,
};

/// A key of the command line and of the boot arguments.
pub struct Key {
    /// The name of the flag and of the boot argument.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// Reads a value; one line says what is wrong with it and what is allowed.
    read: fn(&mut Options, &str) -> Result<(), String>,
    /// Writes the value that [`Self::read`] reads; `None` where there is none.
    write: fn(&Options) -> Option<String>,
}

/// What reads and writes a key; the image carries these and not the prose.
#[derive(Clone, Copy)]
pub(super) struct Parser {
    pub(super) name: &'static str,
    pub(super) read: fn(&mut Options, &str) -> Result<(), String>,
    pub(super) write: fn(&Options) -> Option<String>,
}

impl Key {
    const fn parser(&self) -> Parser {
        Parser {
            name: self.name,
            read: self.read,
            write: self.write,
        }
    }
}

/// The parser of each of [`KEYS`].
pub(super) static PARSERS: [Parser; KEYS.len()] = {
    let mut all = [KEYS[0].parser(); KEYS.len()];
    let mut nth = 0;
    while nth < all.len() {
        all[nth] = KEYS[nth].parser();
        nth += 1;
    }
    all
};

/// The words of `--sweep` and `--witness`.
const SWEEP: &[(&str, Auto)] = &[("auto", Auto::Auto), ("on", Auto::On), ("off", Auto::Off)];
/// The words of `--counter`.
const COUNTER: &[(&str, CounterChoice)] = &[
    ("auto", CounterChoice::Auto),
    ("pmccntr", CounterChoice::Pmccntr),
    ("cntvct", CounterChoice::Cntvct),
];
/// The words of `--after-block`.
const AFTER_BLOCK: &[(&str, AfterBlock)] =
    &[("end", AfterBlock::End), ("reset", AfterBlock::Reset)];
/// The words of `--then`.
const THEN: &[(&str, Then)] = &[
    ("off", Then::Off),
    ("reset", Then::Reset),
    ("kexec", Then::Kexec),
];
/// The words of `--scenario`.
const SCENARIO: &[(&str, Scenario)] = &[("plan", Scenario::Plan), ("kdump", Scenario::Kdump)];

/// A key that is on or off, kept in one field.
macro_rules! switch {
    ($name:literal, $about:literal, $field:ident) => {
        Key {
            name: $name,
            about: $about,
            takes: "on or off",
            read: |o, value| switch(value).map(|on| o.$field = on),
            write: |o| Some(if o.$field { "on" } else { "off" }.into()),
        }
    };
}

/// Every key. The host's flags have the same names.
pub const KEYS: &[Key] = &[
    // Before those that it sets.
    Key {
        name: "preset",
        about: "a plan by name, from which the other keys depart",
        takes: "first-light, kdump, after-idle, errata (those of this machine) or all",
        read: |o, value| one_of(value, Preset::NAMES).map(|preset| *o = Options::of(preset)),
        write: |o| word(o.preset?, Preset::NAMES),
    },
    Key {
        name: "ops",
        about: "operations and routines",
        takes: "a list of names, 'all' or 'default'",
        read: |o, value| {
            o.ops = match value {
                "default" => Subject::default_set().collect(),
                "all" => Subject::ALL
                    .iter()
                    .copied()
                    .filter(|s| s.kind() != Kind::Selftest)
                    .collect(),
                _ => list(value, Subject::from_name)?,
            };
            Ok(())
        },
        write: |o| Some(names(&o.ops)),
    },
    Key {
        name: "stale",
        about: "stale states",
        takes: "a list of names, 'all' or 'default'",
        read: |o, value| {
            o.stale = match value {
                "default" => StaleState::default_set().collect(),
                "all" => StaleState::ALL.to_vec(),
                _ => list(value, StaleState::from_name)?,
            };
            Ok(())
        },
        write: |o| Some(names(&o.stale)),
    },
    Key {
        name: "allow",
        about: "stale states that may cost the machine: without this none of them is entered",
        takes: "a list of their names, or 'all'",
        read: |o, value| {
            let gated = StaleState::ALL
                .iter()
                .copied()
                .filter(|s| s.gate().is_some());
            let words: Vec<_> = gated.map(|s| (s.name(), s)).collect();
            o.allow = match value {
                "all" => words.iter().map(|(_, state)| *state).collect(),
                _ => list(value, |name| one_of(name, &words))?,
            };
            Ok(())
        },
        write: |o| (!o.allow.is_empty()).then(|| names(&o.allow)),
    },
    Key {
        name: "device-stuck-at",
        about: "a register that is known not to answer, which device-stuck loads from without a fabric",
        takes: "its address, like 0x9010000",
        read: |o, value| address(value).map(|at| o.device_stuck_at = Some(at)),
        write: |o| o.device_stuck_at.map(|at| format!("{at:#x}")),
    },
    Key {
        name: "stale-cpus",
        about: "the stale cores",
        takes: "a CPU list like 0-23,25-127",
        read: |o, value| CpuSet::parse(value).map(|cpus| o.stale_cpus = Some(cpus)),
        write: |o| o.stale_cpus.map(|cpus| cpus.to_string()),
    },
    Key {
        name: "initiators",
        about: "the cores that run the operations",
        takes: "a CPU list",
        read: |o, value| {
            o.initiators = CpuSet::parse(value)?;
            if o.initiators.is_empty() {
                return Err("at least one CPU is needed".to_string());
            }
            Ok(())
        },
        write: |o| Some(o.initiators.to_string()),
    },
    Key {
        name: "lines",
        about: "line states",
        takes: "a list of names, or 'all'",
        read: |o, value| {
            o.lines = match value {
                "all" => LineState::ALL.to_vec(),
                _ => list(value, LineState::from_name)?,
            };
            Ok(())
        },
        write: |o| Some(names(&o.lines)),
    },
    Key {
        name: "cases",
        about: "which cases of the plan to run, by number (run --list)",
        takes: "a list like 1-17,40",
        read: |o, value| CaseNumbers::parse(value).map(|cases| o.cases = Some(cases)),
        write: |o| o.cases.as_ref().map(ToString::to_string),
    },
    Key {
        name: "samples",
        about: "samples per case and class",
        takes: "1 to 100000000",
        read: |o, value| number(value, 1, 100_000_000).map(|n| o.samples = n),
        write: |o| Some(o.samples.to_string()),
    },
    Key {
        name: "deadline-ms",
        about: "how long an operation may take before it counts as blocked",
        takes: "1 to 3600000",
        read: |o, value| number(value, 1, 3_600_000).map(|ms| o.deadline_ms = Some(ms)),
        write: |o| o.deadline_ms.map(|ms| ms.to_string()),
    },
    Key {
        name: "max-slowdown",
        about: "slow-down against the baseline that is still fine",
        takes: "1.0 to 1000000",
        read: |o, value| ratio(value).map(|milli| o.max_slowdown = Some(milli)),
        write: |o| {
            o.max_slowdown
                .map(|milli| format!("{}.{:03}", milli / 1000, milli % 1000))
        },
    },
    Key {
        name: "sweep",
        about: "the depth sweep",
        takes: "auto (up to 100 cases), on or off",
        read: |o, value| one_of(value, SWEEP).map(|sweep| o.sweep = sweep),
        write: |o| word(o.sweep, SWEEP),
    },
    Key {
        name: "sentinel",
        about: "the core that only watches",
        takes: "auto, off or a CPU",
        read: |o, value| {
            o.sentinel = match value {
                "auto" => Sentinel::Auto,
                "off" => Sentinel::Off,
                _ => Sentinel::Cpu(number(value, 0, 511).map_err(|_| {
                    format!("'{value}' is not allowed; allowed: auto, off, or a CPU")
                })? as usize),
            };
            Ok(())
        },
        write: |o| {
            Some(match o.sentinel {
                Sentinel::Auto => "auto".into(),
                Sentinel::Off => "off".into(),
                Sentinel::Cpu(cpu) => cpu.to_string(),
            })
        },
    },
    Key {
        name: "counter",
        about: "the counter",
        takes: "auto, pmccntr or cntvct",
        read: |o, value| one_of(value, COUNTER).map(|counter| o.counter = counter),
        write: |o| word(o.counter, COUNTER),
    },
    Key {
        name: "dsb",
        about: "the barrier behind each operation that is timed with one",
        takes: "nsh, ish, osh or sy [default: the kernel's]",
        read: |o, value| one_of(value, Barrier::NAMED).map(|dsb| o.dsb = Some(dsb)),
        write: |o| word(o.dsb?, Barrier::NAMED),
    },
    switch!(
        "stage2",
        "EL1's second stage of translation, which maps everything to itself, as under a hypervisor",
        stage2
    ),
    switch!(
        "icount",
        "instructions are counted, one a nanosecond",
        icount
    ),
    Key {
        name: "witness",
        about: "DVM counters of an Arm CMN or HiSilicon MN that firmware names, beside a block",
        takes: "auto (unless they are in use), on or off",
        read: |o, value| one_of(value, SWEEP).map(|witness| o.witness = witness),
        write: |o| word(o.witness, SWEEP),
    },
    Key {
        name: "fabric",
        about: "the model of the interconnect at EL2",
        takes: "items like deaf=spin@1-3,to=dvm,depth=4,early-comp=off,delay=50us,fault=ic-ivau,\
                heal=sev",
        read: |o, value| FabricOptions::parse(value).map(|fabric| o.fabric = Some(fabric)),
        write: |o| o.fabric.map(|fabric| fabric.to_string()),
    },
    switch!(
        "bisect",
        "narrow the stale cores of a block down to the smallest set that still blocks",
        bisect
    ),
    switch!(
        "recorder",
        "the flight recorder, which outlives a reset, so that the next boot goes on",
        recorder
    ),
    Key {
        name: "wait",
        about: "how long a blocked operation may take to return by itself before anything is tried",
        takes: "1ms to 86400s, 120s say on silicon [default: an eighth of its deadline]",
        read: |o, value| time(value, 1, 86_400_000).map(|ms| o.wait_ms = Some(ms)),
        write: |o| o.wait_ms.map(|ms| format!("{ms}ms")),
    },
    Key {
        name: "dwell",
        about: "how long nobody does anything before one operation, which is timed alone; one length after the other",
        takes: "times up to 3600s as 0,1s,10s,60s, or off [default: 50ms before ic-ivau in the default plan]",
        read: |o, value| {
            let times = match value {
                "off" => Ok(Vec::new()),
                _ => value
                    .split(',')
                    .map(|word| time(word, 0, 3_600_000))
                    .collect(),
            };
            times.map(|times| o.dwell_ms = Some(times))
        },
        write: |o| {
            let times = o.dwell_ms.as_ref()?;
            let words: Vec<_> = times.iter().map(|ms| format!("{ms}ms")).collect();
            Some(if words.is_empty() {
                "off".into()
            } else {
                words.join(",")
            })
        },
    },
    Key {
        name: "after-block",
        about: "what to do when nothing releases an operation",
        takes: "end, or reset the machine and go on",
        read: |o, value| one_of(value, AFTER_BLOCK).map(|after| o.after_block = after),
        write: |o| word(o.after_block, AFTER_BLOCK),
    },
    switch!(
        "disturb-inherited",
        "when nothing else releases an operation, interrupt the cores that an earlier kernel left stuck too: its handler runs there, in its memory",
        disturb_inherited
    ),
    Key {
        name: "then",
        about: "how to leave the machine when the run has ended and nobody takes its exit code",
        takes: "off, reset, so that what is installed boots, or kexec: the kernel that deploy has loaded beside the image",
        read: |o, value| one_of(value, THEN).map(|then| o.then = then),
        write: |o| word(o.then, THEN),
    },
    switch!(
        "ramoops",
        "leave the console's log in Linux's ramoops memory too, for /sys/fs/pstore after the reset",
        ramoops
    ),
    Key {
        name: "framebuffer",
        about: "show progress and answer on a screen too, for who stands before a machine without a serial line",
        takes: "auto (a simple-framebuffer or UEFI's, but not after kexec), on, off, or its place like 0x80000000,1024x768,4096,x8r8g8b8",
        read: |o, value| framebuffer::Choice::parse(value).map(|choice| o.framebuffer = choice),
        write: |o| Some(o.framebuffer.to_string()),
    },
    switch!(
        "ask",
        "at the end, wait to be asked over the console for records that were lost (serial --ask)",
        ask
    ),
    switch!("semihosting", "end through semihosting", semihosting),
    switch!(
        "hold",
        "hold still for a while when an operation blocks or the crash kernel has reported",
        hold
    ),
    Key {
        name: "scenario",
        about: "what to run",
        takes: "plan (operations under stale states) or kdump (a crash, end to end)",
        read: |o, value| one_of(value, SCENARIO).map(|scenario| o.scenario = scenario),
        write: |o| word(o.scenario, SCENARIO),
    },
    Key {
        name: "kernel",
        about: "whose crash path kdump plays",
        takes: Kernel::NAMES,
        read: |o, value| Kernel::from_name(value).map(|kernel| o.kernel = kernel),
        write: |o| Some(o.kernel.to_string()),
    },
    switch!(
        "trace",
        "print where kdump's routines are, instruction by instruction",
        trace
    ),
    Key {
        name: "watchdog-thresh",
        about: "the watchdog's threshold; stuck is twice as long",
        takes: "10ms to 60s",
        read: |o, value| time(value, 10, 60_000).map(|ms| o.watchdog_ms = ms),
        write: |o| Some(format!("{}ms", o.watchdog_ms)),
    },
];
