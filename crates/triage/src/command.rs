//! The `stalecore run` command that stages the crash.

use serde::Serialize;
use stalecore_model::{
    cpuset::{CpuSet, MAX_CPUS},
    glossary::StaleState,
    kdump::Kernel,
};

use super::{
    cpus::{CountSource, Cpus},
    crash::{Crash, Trigger},
    outcome::Outcome,
    stale::{Basis, From, Stale},
    step::Step,
};

/// A command line, and what in it does not come from the log.
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
        stand_in: Option<u32>,
        stale: Option<&Stale>,
    ) -> Result<Self, String> {
        let ended = Outcome::of(crash) == Outcome::NoCrashKernel
            || crash.kdump_loaded == Some(false) && Outcome::of(crash) == Outcome::StoppedInStop;
        let shown = stale.is_some_and(|s| s.from != From::AllOthers);
        if ended && !shown && cpus.failed.is_none() && crash.firmware.el3.is_empty() {
            return Err(
                "No crash kernel was started and no core failed to stop: there is no way \
                        into a crash kernel to stage."
                    .into(),
            );
        }
        if !shown
            && Outcome::of(crash) == Outcome::NoPanic
            && crash.complaints.iter().all(|c| c.trigger == Trigger::Oops)
            && crash.dumps.all.iter().any(|d| d.closed)
        {
            return Err(
                "The oops killed its task, no panic followed, and no core is known to be \
                        stuck: there is nothing to stage."
                    .into(),
            );
        }
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
                "The machine has at least {}: that is the highest that the log mentions, and \
                 there may be more.",
                match count.count {
                    1 => "1 CPU".into(),
                    count => format!("{count} CPUs"),
                }
            ));
        }
        let initiator = command.initiator(crash, cpus, stand_in);
        command.flag("--initiators", initiator);
        if ended {
            command.assume(
                "No crash kernel was started here: the command stages what it would have met.",
            );
        }
        if let Some(stale) = stale {
            command.stale(crash, era, cpus, stale);
            let mut roles = stale.cpus;
            roles.insert(initiator as usize);
            if roles.len() == count.count as usize {
                // No core is left to watch.
                command.flag("--sentinel", "off");
            }
        }
        Ok(command)
    }

    fn initiator(&mut self, crash: &Crash, cpus: &Cpus, stand_in: Option<u32>) -> u32 {
        if let Some(cpu) = cpus.crashed {
            return cpu;
        }
        let cpu = stand_in.unwrap_or(0);
        self.assume(match cpus.refuted {
            Some(named) => format!(
                "The log names CPU {named} and refutes it; which CPU panicked it does not tell: \
                 CPU {cpu} stands in for it."
            ),
            None if Outcome::of(crash) == Outcome::NoPanic => format!(
                "Nothing crashed, so no CPU went down the kdump path: CPU {cpu} stands in for one \
                 that would."
            ),
            None => format!("The log does not say which CPU crashed: CPU {cpu} stands in for it."),
        });
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
            Basis::DieLock => self.assume(format!(
                "That the cores wait for the lock of the oops is inferred from the faults; {} with \
                 interrupts masked is that state.",
                stale.state
            )),
            Basis::CrashedCore => self.assume(format!(
                "The stale cores' own stacks are not in the log; {} is the state in which the \
                 crashed core was found.",
                stale.state
            )),
            Basis::Assumed if stale.state == StaleState::Parked => self.assume(
                "No line names a stale core, and none rules one out: the others are staged as \
                 parked, and take the stop SGI.",
            ),
            Basis::Assumed => self.assume(format!(
                "No stack of a stale core is in the log; {}, with interrupts masked, stands in \
                 for its state.",
                StaleState::Spin
            )),
        }
        match stale.from {
            From::WholeList if stale.cpus.len() > 1 => self.assume(
                "All cores of the list are staged as stale, although the list only proves one.",
            ),
            From::Known if cpus.failed.is_some_and(|list| list != stale.cpus) => self.assume(
                "Of the list only the cores that the log shows stuck are staged as stale; that \
                 the others answered is an assumption.",
            ),
            From::Complaint if crash.has(Step::Panic) => self.assume(
                "The log shows these cores stuck and does not reach the list of those that did \
                 not stop: that the others do stop is an assumption.",
            ),
            From::AllOthers
                if stale.basis != Basis::TookSgi && stale.state != StaleState::Parked =>
            {
                self.assume(
                    "Which cores are stale is not in the log: all but the initiator are staged, \
                     and no line shows them stuck.",
                );
            }
            _ => {}
        }
        if may_be_blocked(crash, era)
            && let Some(deaf) = stale.cpus.lowest()
        {
            // A core that has taken the stop SGI is in another state by then.
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

/// The core that stands in for the one that crashed, if that is not known: the
/// lowest that may have panicked.
pub fn stand_in(cpus: &Cpus, stuck: &CpuSet) -> Option<u32> {
    let listed = cpus.failed.unwrap_or_default();
    let named = |set: CpuSet| set.lowest().and_then(|cpu| u32::try_from(cpu).ok());
    if let Some(refuted) = cpus.refuted
        && !listed.contains(refuted as usize)
    {
        return named(listed);
    }
    let free = cpus.online().difference(&listed).difference(stuck);
    named(free)
        .or_else(|| named(cpus.online().difference(stuck)))
        .or_else(|| named(cpus.online()))
}

/// Does the log stop where a broadcast operation that does not return would
/// stop it? That is before "Bye!" if `machine_kexec` maintains caches, and after it
/// if the capture kernel issues the first broadcast.
pub fn may_be_blocked(crash: &Crash, era: Option<Kernel>) -> bool {
    if crash.cut_line || crash.warning_unfinished() || crash.pstore {
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
