//! `stalecore live`: the harness in threads of this machine's own Linux, with no reboot.
//! It runs in a process of its own, whose output is read as a board's console is.

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
mod here;

use std::path::PathBuf;

use clap::{ArgMatches, Command, Error, FromArgMatches};
use stalecore_model::{
    exit::ExitCode,
    options::{KEYS, Options},
};

use crate::run::{OutputArgs, PlanArgs, seconds};

/// Time operations beside stale threads on this machine's own cores, with no reboot: aarch64
/// Linux alone. On a machine that blocks it blocks too, and may take the machine down
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: Asked,
    #[command(flatten)]
    output: OutputArgs,
    /// Say what would be run, and about how long it takes, and start nothing
    #[arg(long)]
    list: bool,
    /// Go on with a run that was broken off, as the machine went down: the case that was in
    /// flight is not run again
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Have the initiators go before ordinary threads (SCHED_FIFO; root)
    #[arg(long)]
    fifo: bool,
    /// The deadline for the whole run in seconds [default: from the plan]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<u32>,
}

/// The plan's flags, and which of them were given: here a CPU of the default may be one
/// that the process may not use, and some flags are of no use.
struct Asked {
    options: Options,
    given: Vec<&'static str>,
}

impl clap::Args for Asked {
    fn augment_args(command: Command) -> Command {
        PlanArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        PlanArgs::augment_args_for_update(command)
    }
}

impl FromArgMatches for Asked {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let PlanArgs(options) = PlanArgs::from_arg_matches(matches)?;
        let given = KEYS.iter().map(|key| key.name);
        // Not every key is a flag.
        let given = given.filter(|key| matches.try_contains_id(key).unwrap_or(false));
        let given = given.collect();
        Ok(Self { options, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs the plan here and gives the exit code.
///
/// # Errors
/// What keeps it from being run, or its results from being saved.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    #[cfg(all(target_arch = "aarch64", target_os = "linux"))]
    return here::run(args);
    #[cfg(not(all(target_arch = "aarch64", target_os = "linux")))]
    {
        let Asked { options, given } = args.plan;
        drop((options, given));
        anyhow::bail!(
            "live: this is {} {}; allowed: aarch64 Linux, whose own cores it measures (make live \
             leaves the command for it in dist/aarch64-linux/stalecore); elsewhere stalecore run",
            std::env::consts::ARCH,
            std::env::consts::OS
        );
    }
}
