//! The `stalecore run` command that stages the crash.

use serde::Serialize;
use stalecore_model::{
    cpuset::{CpuSet, MAX_CPUS},
    glossary::StaleState,
    kdump::Kernel,
};

use super::{
    cpus::{CountSource, Cpus, Meaning},
    crash::Crash,
    outcome::Outcome,
    stale::{Basis, Stale},
    step::Step,
};

/// A command line, and what in it the log does not say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What was assumed, one sentence each.
    pub assumptions: Vec<String>,
}

impl Command {
    /// As one line for a shell; no argument needs quoting.
    pub fn line(&self) -> String {
        self.argv.join(" ")
    }

    /// The command for a crash.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    pub fn of(
        crash: &Crash,
        era: Option<Kernel>,
        cpus: &Cpus,
        stale: Option<&Stale>,
    ) -> Result<Self, String> {
        let count = cpus
            .count
            .ok_or("The log names no CPU, so there is nothing to stage.")?;
        if count.count as usize > MAX_CPUS {
            return Err(format!(
                "The log speaks of CPU {}; the harness stages at most {MAX_CPUS} CPUs.",
                count.count - 1
            ));
        }
        let mut command = Self {
            argv: ["stalecore", "run", "--scenario", "kdump"]
                .map(String::from)
                .into(),
            assumptions: Vec::new(),
        };
        match era {
            Some(era) => command.flag("--kernel", era.name()),
            None => command.assume(
                "The log names no kernel version: the scenario's default stands in for it.",
            ),
        }
        command.flag("--cpus", count.count);
        if count.source == CountSource::HighestSeen {
            command.assume(format!(
                "The machine has at least {} CPUs, the highest that the log mentions; it may have \
                 more.",
                count.count
            ));
        }
        let initiator = command.initiator(cpus, count.count);
        command.flag("--initiators", initiator);
        if let Some(stale) = stale {
            command.stale(crash, era, cpus, stale);
            let mut roles = stale.cpus;
            roles.insert(initiator as usize);
            if roles.len() == count.count as usize {
                // No core is left that could watch.
                command.flag("--sentinel", "off");
            }
        }
        Ok(command)
    }

    fn initiator(&mut self, cpus: &Cpus, count: u32) -> u32 {
        if let Some(cpu) = cpus.crashed {
            return cpu;
        }
        let failed = cpus.failed.unwrap_or_default();
        let free = CpuSet::first(count as usize).difference(&failed);
        let cpu = free
            .lowest()
            .and_then(|c| u32::try_from(c).ok())
            .unwrap_or(0);
        self.assume(format!(
            "The log does not say which CPU crashed: CPU {cpu} stands in for it."
        ));
        cpu
    }

    fn stale(&mut self, crash: &Crash, era: Option<Kernel>, cpus: &Cpus, stale: &Stale) {
        self.flag("--stale", stale.state);
        self.flag("--stale-cpus", stale.cpus);
        if let Some(seen) = stale.seen {
            self.assume(format!(
                "The scenario stops the cores itself, so {} stands in for {seen}.",
                stale.state
            ));
        }
        match stale.basis {
            Basis::StaleCore | Basis::TookSgi => {}
            Basis::CrashedCore => self.assume(format!(
                "The stale cores' own stacks are not in the log; {} is the state in which the \
                 crashed core was found.",
                stale.state
            )),
            Basis::Assumed if stale.state == StaleState::Parked => self.assume(
                "Nothing in the log shows a stale core: all are parked, and take the stop SGI.",
            ),
            Basis::Assumed => self.assume(format!(
                "No stack of a stale core is in the log; {}, with interrupts masked, stands in \
                 for its state.",
                StaleState::Spin
            )),
        }
        if cpus.meaning == Some(Meaning::AtLeastOne) {
            self.assume(
                "All cores of the list are staged as stale, although the list only proves one.",
            );
        }
        if may_be_blocked(crash, era)
            && let Some(deaf) = stale.cpus.lowest()
        {
            // Who has taken the stop SGI is in another state by then.
            let state = match stale.basis {
                Basis::TookSgi => StaleState::CrashStopped,
                _ => stale.state,
            };
            self.flag("--fabric", format!("deaf={state}@{deaf}"));
            if stale.cpus.len() > 1 {
                self.assume(format!(
                    "Which core does not answer is not in the log, nor that any does not: core \
                     {deaf} is an assumption. Try others, and run it without --fabric on the \
                     machine itself."
                ));
            } else {
                self.assume(format!(
                    "That core {deaf} does not answer the fabric is an assumption: the log only \
                     says that it did not stop."
                ));
            }
        }
    }

    fn flag(&mut self, name: &str, value: impl ToString) {
        self.argv.push(name.into());
        self.argv.push(value.to_string());
    }

    fn assume(&mut self, text: impl Into<String>) {
        self.assumptions.push(text.into());
    }
}

/// Does the log stop where a broadcast operation that does not return would
/// stop it? Before "Bye!" where `machine_kexec` maintains caches; behind it
/// where the capture kernel issues the first broadcast.
pub fn may_be_blocked(crash: &Crash, era: Option<Kernel>) -> bool {
    if crash.cut_line || crash.warning_unfinished() {
        return false;
    }
    let maintains = era.is_none_or(Kernel::flushes_at_crash);
    match Outcome::of(crash) {
        Outcome::StoppedBeforeBye if maintains => {
            // Where CPUs failed to stop, the warning comes first.
            !crash.has(Step::FailedToStop) || crash.has(Step::StaleWarning)
        }
        Outcome::SilentCapture => !maintains,
        _ => false,
    }
}
