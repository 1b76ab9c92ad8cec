//! What `--fabric` asks for.
//!
//! ```text
//! TEXT   = ITEM { "," ITEM }
//! ITEM   = "deaf=" STATE { "+" STATE } [ "@" CPULIST ]     STATE: also "inherited"
//!        | "to=" ( "dvm" | "snoop" | "both" | "all" )
//!        | "depth=" NUMBER              1 to 64
//!        | "early-comp=" ( "on" | "off" )
//!        | "delay=" NUMBER ( "ns" | "us" | "ms" | "s" )
//!        | "hold=" NUMBER ( "ns" | "us" | "ms" | "s" ) [ "/" NUMBER ] [ "@" OPERATION ]
//!        | "fault=" OPERATION
//!        | "lose=" OPERATION            a TLBI that returns and does nothing
//!        | "heal=" ( "sev" | "unlock" | "sgi" | "sdei" | "el2" | "psci" | "never"
//!                  | NUMBER ( "ns" | "us" | "ms" | "s" ) )
//! ```
//!
//! A CPU list has commas itself. A piece between commas that begins with a
//! digit continues the CPU list of the `deaf=…@` right before it; everything
//! else has an `=`, so no text has two readings. Each key comes at most once.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{
    cpuset::CpuSet,
    glossary::{INHERITED, StaleState, Subject},
    maintenance::{Maintenance, MessageClass},
    options::values::{number, one_of, switch},
};

/// The most transactions that the node can be told to keep open.
pub const MAX_DEPTH: u8 = 64;

/// The transactions that CCN-502 (TRM 100052 §2.7) and gem5's misc node keep
/// open.
pub const DEFAULT_DEPTH: u8 = 4;

/// The longest delay of an answer in nanoseconds: ten seconds. A core that is later may
/// as well be deaf.
pub const MAX_DELAY_NS: u64 = 10_000_000_000;

const KEYS: &str = "deaf=STATE[+STATE…][@CPULIST], to=dvm|snoop|both|all, depth=N, \
                    early-comp=on|off, delay=TIME, hold=TIME[/N][@OPERATION], fault=OPERATION, lose=TLBI, \
                    heal=sev|unlock|sgi|sdei|el2|psci|never|TIME";

/// Defines an enum of the words that one key takes.
macro_rules! choice {
    ($(#[$meta:meta])* $kind:ident { $($(#[$vmeta:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum $kind { $($(#[$vmeta])* $variant,)* }

        impl $kind {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Every value after its word.
            const NAMED: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),*];

            /// The word on the command line and in records.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

choice! {
    /// What a deaf core does not answer.
    DeafTo {
        /// DVM messages and DVM Sync.
        Dvm = "dvm",
        /// Coherence snoops.
        Snoop = "snoop",
        /// Both.
        Both = "both",
        /// Whatever leaves another core: both, and its loads, fetches and stores.
        All = "all",
    }
}

choice! {
    /// A rung of the release ladder, lowest first.
    Rung {
        /// An event to all cores.
        Sev = "sev",
        /// The lock that stale cores wait for is released.
        Unlock = "unlock",
        /// An interrupt to the stale cores.
        Sgi = "sgi",
        /// An event that firmware delivers, whatever EL1 masks.
        Sdei = "sdei",
        /// An interrupt that EL2 takes, whatever EL1 masks.
        El2 = "el2",
        /// PSCI.
        Psci = "psci",
    }
}

/// What makes a deaf core answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Heal {
    /// A rung of the release ladder.
    By(Rung),
    /// Nothing: it answers by itself once an operation has waited for so many
    /// nanoseconds, at most [`MAX_DELAY_NS`].
    After(u64),
}

impl fmt::Display for Heal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(rung) => f.pad(rung.name()),
            Self::After(ns) => f.pad(&time_text(*ns)),
        }
    }
}

/// A set of stale states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct StateSet(u64);

const _: () = assert!(StaleState::ALL.len() <= 64);

impl StateSet {
    /// Is the state in the set?
    pub const fn contains(self, state: StaleState) -> bool {
        self.0 & (1 << state as u8) != 0
    }

    /// The states in the glossary's order.
    pub fn iter(self) -> impl Iterator<Item = StaleState> {
        StaleState::ALL
            .iter()
            .copied()
            .filter(move |state| self.contains(*state))
    }
}

impl FromIterator<StaleState> for StateSet {
    fn from_iter<I: IntoIterator<Item = StaleState>>(states: I) -> Self {
        Self(
            states
                .into_iter()
                .fold(0, |set, state| set | 1 << state as u8),
        )
    }
}

/// Which cores do not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deaf {
    /// In which stale states.
    pub states: StateSet,
    /// Also the cores that were stuck before this boot?
    pub inherited: bool,
    /// Which cores, if not all.
    pub cpus: Option<CpuSet>,
}

/// Operations that are late by themselves, whoever answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// For so many nanoseconds, at most [`MAX_DELAY_NS`].
    pub ns: u64,
    /// One in so many, at least 1.
    pub every: u32,
    /// Which, if not all that send a message.
    pub only: Option<Maintenance>,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time_text(self.ns))?;
        if self.every > 1 {
            write!(f, "/{}", self.every)?;
        }
        match self.only.and_then(Subject::of) {
            Some(subject) => write!(f, "@{subject}"),
            None => Ok(()),
        }
    }
}

/// What `--fabric` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FabricOptions {
    /// Which cores do not answer, if any.
    pub deaf: Option<Deaf>,
    /// What they do not answer.
    pub to: DeafTo,
    /// How many DVM messages may be open, 1 to [`MAX_DEPTH`].
    pub depth: u8,
    /// Do DVM messages complete as soon as they are posted?
    pub early_comp: bool,
    /// How long each answer of a stale core takes, in nanoseconds, at most [`MAX_DELAY_NS`].
    pub delay_ns: u64,
    /// Which operations of a core that is not stale are late while others are, if any.
    pub hold: Option<Hold>,
    /// The operation that faults; one for which [`Maintenance::can_fault`].
    pub fault: Option<Maintenance>,
    /// The TLB maintenance that returns, as its DSB does, before it has had its effect: it
    /// never has any.
    pub lose: Option<Maintenance>,
    /// What makes a deaf core answer, if anything does.
    pub heal: Option<Heal>,
}

impl Default for FabricOptions {
    fn default() -> Self {
        Self {
            deaf: None,
            to: DeafTo::Dvm,
            depth: DEFAULT_DEPTH,
            early_comp: false,
            delay_ns: 0,
            hold: None,
            fault: None,
            lose: None,
            heal: None,
        }
    }
}

impl FabricOptions {
    /// Reads the text of `--fabric`.
    ///
    /// # Errors
    /// One line that names what is wrong and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in items(text)? {
            if seen.contains(&key) {
                return Err(format!("'{key}' is given twice; allowed: once"));
            }
            seen.push(key);
            options
                .set(key, &value)
                .map_err(|error| format!("{key}: {error}"))?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "deaf" => self.deaf = Some(deaf(value)?),
            "to" => self.to = one_of(value, DeafTo::NAMED)?,
            "depth" => self.depth = number(value, 1, u32::from(MAX_DEPTH))? as u8,
            "early-comp" => self.early_comp = switch(value)?,
            "delay" => self.delay_ns = time(value)?,
            "hold" => self.hold = Some(hold(value)?),
            "fault" => self.fault = Some(fault(value)?),
            "lose" => self.lose = Some(lose(value)?),
            "heal" if value == "never" => self.heal = None,
            "heal" if value.starts_with(|c: char| c.is_ascii_digit()) => {
                self.heal = Some(Heal::After(time(value)?));
            }
            "heal" => {
                let rung = one_of(value, Rung::NAMED)
                    .map_err(|error| format!("{error}, never, or a time like 5s"))?;
                self.heal = Some(Heal::By(rung));
            }
            _ => return Err(format!("no such key; allowed: {KEYS}")),
        }
        Ok(())
    }
}

/// Splits the text into keys and values, with CPU lists put together again.
fn items(text: &str) -> Result<Vec<(&str, String)>, String> {
    let mut items: Vec<(&str, String)> = Vec::new();
    for piece in text.split(',') {
        if let Some((key, value)) = piece.split_once('=') {
            items.push((key, value.to_string()));
            continue;
        }
        let continues = piece.starts_with(|c: char| c.is_ascii_digit());
        match items.last_mut() {
            Some(("deaf", list)) if continues && list.contains('@') => {
                list.push(',');
                list.push_str(piece);
            }
            _ => {
                return Err(format!(
                    "'{piece}' has no '=' and continues no CPU list; allowed: {KEYS}"
                ));
            }
        }
    }
    Ok(items)
}

fn deaf(value: &str) -> Result<Deaf, String> {
    let (states, cpus) = match value.split_once('@') {
        Some((states, cpus)) => (states, Some(CpuSet::parse(cpus)?)),
        None => (value, None),
    };
    if cpus.is_some_and(|cpus| cpus.is_empty()) {
        return Err("'@' without a CPU; allowed: a CPU list like 0-3,7".to_string());
    }
    let ours = states.split('+').filter(|state| *state != INHERITED);
    Ok(Deaf {
        states: ours
            .map(StaleState::from_name)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{error}, {INHERITED}"))?,
        inherited: states.split('+').any(|state| state == INHERITED),
        cpus,
    })
}

/// The units of a time with their length in nanoseconds, longest first.
const UNITS: [(&str, u64); 4] = [
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

fn time(value: &str) -> Result<u64, String> {
    let end = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    let scale = UNITS.iter().find(|(name, _)| *name == unit);
    let ns = number
        .parse::<u64>()
        .ok()
        .zip(scale)
        .and_then(|(number, (_, scale))| number.checked_mul(*scale));
    match ns {
        Some(ns) if ns <= MAX_DELAY_NS => Ok(ns),
        _ => Err(format!(
            "'{value}' is not allowed; allowed: a whole number of ns, us, ms or s, up to 10s"
        )),
    }
}

/// The text that [`time`] reads as so many nanoseconds.
fn time_text(ns: u64) -> String {
    let whole = UNITS.iter().find(|(_, scale)| ns.is_multiple_of(*scale));
    let (unit, scale) = whole.unwrap_or(&("ns", 1));
    format!("{}{unit}", ns / scale)
}

fn hold(value: &str) -> Result<Hold, String> {
    let (times, operation) = match value.split_once('@') {
        Some((times, operation)) => (times, Some(operation)),
        None => (value, None),
    };
    let (ns, every) = match times.split_once('/') {
        Some((ns, every)) => (time(ns)?, number(every, 1, u32::MAX)?),
        None => (time(times)?, 1),
    };
    let only = operation
        .map(|name| operation_that(name, "sends a message", sends))
        .transpose()?;
    Ok(Hold { ns, every, only })
}

/// Does it send a message that the node answers?
pub(super) fn sends(what: Maintenance) -> bool {
    matches!(what.class(), MessageClass::Dvm | MessageClass::Snoop)
}

fn fault(value: &str) -> Result<Maintenance, String> {
    operation_that(value, "can fault", Maintenance::can_fault)
}

fn lose(value: &str) -> Result<Maintenance, String> {
    // What is broadcast, and is no instruction cache's, which cannot fault either.
    let tlbi = |what: Maintenance| what.name().starts_with("tlbi") && sends(what);
    operation_that(value, "drops other cores' translations", tlbi)
}

/// The operation of that name, if it is one that `does`.
#[inline(never)]
fn operation_that(
    name: &str,
    does: &str,
    fits: fn(Maintenance) -> bool,
) -> Result<Maintenance, String> {
    let mut allowed = Vec::new();
    for subject in Subject::ALL {
        let Some(what) = subject.maintenance().filter(|what| fits(*what)) else {
            continue;
        };
        if subject.name() == name {
            return Ok(what);
        }
        allowed.push(subject.name());
    }
    Err(format!(
        "'{name}' is no operation that {does}; allowed: {}",
        allowed.join(", ")
    ))
}

/// The text that [`FabricOptions::parse`] reads as the same options: what differs from
/// the default, or `depth` if nothing does.
impl fmt::Display for FabricOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::default();
        let mut items: Vec<String> = Vec::new();
        if let Some(deaf) = &self.deaf {
            let inherited = deaf.inherited.then_some(INHERITED);
            let states = deaf.states.iter().map(StaleState::name);
            let states: Vec<_> = states.chain(inherited).collect();
            let cpus = deaf.cpus.map_or(String::new(), |cpus| format!("@{cpus}"));
            items.push(format!("deaf={}{cpus}", states.join("+")));
        }
        if self.to != default.to {
            items.push(format!("to={}", self.to));
        }
        if self.depth != default.depth || *self == default {
            items.push(format!("depth={}", self.depth));
        }
        if self.early_comp {
            items.push("early-comp=on".to_string());
        }
        if self.delay_ns != 0 {
            items.push(format!("delay={}", time_text(self.delay_ns)));
        }
        if let Some(hold) = self.hold {
            items.push(format!("hold={hold}"));
        }
        if let Some(subject) = self.fault.and_then(Subject::of) {
            items.push(format!("fault={subject}"));
        }
        if let Some(subject) = self.lose.and_then(Subject::of) {
            items.push(format!("lose={subject}"));
        }
        if let Some(heal) = self.heal {
            items.push(format!("heal={heal}"));
        }
        f.write_str(&items.join(","))
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
