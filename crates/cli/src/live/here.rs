//! On aarch64 Linux: the plan for this machine's CPUs, and the harness that runs it.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use clap::{CommandFactory, FromArgMatches};
use stalecore_live::{Config, Flight, Left, allowed, may_fifo, scope, start};
use stalecore_model::{
    cpuset::CpuSet,
    errata,
    exit::ExitCode,
    glossary::Verdict,
    options::{Auto, CaseNumbers, Options, Sentinel},
    plan::{Plan, Roles},
    record::CaseRecord,
    run::Run,
    shell,
};

use super::Args;
use crate::{
    Cli,
    run::{
        OutputArgs,
        args::as_flag,
        conclude, dry, interrupt,
        judge::Ending,
        limits::Limits,
        outdir::OutDir,
        pace::{self, Pace},
        progress::Progress,
        resume,
        session::{self, Session},
        watch::{self, Stop},
        width,
    },
    serial, stderr, stdout, store,
};

/// How long the harness may take to end once its console is closed, or it is killed: a
/// thread in an instruction that does not return never does.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// So many cases get the depth sweep, as in a run.
const SWEEP_CASES: usize = 100;

/// Fewer CPUs than this have none to spare for the thread that watches.
const ENOUGH: usize = 3;

/// A run that did not end.
struct Earlier {
    run: Run,
    left: Option<Left>,
}

/// Runs the plan and gives the exit code.
///
/// # Errors
/// What keeps it from being run, or its results from being saved.
pub fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    let earlier = args.resume.clone();
    if let Some(dir) = &earlier {
        args = as_begun(dir, args)?;
    }
    let cpus = allowed().map_err(|error| anyhow!(error))?;
    let mut notes = vec![
        "live: threads at EL0 of a running Linux. It cannot show cores that mask interrupts, TLBI, \
         or anything at EL1; a sample may have an interrupt in it; on a virtual machine, the host's \
         turns as well"
            .to_string(),
    ];
    let mut options = args.plan.options.clone();
    let given = &args.plan.given;
    let left_out = scope::narrow(&mut options, given).map_err(|error| anyhow!(error))?;
    Roles::only_allowed(&options, given, &cpus).map_err(|error| anyhow!(as_flag(&error)))?;
    notes.extend(left_out.told());
    let watcher = watcher(&mut options, &cpus, &mut notes);
    let mut whole = plan(&options, &cpus)?;
    let earlier = match &earlier {
        None => None,
        Some(dir) => {
            let earlier = Earlier::read(dir, &whole)?;
            let missing: Vec<_> = earlier.run.missing(&whole).collect();
            if missing.is_empty() || earlier.run.end.is_some() {
                stderr::say(&format!("{}: nothing is missing", dir.display()));
                let code = ExitCode::from_number(earlier.run.exit.into());
                return Ok(code.unwrap_or(ExitCode::Harness));
            }
            options.cases = CaseNumbers::of(missing);
            whole = plan(&options, &cpus)?;
            Some(earlier)
        }
    };
    let plan = whole;
    let skipped = scope::skipped(&plan, scope::why_not_offline());
    // What is skipped takes no time.
    let runs = Pace::of(
        &options,
        &without(&plan, &skipped),
        cpus.len(),
        Duration::ZERO,
    );
    if args.list {
        let text = match args.output.json {
            true => dry::json(&plan, &skipped),
            false => dry::text(&plan, &runs, cpus.len(), &skipped, width()),
        };
        stdout::print(&text)?;
        return Ok(ExitCode::Expected);
    }
    if args.fifo {
        may_fifo().map_err(|error| {
            anyhow!(
                "--fifo: this process may not have SCHED_FIFO: {error}; allowed: as root, or with \
                 CAP_SYS_NICE; or without --fifo"
            )
        })?;
    }
    if !args.output.quiet {
        stderr::say(
            "on a machine that blocks this blocks too, and may take the machine down: each case is \
             on the disk before it runs",
        );
    }
    let out = OutDir::open(args.output.out.as_deref())?;
    // It is about to be written over.
    if earlier.is_none()
        && let Some(left) = unfinished(out.path())
    {
        stderr::say(&left);
        notes.push(left);
    }
    if let Some(Earlier {
        left: Some(left), ..
    }) = &earlier
    {
        let text = format!(
            "in flight when the run before broke off, and not run again: {}",
            left.what
        );
        stderr::say(&text);
        notes.push(text);
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let run = Run {
        machine_command: vec![format!("threads on CPUs {cpus}")],
        host: format!("live, Linux {}", release.trim()),
        ..session::begun()
    };
    let log = match &earlier {
        None => {
            out.save(&run)?;
            // What --resume goes on with, should the machine go down.
            let saved = fs::File::open(out.path().join(store::FILE));
            saved.and_then(|saved| saved.sync_all())?;
            out.console(0)?
        }
        Some(earlier) => out.console(earlier.run.console_bytes)?,
    };
    let pace = Pace::of(&options, &plan, cpus.len(), Duration::ZERO);
    let asked = args.timeout.map(|s| Duration::from_secs(s.into()));
    let mut limits = Limits::of(&options, &plan, cpus.len(), Duration::ZERO, asked);
    // A thread that Linux does not run is waited for.
    limits.silence = limits
        .silence
        .max(Duration::from_millis(plan.deadline_ms.into()) * 15);
    limits.look = None;
    let config = Config {
        allowed: cpus,
        watcher,
        fifo: args.fifo,
        dir: out.path().to_path_buf(),
        notes,
        options,
        plan,
    };
    let begun = Instant::now();
    // While there is one thread.
    let (mut harness, console) = start(config).context("live: no process for the harness")?;
    let progress = Progress::new(args.output.quiet, args.output.verbose, "starting", pace);
    let mut session = Session::new(run, log, progress);
    session.keep_on_disk();
    interrupt::install()?;
    if !args.output.quiet {
        let time = runs.whole().map(pace::about);
        let time = time.map_or("all skipped".into(), |time| format!("about {time}"));
        stderr::say(&format!("{}, {time}", pace.size()));
    }
    let stop = watch::watch(&watch::read(console), limits, &mut session, None);
    session.finish();
    session.run.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = match stop {
        Stop::Closed | Stop::LastLine => harness.wait(LAST_BREATH)?,
        _ => None,
    };
    if harness.end(LAST_BREATH) {
        // Somebody wanted that; nothing was at fault, and what was in flight may run again.
        if matches!(stop, Stop::Interrupted) {
            Flight::end(out.path())?;
        }
    } else {
        session.run.notes.push(
            "host: the harness could not be ended: a CPU is in an instruction that does not return, \
             or one does not come back online; the machine has to be reset"
                .into(),
        );
    }
    if let Some(earlier) = earlier {
        join(&mut session, earlier.run)?;
    }
    session.run.emulated = match stalecore_live::is_user_mode() {
        true => Some(true),
        false => serial::is_emulated(&session.run),
    };
    let ending = Ending {
        status: status.map(ExitStatus::from_raw),
        program: "the harness",
        semihosting: true,
        ..Ending::of(stop, &mut session)
    };
    conclude::conclude(session, &ending, None, &out, &args.output)
}

/// What these options make on these CPUs.
fn plan(options: &Options, cpus: &CpuSet) -> anyhow::Result<Plan> {
    let last = cpus.highest().context("no CPU may be used")?;
    let machine = errata::Machine::default();
    let mut plan =
        Plan::among(options, last + 1, cpus, &machine).map_err(|error| anyhow!(as_flag(&error)))?;
    if options.sweep == Auto::Auto {
        plan.sweep = plan.len() <= SWEEP_CASES;
    }
    Ok(plan)
}

/// A plan without the cases that are skipped.
fn without(plan: &Plan, skipped: &[dry::Skipped]) -> Plan {
    let mut runs = plan.clone();
    let skipped: BTreeSet<_> = skipped.iter().map(|(number, _, _)| number).collect();
    for group in &mut runs.groups {
        group.cases.retain(|case| !skipped.contains(&case.number));
    }
    runs.groups.retain(|group| !group.cases.is_empty());
    runs
}

/// The CPU for the thread that watches: the highest, which has no other role where there
/// are enough.
fn watcher(options: &mut Options, cpus: &CpuSet, notes: &mut Vec<String>) -> usize {
    match options.sentinel {
        Sentinel::Cpu(cpu) => cpu,
        Sentinel::Auto if cpus.len() >= ENOUGH => {
            let named = options
                .stale_cpus
                .unwrap_or_default()
                .union(&options.initiators);
            let free = cpus.difference(&named).highest();
            let cpu = free.or(cpus.highest()).unwrap_or(0);
            if free.is_none() {
                options.sentinel = Sentinel::Off;
            }
            cpu
        }
        Sentinel::Auto | Sentinel::Off => {
            options.sentinel = Sentinel::Off;
            let cpu = cpus.difference(&options.initiators).highest().unwrap_or(0);
            notes.push(format!(
                "live: the thread that watches shares CPU {cpu} with a stale one"
            ));
            cpu
        }
    }
}

/// What a run that did not end has left, in this directory or in the one before.
fn unfinished(dir: &Path) -> Option<String> {
    let number = dir.file_name()?.to_str()?.parse::<u32>().ok();
    let before = number
        .and_then(|number| number.checked_sub(1))
        .map(|before| dir.with_file_name(before.to_string()));
    let dirs = std::iter::once(dir.to_path_buf()).chain(before);
    dirs.filter_map(|dir| Left::read(&dir).map(|left| (dir, left)))
        .map(|(dir, left)| {
            let dir = dir.display();
            match left.blocked {
                true => format!("the run before, in {dir}, did not get past {}", left.what),
                false => format!(
                    "the run before, in {dir}, did not end; in flight was {} (stalecore live \
                     --resume {dir} goes on behind it)",
                    left.what
                ),
            }
        })
        .next()
}

/// The arguments that a run was begun with; where its results go, and how they are told,
/// is as they say now.
fn as_begun(dir: &Path, now: Args) -> anyhow::Result<Args> {
    let name = || format!("--resume: {}", dir.display());
    let run = store::read(dir).with_context(name)?;
    ensure!(
        run.command.get(1).is_some_and(|word| word == "live"),
        "{}: {} made it; allowed: what stalecore live made",
        name(),
        shell::quoted(&run.command)
    );
    let command = Cli::command();
    let live_s = command.find_subcommand("live").context("live")?;
    let before = resume::matches(live_s, run.command.iter().skip(2).map(OsString::from))
        .map_err(|error| anyhow!("{}: its own command cannot be read: {error}", name()))?;
    let before = Args::from_arg_matches(&before)?;
    Ok(Args {
        output: OutputArgs {
            expect: now.output.expect.or(before.output.expect),
            out: Some(dir.to_path_buf()),
            ..now.output
        },
        list: now.list,
        timeout: now.timeout.or(before.timeout),
        ..before
    })
}

impl Earlier {
    /// Reads it, with a result for the case that was in flight.
    fn read(dir: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let mut run = store::read(dir)?;
        if run.end.is_none() {
            resume::from_console(dir, &mut run);
        }
        let left = Left::read(dir);
        let mut cases = plan.groups.iter().flat_map(|group| &group.cases);
        if let Some(left) = &left
            && let Some(case) = cases.find(|case| Some(case.number as u32) == left.case)
            && !run.cases.iter().any(|had| had.n as usize == case.number)
        {
            let verdict = match left.blocked {
                true => Verdict::Blocked,
                false => Verdict::Inconclusive,
            };
            let why = format!(
                "in flight when the run broke off, and not run again: {}",
                left.what
            );
            run.cases.push(CaseRecord::blank(case, verdict, Some(why)));
        }
        Ok(Self { run, left })
    }
}

/// Puts what came before to what has been read now.
fn join(session: &mut Session, mut before: Run) -> anyhow::Result<()> {
    let cases = before.cases.len();
    let later = std::mem::take(&mut session.run);
    before.notes.retain(|note| !later.notes.contains(note));
    session.run = before
        .resumed(later)
        .map_err(|error| anyhow!("--resume: {error}"))?;
    if session.run.end.is_some() {
        session.tree_cases += cases as u32;
    }
    session.run.cases.sort_by_key(|case| case.n);
    Ok(())
}
