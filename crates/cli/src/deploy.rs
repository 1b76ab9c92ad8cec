//! `stalecore deploy`: from this machine's Linux into the image that the command has
//! inside. It looks at the machine and says what would happen; only `--yes`, `--start` and
//! `--undo` change anything.

mod gather;
mod hooks;
mod next;
mod saved;
mod unpack;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::{ArgMatches, Command, Error, FromArgMatches, ValueEnum};
use stalecore_model::{
    deploy::{Ask, Deed, Load, Outcome, Outlook, Way, judge},
    exit::ExitCode,
    framebuffer::Choice,
    options::{Options, Then},
    shell,
};

use crate::{carried, run::PlanArgs, stdout, whole_file};

/// The most that an image has.
const LARGEST: u64 = 64 << 20;

/// Hand this machine over to the image by kexec, with no stick and no boot loader: aarch64
/// Linux alone, as root. Says what would happen; loads, or writes the hooks of kdump, only
/// with --yes
#[derive(clap::Args)]
pub struct Args {
    /// From this Linux; as its crash kernel, beside the cores that a crash leaves stuck, at
    /// the cost of the dump; or after the dump is saved [default: look at all three]
    #[arg(value_enum, value_name = "WAY")]
    way: Option<Ways>,
    #[command(flatten)]
    plan: Away,
    /// The flat image, instead of the one inside this command
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    image: Option<PathBuf>,
    /// More words for the image's command line, like earlycon=pl011,0x9000000
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true
    )]
    append: String,
    /// With --then kexec: the kernel that is started when the run has ended [default: that of
    /// the running one's release in /boot]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    next_kernel: Option<PathBuf>,
    /// Its initial ramdisk [default: the same release's in /boot, if there is one and no other
    /// kernel is named]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    next_initrd: Option<PathBuf>,
    /// Do it: load, or write the hooks
    #[arg(long, requires = "way")]
    yes: bool,
    /// Load and start at once, as kexec -e does: nothing is shut down
    #[arg(long, requires = "way")]
    start: bool,
    /// Remove the hooks that --yes has written
    #[arg(long, conflicts_with_all = ["yes", "start", "image", "append", "next_kernel", "next_initrd"])]
    undo: bool,
    /// Only look whether a dump was saved below this directory since this kernel booted, and
    /// is whole: for the hook of kdump-tools
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with_all = ["yes", "start", "undo", "image", "append", "next_kernel", "next_initrd"])]
    saved: Option<PathBuf>,
    /// Look at the files of a machine below this directory, and change nothing
    #[arg(long, value_name = "DIR", hide = true, conflicts_with_all = ["yes", "start", "undo"])]
    root: Option<PathBuf>,
}

/// [`Way`] on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Ways {
    Now,
    Crash,
    AfterDump,
}

impl From<Ways> for Way {
    fn from(way: Ways) -> Self {
        match way {
            Ways::Now => Self::Now,
            Ways::Crash => Self::Crash,
            Ways::AfterDump => Self::AfterDump,
        }
    }
}

/// The plan's flags; unless told otherwise the machine is reset at the end, so that its
/// Linux comes back.
struct Away(Options);

impl clap::Args for Away {
    fn augment_args(command: Command) -> Command {
        // What takes hooks back, or looks at a dump, has no plan.
        let alone = |flag: clap::Arg| flag.conflicts_with_all(["undo", "saved"]);
        PlanArgs::augment_args(command).mut_args(alone)
    }

    fn augment_args_for_update(command: Command) -> Command {
        PlanArgs::augment_args_for_update(command)
    }
}

impl FromArgMatches for Away {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut options = PlanArgs::from_arg_matches(matches)?.0;
        // (A preset would set back what had been set before.)
        if !matches.contains_id("then") {
            options.then = Then::Reset;
        }
        Ok(Self(options))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Looks, says, and does what was asked for.
///
/// # Errors
/// One line: what cannot work, and what would make it work.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.undo {
        return hooks::undo();
    }
    if let Some(folder) = &args.saved {
        return saved::look(folder).context("deploy: --saved");
    }
    let here = cfg!(all(target_arch = "aarch64", target_os = "linux"));
    ensure!(
        here || args.root.is_some(),
        "deploy: this is {} {}; allowed: aarch64 Linux, the machine to be handed over (make live \
         leaves the command for it in dist/aarch64-linux/stalecore)",
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    let read;
    let image = match (&args.image, carried::IMAGE) {
        (Some(path), _) => {
            read = whole_file::read(path, LARGEST)
                .with_context(|| format!("--image: cannot read {}", path.display()))?;
            read.as_slice()
        }
        (None, Some(inside)) => inside,
        (None, None) => bail!("deploy: this command has no image inside; allowed: --image FILE"),
    };
    let root = args.root.as_deref().unwrap_or(Path::new("/"));
    let facts = gather::facts(root);
    let files = (args.next_kernel.as_deref(), args.next_initrd.as_deref());
    let next = match (args.plan.0.then, files) {
        (Then::Kexec, _) => Some(next::read(root, &facts.release, files)?),
        (_, (None, None)) => None,
        _ => bail!(
            "--next-kernel, --next-initrd: nothing would start them; allowed: with --then kexec"
        ),
    };
    let command = myself();
    let ask = Ask {
        image,
        options: &args.plan.0,
        append: &args.append,
        command: &command,
        next: next.as_ref().map(next::Files::next),
    };
    let outlook = judge(&facts, &ask);
    let Some(way) = args.way.map(Way::from) else {
        stdout::print(&told(&outlook, None, &args.plan.0))?;
        // Where nothing works there is still a first thing to do.
        let works = outlook.ways.iter().any(|outcome| outcome.deed.is_ok());
        return match &outlook.ways[0].deed {
            Err(refusal) if !works => Err(anyhow!("deploy: no way works here; now: {refusal}")),
            _ => Ok(ExitCode::Expected),
        };
    };
    let mut outcomes = outlook.ways.iter();
    let outcome = outcomes
        .find(|outcome| outcome.way == way)
        .context("a way without an outcome")?;
    let deed = match &outcome.deed {
        // (A machine that is looked at from another has no command of its own.)
        Ok(Deed::Hooks(_)) if args.image.is_some() && args.root.is_none() => {
            bail!("--image: the hook starts the image inside this command; allowed: no --image")
        }
        Ok(deed) => deed,
        Err(refusal) => bail!("deploy {}: {refusal}", way.name()),
    };
    if !args.yes && !args.start {
        stdout::print(&told(&outlook, Some(way), &args.plan.0))?;
        return Ok(ExitCode::Expected);
    }
    match deed {
        Deed::Load(load) => loaded(load, way, args),
        Deed::Hooks(_) if args.start => {
            bail!("--start: hooks are written, not started; allowed: --yes")
        }
        Deed::Hooks(written) => hooks::write(written),
    }
}

/// How this command is called.
fn myself() -> String {
    let file = std::env::current_exe();
    file.map_or_else(|_| "stalecore".into(), |file| file.display().to_string())
}

/// What there is to say before anything is done.
fn told(outlook: &Outlook, only: Option<Way>, plan: &Options) -> String {
    let mut text = String::new();
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    outlook.machine.iter().for_each(|line| say(line));
    let shown = |outcome: &&Outcome| only.is_none_or(|way| way == outcome.way);
    for outcome in outlook.ways.iter().filter(shown) {
        let name = outcome.way.name();
        say("");
        match &outcome.deed {
            Err(refusal) => say(&format!("{name}: cannot be done: {refusal}")),
            Ok(deed) => {
                say(&format!("{name}: can be done, {}", outcome.way.about()));
                for line in details(deed, plan) {
                    say(&format!("  {line}"));
                }
                for warning in &outcome.warns {
                    say(&format!("  but: {warning}"));
                }
                say(&format!(
                    "  do it: {}",
                    with_yes(std::env::args().collect(), outcome.way, only)
                ));
            }
        }
    }
    say("\nNothing was changed.");
    text
}

fn details(deed: &Deed, plan: &Options) -> Vec<String> {
    // (Behind a kernel it draws only where it is told to.)
    let draws = matches!(plan.framebuffer, Choice::On | Choice::At(_));
    let but = match (plan.ramoops, draws) {
        (false, false) => "",
        (true, false) => ", but for its log",
        (false, true) => ", but for the screen",
        (true, true) => ", but for its log and the screen",
    };
    match deed {
        Deed::Load(load) => {
            let image = load.image();
            let mut lines = vec![format!(
                "the image goes to {:#x}, {} MiB; its command line: {}",
                image.base,
                image.size >> 20,
                load.bootargs
            )];
            lines.extend(load.next.iter().map(|next| {
                format!(
                    "the next kernel, its tree and ramdisk go to {:#x}, {} MiB",
                    next.base,
                    next.size >> 20
                )
            }));
            lines.extend(load.usable.iter().map(|range| {
                format!(
                    "it writes nothing outside {:#x} to {:#x}{but}",
                    range.base,
                    range.end()
                )
            }));
            lines
        }
        Deed::Hooks(hooks) => {
            let files = hooks
                .edits
                .iter()
                .map(|edit| format!("writes {}", edit.path));
            let next = hooks
                .next
                .iter()
                .map(|next| format!("then, by you: {next}"));
            files.chain(next).collect()
        }
    }
}

/// The command line that does it: this one, with the way, unless it was `given`, and `--yes`.
fn with_yes(mut words: Vec<String>, way: Way, given: Option<Way>) -> String {
    let at = words.iter().position(|word| word == "deploy");
    if let Some(at) = at.filter(|_| given.is_none()) {
        words.insert(at + 1, way.name().into());
    }
    words.push("--yes".into());
    shell::quoted(&words)
}

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
fn loaded(load: &Load, way: Way, args: &Args) -> anyhow::Result<ExitCode> {
    use stalecore_live::kexec::{self, Piece};
    let pieces: Vec<_> = load
        .pieces
        .iter()
        .map(|piece| Piece {
            bytes: &piece.bytes,
            base: piece.region.base,
            size: piece.region.size,
        })
        .collect();
    let crash = way == Way::Crash;
    ensure!(
        !(crash && args.start),
        "--start: a crash kernel is started by a crash; allowed: --yes"
    );
    kexec::load(&pieces, load.entry, crash).context("deploy: kexec_load")?;
    if args.start {
        return Err(kexec::start()).context("deploy: it is loaded, but cannot be started");
    }
    let then = match crash {
        true => {
            "loaded: the next crash starts it. kdump-config load, or kdumpctl restart, puts the \
             kernel back that saves dumps"
        }
        false => "loaded; start it with: systemctl kexec (or, with nothing shut down, kexec -e)",
    };
    let read = match args.plan.0.ramoops {
        true => "\nafter the reset: stalecore read /sys/fs/pstore",
        false => "",
    };
    stdout::print(&format!("{then}{read}\n"))?;
    Ok(ExitCode::Expected)
}

#[cfg(not(all(target_arch = "aarch64", target_os = "linux")))]
fn loaded(_: &Load, _: Way, _: &Args) -> anyhow::Result<ExitCode> {
    bail!("deploy: only on aarch64 Linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_comes_back_unless_it_was_told_not_to() {
        use clap::Parser;
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        for (words, then) in [
            ("", Then::Reset),
            ("--preset first-light", Then::Reset),
            ("--preset kdump --ops all", Then::Reset),
            ("--preset all --then off", Then::Off),
            ("--then kexec", Then::Kexec),
        ] {
            let words = ["deploy"].into_iter().chain(words.split_ascii_whitespace());
            let plan = Cli::try_parse_from(words).ok().unwrap().args.plan.0;
            assert_eq!(plan.then, then);
            let again = Options::from_bootargs(&plan.to_bootargs());
            assert_eq!(again.map(|options| options.then), Ok(then));
        }
    }

    #[test]
    fn the_line_that_does_it_has_the_same_words() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        for (line, given, does) in [
            ("stalecore deploy", None, "stalecore deploy crash --yes"),
            (
                "stalecore deploy --append crash",
                None,
                "stalecore deploy crash --append crash --yes",
            ),
            (
                "stalecore deploy --append now crash",
                Some(Way::Crash),
                "stalecore deploy --append now crash --yes",
            ),
        ] {
            assert_eq!(with_yes(words(line), Way::Crash, given), does);
        }
    }
}
