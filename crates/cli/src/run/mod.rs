//! `stalecore run`: boots the image in QEMU, reads what it reports, and says
//! what that means. `stalecore serial` and `read` use the parts that read and judge
//! a console.

mod answer;
pub mod args;
mod boot;
mod child;
mod coherence;
pub mod conclude;
mod core_file;
pub mod dry;
mod dwells;
pub mod figures;
mod findings;
#[cfg(test)]
mod hostile_tests;
pub mod interrupt;
pub mod judge;
mod kvm;
pub mod limits;
mod machine;
pub mod outdir;
pub mod pace;
mod parts;
pub mod progress;
mod qemu;
mod qmp;
mod repeat;
pub mod resume;
mod scratch;
pub mod session;
mod show;
mod silence;
mod steps;
mod table;
mod tcg;
mod threads;
pub mod watch;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::ExitStatus,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use stalecore_model::{console::printable, exit::ExitCode, plan::Plan, run::Run, shell, words};

pub use args::{Args, OutputArgs, PlanArgs, seconds};
use coherence::Checker;
use core_file::CoreFile;
use judge::Ending;
use limits::Limits;
use machine::{Accel, Launch};
use outdir::OutDir;
use pace::Pace;
use parts::Part;
use progress::Progress;
use qemu::Qemu;
use resume::{Earlier, Resume};
use scratch::Scratch;
use session::Session;
pub use show::width;
use silence::Lookout;
pub use table::fold;
use threads::Threads;
use watch::Stop;

use crate::{stderr, stdout};

/// How long the emulator may take to end once its console is closed.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// Firmware usually takes this part of the time that it is given.
const FIRMWARE_SHARE: u32 = 12;

/// How many of the emulator's complaints are kept.
const COMPLAINTS: usize = 20;

/// Runs the image and gives the exit code.
///
/// # Errors
/// What keeps the run from being started, or its results from being saved.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(times) = args.repeat.filter(|_| !args.list) {
        return repeat::run(args, times.into());
    }
    let Some(dir) = args.resume.clone() else {
        return begin(&args, None);
    };
    let quiet = args.output.quiet;
    match resume::begin(&dir, args)? {
        Resume::On(args, earlier) => begin(&args, Some(*earlier)),
        Resume::Over(code, text) => Ok(resume::over(code, &text, quiet)),
    }
}

/// Runs, or goes on with what an earlier run lacks.
fn begin(args: &Args, mut earlier: Option<Earlier>) -> anyhow::Result<ExitCode> {
    let machine = &args.machine;
    let mut options = args.options();
    let deadline_ms = tcg::deadline_ms(machine.tcg_thread, &options, machine.cpus);
    let deadline_ms = deadline_ms.map_err(|e| anyhow!(e))?;
    options.deadline_ms = options.deadline_ms.or(deadline_ms);
    let plan = parts::plan(args, &options).map_err(|e| anyhow!(args::as_flag(&e)))?;
    args.check().map_err(|e| anyhow!(e))?;
    let firmware = args.boot.patience(machine.cpus) / FIRMWARE_SHARE;
    let whole = Part::whole(args, options, plan, firmware).map_err(|e| anyhow!(e))?;
    if args.list {
        let text = match args.output.json {
            true => dry::json(&whole.plan, &[]),
            false => dry::text(&whole.plan, &whole.pace, machine.cpus, &[], show::width()),
        };
        stdout::print(&text)?;
        return Ok(ExitCode::Expected);
    }
    let (pace, cases) = (whole.pace, whole.plan.len());
    let (first, last) = whole.split(args, firmware).map_err(|e| anyhow!(e))?;
    let (begins, mut out) = (Instant::now(), None);
    if let Some(part) = first {
        let mut booted = boot(args, &part, &pace, earlier.take(), None, begins)?;
        if !booted.is_over(&part.plan) {
            if interrupt::asked() {
                resume::is_part(&mut booted.session.run, cases);
                booted.ending.stop = Stop::Interrupted;
            }
            return booted.conclude(args);
        }
        let before = Earlier::part(booted.session.run, cases, &booted.out)?;
        (earlier, out) = (Some(before), Some(booted.out));
    }
    boot(args, &last, &pace, earlier, out, begins)?.conclude(args)
}

/// A machine that has run and ended.
struct Booted {
    session: Session,
    ending: Ending,
    core: Option<CoreFile>,
    out: OutDir,
}

impl Booted {
    /// Did all go well, so that nothing of it need be told before a further boot?
    fn is_over(&self, plan: &Plan) -> bool {
        let run = &self.session.run;
        run.end.is_some()
            && run.missing(plan).next().is_none()
            && judge::judge(run, &self.ending, None).problem.is_none()
            && self.session.log_failed.is_none()
            && !interrupt::asked()
    }

    fn conclude(self, args: &Args) -> anyhow::Result<ExitCode> {
        let core = self.core.as_ref();
        conclude::conclude(self.session, &self.ending, core, &self.out, &args.output)
    }
}

/// Boots one part of a run, of which all takes `pace` and began at `begins`, and joins what
/// it finds with what an earlier one has.
fn boot(
    args: &Args,
    part: &Part,
    pace: &Pace,
    earlier: Option<Earlier>,
    out: Option<OutDir>,
    begins: Instant,
) -> anyhow::Result<Booted> {
    let Part {
        options,
        plan,
        threads,
        ..
    } = part;
    let machine = &args.machine;
    let further = out.is_some();
    let timeout = args.timeout.map(|s| Duration::from_secs(s.into()));
    // What an earlier boot has left of it.
    let spent = match further {
        true => begins.elapsed(),
        false => Duration::ZERO,
    };
    let timeout = timeout.map(|all| all.saturating_sub(spent));
    let mut firmware = args.boot.patience(machine.cpus);
    if args.check_coherence.is_some() {
        // Each access is looked at: everything takes several times as long.
        firmware = 4 * firmware + Duration::from_secs(60);
    }
    let limits = Limits::of(options, plan, machine.cpus, firmware, timeout);
    let scratch = Scratch::new().context("temporary directory")?;
    let monitor = scratch.path().join("qmp");
    let bootargs = options.to_bootargs();
    let boots = args.boot.prepare(machine, &bootargs, scratch.path())?;
    let checker = args
        .check_coherence
        .as_ref()
        .map(|asked| Checker::find(asked, args.boot.image.as_deref(), scratch.path()))
        .transpose()?;
    let qemu = match &checker {
        None => Qemu::find(args.qemu.as_deref())?,
        Some(_) => coherence::qemu(args.qemu.as_deref())?,
    };
    let mut words = machine.arguments(&Launch {
        boot: &boots,
        monitor: &monitor,
        threads: threads.as_ref().map(|choice| choice.threads),
        icount: options.icount,
        semihosting: options.semihosting,
    });
    words.extend(checker.iter().flat_map(Checker::words));
    let core = args.core.as_deref();
    let core = core.map(|path| CoreFile::new(path, machine.mem));
    let core = core.transpose()?;
    let image = args.boot.fingerprint(scratch.path())?;
    if let Some(earlier) = &earlier {
        earlier.booted(&image)?;
    }
    let out = out.map_or_else(|| OutDir::open(args.output.out.as_deref()), Ok)?;
    let run = Run {
        image,
        machine_command: machine::as_text(&qemu.program, &words),
        host: format!("qemu {} ({})", qemu.version, machine.accel.name()),
        emulated: Some(machine.accel == Accel::Tcg),
        tcg_thread: threads.as_ref().map(|choice| choice.threads),
        made_by: args.makers(),
        ..session::begun()
    };
    // Before the machine starts, so that a directory that cannot be written is
    // found now, and a host that is killed leaves what it knew.
    let log = match &earlier {
        None => {
            out.save(&run)?;
            out.console(0)?
        }
        Some(earlier) => out.console(earlier.run.console_bytes)?,
    };
    let doing = args.boot.begins();
    let verbose = args.output.verbose;
    let progress = Progress::new(args.output.quiet, verbose, doing, part.pace);
    let mut session = Session::new(run, log, progress);
    interrupt::install()?;
    if !args.output.quiet {
        stderr::say(&shell::quoted(&session.run.machine_command));
        if !further {
            let time = pace.whole().map(pace::about).unwrap_or_default();
            stderr::say(&format!("{}, about {time}", pace.size()));
        }
        if part.pace.cases() < pace.cases() {
            let nth = if further { 2 } else { 1 };
            stderr::say(&format!("boot {nth} of 2: {}", part.pace.size()));
        }
        if let Some(choice) = threads {
            let (how, why) = (choice.threads.words(), &choice.why);
            stderr::say(&format!("QEMU runs {how}: {why}"));
        }
    }
    let mut lookout = Lookout {
        monitor: &monitor,
        scratch: scratch.path(),
        out: out.path(),
        options,
        plan,
        cpus: machine.cpus,
        marks: BTreeMap::new(),
        core,
    };
    let machine = Machine {
        program: &qemu.program,
        words: &words,
        monitor: &monitor,
        pinned: machine.accel == Accel::Kvm,
        clocked: !options.icount,
    };
    let mut ending = machine.boot(limits, &mut lookout, &mut session)?;
    ending.semihosting = options.semihosting;
    ending.unchecked = checker.and_then(|checker| checker.take(&mut session.run).err());
    let odd = what_was_odd(&session.run, &ending, &args.machine.el);
    session.run.notes.extend(odd);
    if let Some(earlier) = earlier {
        earlier.join(&mut session, &out)?;
    }
    let core = lookout.core;
    Ok(Booted {
        session,
        ending,
        core,
        out,
    })
}

/// The machine, about to be started.
struct Machine<'a> {
    program: &'a Path,
    words: &'a [OsString],
    monitor: &'a Path,
    /// Does it wait until its CPUs are pinned?
    pinned: bool,
    /// Does its time go on while its CPUs do not run?
    clocked: bool,
}

impl Machine<'_> {
    /// Starts the machine, reads its console to the end, looks into the machine if
    /// the console does not say enough, and leaves nothing of it running.
    fn boot(
        &self,
        limits: Limits,
        lookout: &mut Lookout<'_>,
        session: &mut Session,
    ) -> anyhow::Result<Ending> {
        let begin = Instant::now();
        let (mut child, stdout, stderr) = child::Child::start(self.program, self.words)
            .with_context(|| self.program.display().to_string())?;
        let complaints = complaints(stderr);
        if self.pinned {
            let alive = || matches!(child.wait(Duration::ZERO), Ok(None));
            if let Err(error) = kvm::pin_and_begin(self.monitor, alive) {
                drop(child);
                return Err(match complaints.iter().next() {
                    Some(said) => error.context(format!("QEMU says: {said}")),
                    None => error,
                });
            }
        }
        session.threads = self
            .clocked
            .then(|| Threads::new(child.number(), lookout.cpus));
        let console = watch::read(stdout);
        let mut stop = watch::watch(&console, limits, session, Some(&mut *lookout));
        session.finish();
        session.run.elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        session.tell_lacked(begin.elapsed());
        let silent = matches!(stop, Stop::Silent(_) | Stop::Deadline(_) | Stop::Held(_));
        if session.run.end.is_none() && silent {
            stop = lookout.give_up(stop, &mut session.run);
        }
        let status: Option<ExitStatus> = match stop {
            Stop::Closed => child.wait(LAST_BREATH)?,
            _ => None,
        };
        drop(child);
        let complaints: Vec<_> = complaints.iter().take(COMPLAINTS).collect();
        let notes = complaints.iter().map(|line| format!("QEMU says: {line}"));
        session.run.notes.extend(notes);
        Ok(Ending {
            status,
            complaint: complaints.into_iter().next(),
            ..Ending::of(stop, session)
        })
    }
}

/// Reads the emulator's standard error, and keeps its first lines.
fn complaints(stderr: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(COMPLAINTS);
    thread::spawn(move || {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            // The rest of an endless line comes as further lines.
            match stderr.by_ref().take(1024).read_until(b'\n', &mut line) {
                Ok(n) if n > 0 => {}
                _ => break,
            }
            let text = printable(line.trim_ascii_end());
            if !text.is_empty() {
                // Further ones are still read, but not kept.
                let _ = sender.try_send(text);
            }
        }
    });
    receiver
}

/// Oddities that only the machine's end and its flags show.
fn what_was_odd(run: &Run, ending: &Ending, el: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if matches!(ending.stop, Stop::LastLine) {
        notes.push("host: the machine did not end after its last line, and was stopped".into());
    }
    let entered = run.machine.as_ref().map(|machine| machine.entry_el);
    if let Some(entered) = entered.filter(|entered| entered.to_string() != el) {
        notes.push(format!(
            "host: EL{el} was asked for, the image was entered at EL{entered}"
        ));
    }
    if matches!(ending.stop, Stop::Held(_)) {
        let planned = run.plan.as_ref().map_or(0, |plan| plan.cases);
        notes.push(format!(
            "host: the run ended there, {} of {} {} a result",
            run.cases.len(),
            words::cases(planned as usize),
            words::with(run.cases.len(), "has", "have")
        ));
    }
    notes
}
