//! The plan: turns what the user asked for and the number of cores into roles of the cores
//! and a list of cases.

mod dwell;
mod roles;

use alloc::{format, string::String, vec::Vec};

pub use dwell::Dwelling;
pub use roles::Roles;

use crate::{
    cpuset::{CpuSet, MAX_CPUS},
    errata::{Erratum, Machine},
    glossary::{Kind, LineState, StaleState, Subject},
    options::{Auto, Options, Preset, Scenario},
};

/// The most cases for which `--sweep auto` runs the depth sweep: without it, a serial line
/// carries the full default run in about nine seconds.
const SWEEP_CASES: usize = 100;

/// One thing to find out: a subject on a line state, under the group's stale
/// state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    /// Number in the plan, from 1.
    pub number: usize,
    /// What runs.
    pub subject: Subject,
    /// How the stale cores are stuck.
    pub state: StaleState,
    /// What the caches hold.
    pub line: LineState,
}

/// The cases that share one entry into a stale state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// How the stale cores are stuck.
    pub state: StaleState,
    /// What they touch before they get stuck.
    pub line: LineState,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// Everything that a run will do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Who does what.
    pub roles: Roles,
    /// The groups: `never-started` first, because it needs cores that have
    /// not been started.
    pub groups: Vec<Group>,
    /// Run the depth sweep in each case?
    pub sweep: bool,
    /// Deadline of one operation, in milliseconds.
    pub deadline_ms: u32,
    /// How long nobody does anything before one operation.
    pub dwell: Dwelling,
    /// The errata that it stages; none unless they were asked for.
    pub errata: Vec<&'static Erratum>,
    /// How many cases it has, with those that are left to other boots: what is certain is
    /// so among all of them.
    pub family: usize,
}

impl Plan {
    /// Lays out the cases for a machine of `cpus` cores, about which nothing is known.
    ///
    /// Within a group the stale cores stay as they are. The self-test that hangs
    /// comes last of all, as nothing can follow it on its initiator.
    ///
    /// # Errors
    /// As [`Roles::assign`], or more cores than the harness handles.
    pub fn new(options: &Options, cpus: usize) -> Result<Self, String> {
        Self::among(options, cpus, &CpuSet::first(cpus), &Machine::default())
    }

    /// The same, if of the `cpus` cores that are described only these are `present`, on a
    /// `machine` about which something may be known.
    ///
    /// # Errors
    /// As [`Self::new`]; or errata were asked for, and none has a case.
    pub fn among(
        options: &Options,
        cpus: usize,
        present: &CpuSet,
        machine: &Machine,
    ) -> Result<Self, String> {
        if cpus == 0 || cpus > MAX_CPUS {
            return Err(format!("{cpus} CPUs; allowed: 1 to {MAX_CPUS}"));
        }
        let roles = Roles::assign(options, cpus, present)?;
        gated(options)?;
        if options.device_stuck_at.is_some() && options.fabric.is_some() {
            return Err(
                "device-stuck-at: with a fabric EL2 plays the device; allowed: one of them".into(),
            );
        }
        if options.scenario == Scenario::Kdump {
            return Self::crash(options, roles, cpus);
        }
        let errata = match options.preset {
            Some(Preset::Errata) => Some(errata(options, machine)?),
            _ => None,
        };
        let asked = |subject, state, line| {
            errata.as_ref().is_none_or(|errata| {
                let mut all = errata.iter();
                all.any(|erratum| erratum.has(subject, state, line))
            })
        };
        let (mut states, others): (Vec<StaleState>, Vec<StaleState>) = options
            .stale
            .iter()
            .partition(|state| **state == StaleState::NeverStarted);
        states.extend(others);
        // Nothing releases its cores.
        if options.device_stuck_at.is_some()
            && let Some(at) = states.iter().position(|s| *s == StaleState::DeviceStuck)
        {
            let last = states.remove(at);
            states.push(last);
        }
        let (last, first): (Vec<Subject>, Vec<Subject>) = options
            .ops
            .iter()
            .partition(|subject| **subject == Subject::SelftestHang);
        let mut groups = Vec::new();
        let mut number = 0;
        for (subjects, state) in [first, last]
            .iter()
            .flat_map(|subjects| states.iter().map(move |state| (subjects, *state)))
        {
            for (nth, line) in options.lines.iter().copied().enumerate() {
                let cases: Vec<_> = subjects
                    .iter()
                    .copied()
                    // If it takes no line, once is enough.
                    .filter(|subject| nth == 0 || subject.takes_line())
                    .filter(|subject| asked(*subject, state, line))
                    .map(|subject| {
                        number += 1;
                        Case {
                            number,
                            subject,
                            state,
                            line,
                        }
                    })
                    .collect();
                if !cases.is_empty() {
                    groups.push(Group { state, line, cases });
                }
            }
        }
        if let Some(wanted) = &options.cases {
            if wanted.highest() > number {
                return Err(format!("cases: {wanted}; this plan has 1 to {number}"));
            }
            for group in &mut groups {
                group.cases.retain(|case| wanted.contains(case.number));
            }
            groups.retain(|group| !group.cases.is_empty());
        }
        let sweep = match options.sweep {
            Auto::On => true,
            Auto::Off => false,
            // A plan with dwells is kept small.
            Auto::Auto => number <= SWEEP_CASES && options.dwell_ms.is_none(),
        };
        let deadline_ms = options.deadline_ms.unwrap_or(default_deadline_ms(cpus));
        Ok(Self {
            roles,
            groups,
            sweep,
            deadline_ms,
            dwell: Dwelling::of(options),
            errata: errata.unwrap_or_default(),
            family: number,
        })
    }

    /// The scenario `kdump`: one case, `machine-kexec` under one stale state,
    /// `qspinlock` unless another is named.
    ///
    /// # Errors
    /// There are several states, or one in which no core is left to be stopped.
    fn crash(options: &Options, roles: Roles, cpus: usize) -> Result<Self, String> {
        let state = match options.stale.as_slice() {
            [state] => *state,
            all if StaleState::default_set().eq(all.iter().copied()) => StaleState::Qspinlock,
            _ => return Err("stale: the scenario kdump takes one stale state".into()),
        };
        if options.cases.is_some() {
            return Err("cases: the scenario kdump is one case".into());
        }
        if state.powered_off() {
            return Err(format!(
                "stale: the scenario kdump stops the cores itself; not allowed: {state}"
            ));
        }
        let line = LineState::DirtyHere;
        let case = Case {
            number: 1,
            subject: Subject::MachineKexec,
            state,
            line,
        };
        Ok(Self {
            roles,
            groups: [Group {
                state,
                line,
                cases: [case].into(),
            }]
            .into(),
            sweep: false,
            deadline_ms: options.deadline_ms.unwrap_or(default_deadline_ms(cpus)),
            dwell: Dwelling::default(),
            errata: Vec::new(),
            family: 1,
        })
    }

    /// The errata that a group stages.
    pub fn errata_of(&self, group: &Group) -> impl Iterator<Item = &'static Erratum> {
        let stages = |erratum: &&Erratum| {
            let mut cases = group.cases.iter();
            cases.any(|case| erratum.has(case.subject, case.state, case.line))
        };
        self.errata.iter().copied().filter(stages)
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|g| g.cases.len()).sum()
    }

    /// The most orders that an initiator is given at once: the cases of a group and the
    /// empty block; only one if other initiators work at the same time or nobody watches,
    /// as no more could be told apart.
    pub fn most_at_once(&self) -> usize {
        let largest = self.groups.iter().map(|g| g.cases.len()).max().unwrap_or(0);
        match self.roles.sentinel {
            Some(_) if self.roles.initiators.len() == 1 => largest + 1,
            _ => 1,
        }
    }

    /// Is there nothing to run?
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Is a subject of the plan a self-test?
    pub fn has_selftest(&self) -> bool {
        self.groups
            .iter()
            .flat_map(|g| &g.cases)
            .any(|c| c.subject.kind() == Kind::Selftest)
    }
}

/// Is each stale state that may cost the machine allowed, if it was asked for by name? Those
/// of a preset, or of `all`, are skipped instead.
///
/// # Errors
/// Names one that is not.
fn gated(options: &Options) -> Result<(), String> {
    let preset = options.preset.map(|preset| Options::of(preset).stale);
    if options.stale == StaleState::ALL || preset.as_ref() == Some(&options.stale) {
        return Ok(());
    }
    let refused = |state: &&StaleState| state.gate().is_some() && !options.allow.contains(state);
    match options.stale.iter().find(refused) {
        Some(state) => Err(format!("stale: {}", not_allowed(*state))),
        None => Ok(()),
    }
}

/// Why a state is not entered that may cost the machine, and what allows it.
pub fn not_allowed(state: StaleState) -> String {
    let why = state.gate().unwrap_or_default();
    format!("{state} may cost the machine ({why}); allowed with --allow {state}")
}

/// The errata of a machine's cores for which the options leave a case.
///
/// # Errors
/// No erratum of them is known, or none is left.
fn errata(options: &Options, machine: &Machine) -> Result<Vec<&'static Erratum>, String> {
    let known = machine.errata();
    let left = |erratum: &&Erratum| {
        options.ops.iter().any(|s| erratum.suffers(*s))
            && options.stale.iter().any(|s| erratum.is_by(*s))
            && options.lines.contains(&erratum.line)
    };
    let errata: Vec<_> = known.iter().copied().filter(left).collect();
    if !errata.is_empty() {
        return Ok(errata);
    }
    Err(match known[..] {
        [] => "preset: errata: none is known of these cores",
        _ => "preset: errata: ops, stale and lines leave no case",
    }
    .into())
}

/// How long a class of samples, or the depth sweep, may take: far longer than on any
/// silicon, but an emulator in which every core takes part in a TLBI can need a quarter of
/// a second for one, and so can a fabric that was told to be late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassTime {
    /// After so many milliseconds the fewest samples are enough.
    pub enough_ms: u64,
    /// After so many, one sample is enough.
    pub longest_ms: u64,
}

impl ClassTime {
    /// For so many samples.
    pub const fn of(samples: u32) -> Self {
        let enough_ms = 3000 + samples as u64 / 20;
        Self {
            enough_ms,
            longest_ms: 2 * enough_ms,
        }
    }

    /// The same for a trial in a search for culprits, which proves nothing
    /// unless it has repeated what blocked.
    pub const fn patient(self) -> Self {
        Self {
            longest_ms: 10 * self.enough_ms,
            ..self
        }
    }
}

/// The deadline when none is given: two seconds, and 50 ms for each core, as an emulator
/// may run all cores in turn on one core of the host.
pub fn default_deadline_ms(cpus: usize) -> u32 {
    2000 + 50 * u32::try_from(cpus).unwrap_or(u32::MAX / 100)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
