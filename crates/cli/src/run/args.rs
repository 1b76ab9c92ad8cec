//! The flags of `stalecore run`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, Error, FromArgMatches, error::ErrorKind};
use stalecore_model::{
    glossary::Verdict,
    options::{KEYS, Options},
    plan::Plan,
    record::Maker,
};

use super::{
    boot::BootArgs,
    coherence::{self, Asked},
    kvm,
    limits::LONGEST,
    machine::{Accel, MachineArgs},
    tcg::{self, Choice},
};

/// What `stalecore run` takes.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub boot: BootArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Say what would be run and roughly how long it takes, and start nothing
    #[arg(long)]
    pub list: bool,
    /// Go on with a run that was broken off (Ctrl-C, a host that went down): run what it lacks,
    /// with its own flags, and make one result of both
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Boot so many times, 2 to 35, and make one result of them: what differs from boot to boot
    /// is part of each interval, and slowed is what was so in every boot. Each boot's own
    /// files are in boot-1, boot-2 … of the out directory
    #[arg(long, value_name = "N", conflicts_with_all = ["resume", "core"],
          value_parser = clap::value_parser!(u8).range(2..=35))]
    pub repeat: Option<u8>,
    /// The host's deadline for the whole run in seconds [default: from the plan]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<u32>,
    /// Save the machine as a core file when an operation blocks, the machine falls silent or
    /// kdump's crash kernel has reported: one thread for each CPU, for gdb-multiarch
    #[arg(long, value_name = "FILE")]
    pub core: Option<PathBuf>,
    /// End by PSCI SYSTEM_OFF and a final line, as on a board
    #[arg(long)]
    pub no_semihosting: bool,
    /// Check with a model of caches that the image misses no cache maintenance of its own; with
    /// ignore=SYMBOL+OFFSET as if that instruction were not there, with line=BYTES for longer
    /// lines. Needs QEMU 9.2 or newer
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "",
          value_parser = coherence::asked)]
    pub check_coherence: Option<Asked>,
    /// The emulator [default: qemu-system-aarch64]
    #[arg(long, value_name = "FILE")]
    pub qemu: Option<PathBuf>,
}

/// What is expected of a run, and where its results go.
#[derive(clap::Args)]
pub struct OutputArgs {
    /// End with 0 if a case has this verdict, with 1 if none has; cases with other verdicts still
    /// count (3 faulted, 4 blocked, 5 incoherent, 6 inconclusive)
    #[arg(long, value_name = "VERDICT", value_parser = Verdict::from_name)]
    pub expect: Option<Verdict>,
    /// Where run.json, console.log and report.html go: a new or empty directory, or one that
    /// an earlier run left [default: stalecore-out/N, N counting up]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print run.json on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
    /// Say nothing on standard error except what went wrong
    #[arg(short, long)]
    pub quiet: bool,
    /// Name each case as it ends, and print each note as it comes
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show nothing, as several boots are shown together.
    #[arg(skip)]
    pub unseen: bool,
    /// Give each stale state its own column in the table, even if that needs
    /// several blocks
    #[arg(long)]
    pub all_states: bool,
}

impl Args {
    /// The options that the image gets.
    pub fn options(&self) -> Options {
        let mut options = self.plan.0.clone();
        // Under KVM the instruction would be an error.
        options.semihosting = !self.no_semihosting && self.machine.accel == Accel::Tcg;
        // So that there is time to save the core file.
        options.hold = self.core.is_some();
        options
    }

    /// Who may make results in this machine besides its cores.
    pub fn makers(&self) -> Vec<Maker> {
        let fabric = self.plan.0.fabric.is_some().then_some(Maker::Fabric);
        let plugin = self.machine.has_plugin().then_some(Maker::Plugin);
        fabric.into_iter().chain(plugin).collect()
    }

    /// The threads in which QEMU emulates the CPUs; none under KVM.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn threads(&self, options: &Options, plan: &Plan) -> Result<Option<Choice>, String> {
        let machine = &self.machine;
        if machine.accel == Accel::Kvm {
            return Ok(None);
        }
        let plugin = machine.has_plugin() || self.check_coherence.is_some();
        tcg::choose(machine.tcg_thread, options, plan, plugin).map(Some)
    }

    /// Checks what no flag can check by itself.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.machine.accel == Accel::Kvm {
            let options = &self.plan.0;
            for (flag, given) in [
                ("icount", options.icount),
                ("fabric", options.fabric.is_some()),
                ("tcg-thread", self.machine.tcg_thread != tcg::Asked::Auto),
            ] {
                if given {
                    return Err(format!(
                        "--{flag}: with --accel kvm; allowed with --accel tcg"
                    ));
                }
            }
        }
        if self.check_coherence.is_some() {
            for (flag, given) in [
                ("icount", self.plan.0.icount),
                // It compares what runs with the image, and that is patched.
                ("dsb", self.plan.0.dsb.is_some()),
                ("accel kvm", self.machine.accel == Accel::Kvm),
            ] {
                if given {
                    return Err(format!("--check-coherence: not with --{flag}"));
                }
            }
        }
        self.machine.check()?;
        if self.machine.accel == Accel::Kvm {
            kvm::check(&self.machine)?;
        }
        self.boot.check(&self.machine)
    }
}

/// A deadline in seconds: a second to a week.
///
/// # Errors
/// What is allowed.
pub fn seconds(text: &str) -> Result<u32, String> {
    let longest = LONGEST.as_secs();
    match text.parse() {
        Ok(n) if (1..=longest).contains(&u64::from(n)) => Ok(n),
        _ => Err(format!("allowed: 1 to {longest}")),
    }
}

/// Keys that other flags decide, or that are of use only on a serial line.
const ELSEWHERE: &[&str] = &["ask", "hold", "semihosting"];

/// Keys that are on when the flag stands alone.
const SWITCHES: &[&str] = &["bisect", "icount", "trace"];

/// A flag for each key of the boot arguments, with the same name.
pub struct PlanArgs(pub Options);

impl clap::Args for PlanArgs {
    fn augment_args(command: Command) -> Command {
        KEYS.iter()
            .filter(|key| !ELSEWHERE.contains(&key.name))
            .fold(command, |command, key| {
                let arg = Arg::new(key.name)
                    .long(key.name)
                    .help(format!("{}: {}", key.about, key.takes))
                    .value_name("VALUE");
                command.arg(if SWITCHES.contains(&key.name) {
                    arg.num_args(0..=1)
                        .require_equals(true)
                        .default_missing_value("on")
                } else {
                    arg
                })
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PlanArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut plan = Self(Options::default());
        plan.update_from_arg_matches(matches)?;
        Ok(plan)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let flags = KEYS.iter().map(|key| key.name);
        for key in flags.filter(|key| !ELSEWHERE.contains(key)) {
            if let Some(value) = matches.get_one::<String>(key) {
                self.0
                    .set(key, value)
                    .map_err(|e| Error::raw(ErrorKind::ValueValidation, as_flag(&e)))?;
            }
        }
        Ok(())
    }
}

/// A message from the model, with the key that it begins with made a flag.
pub fn as_flag(message: &str) -> String {
    let key = message.split(':').next().unwrap_or_default();
    if KEYS.iter().any(|known| known.name == key) {
        format!("--{message}")
    } else {
        message.to_string()
    }
}
