//! `stalecore live`: the command for aarch64 Linux, in QEMU's user mode. There the plan's
//! threads run on this host's CPUs, of which there may be few.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    glossary::{StaleState, Verdict},
    record::{Maker, SCHEMA},
    run::Run,
};
use tempfile::TempDir;

use crate::{
    dist::built,
    fake::{Ended, stalecore},
    host::{Busy, Shares, of},
    starved::stalls,
};

/// The command in user mode, into this directory.
fn live(dir: &Path, qemu: &[&str], args: &str) -> Command {
    let mut command = Command::new("qemu-aarch64");
    command
        .args(qemu)
        .arg(built("aarch64-linux/stalecore"))
        .arg("live")
        .args(args.split_whitespace())
        .arg("--out")
        .arg(dir.join("out"))
        .stdin(Stdio::null());
    command
}

fn saved(dir: &Path) -> Run {
    let bytes = fs::read(dir.join("out/run.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A directory, and room for the threads of a run.
fn place() -> (TempDir, Shares) {
    (tempfile::tempdir().unwrap(), of(8))
}

fn has_note(run: &Run, part: &str) -> bool {
    run.notes.iter().any(|note| note.contains(part))
}

/// Alone on the first two CPUs, where this process may use them.
fn spare() -> bool {
    thread::available_parallelism().is_ok_and(|n| n.get() >= 2)
}

#[test]
fn elsewhere_it_says_why_not_in_one_line() {
    let ended = Ended::of(stalecore().arg("live"));
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["live: this is", "allowed: aarch64 Linux"]);
}

#[test]
fn a_plan_runs_and_is_told_as_everywhere() {
    let (dir, _shares) = place();
    let args = "--ops none,ic-ivau,flush-icache-range,tlbi-vmalle1is --stale parked,spin,wfe,\
                branch-self,dmb-loop,ldxr-stxr,ticket-lock,qspinlock,lock-holder,prfm-storm,\
                ifetch-storm,ic-storm,mmu-off --samples 32";
    let ended = Ended::of(&mut live(dir.path(), &[], args));
    assert_eq!(ended.code, if spare() { 0 } else { 6 }, "{ended:?}");
    assert!(ended.err.contains("may take the machine down"), "{ended:?}");
    let run = saved(dir.path());
    assert_eq!((run.schema, run.emulated), (SCHEMA, Some(true)));
    assert_eq!(run.cases.len(), 13 * 4);
    assert_eq!(run.garbled, 0);
    assert!(run.lost.is_empty());
    let json = serde_json::to_value(&run).unwrap();
    let schema = include_str!("../../docs/run.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let errors: Vec<_> = jsonschema::draft202012::new(&schema)
        .unwrap()
        .iter_errors(&json)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    for name in ["console.log", "junit.xml", "report.html"] {
        assert!(dir.path().join("out").join(name).exists(), "{name}");
    }
    for part in ["cannot show", "samples dropped: ", "CTR_EL0"] {
        assert!(has_note(&run, part), "{part}: {:?}", run.notes);
    }
    for case in &run.cases {
        let skipped = case.op.to_string() == "tlbi-vmalle1is" || case.state == StaleState::MmuOff;
        let alone = !spare() && case.state != StaleState::Parked;
        let verdict = if skipped || alone {
            Verdict::Skipped
        } else {
            Verdict::Completed
        };
        // On a busy host a case may be later than another, and that is true.
        let late = case.verdict == Verdict::Slowed && verdict == Verdict::Completed;
        assert!(late || case.verdict == verdict, "{case:?}");
    }
    // Nothing is in flight any more.
    assert!(!dir.path().join("out/in-flight").exists());
    // Who has the log alone is not told of silicon.
    let mut read = stalecore();
    read.arg("read").arg(dir.path().join("out/console.log"));
    read.arg("--out").arg(dir.path().join("read"));
    let read = Ended::of(&mut read);
    assert_eq!(read.code, ended.code, "{read:?}");
    let json = fs::read(dir.path().join("read/run.json")).unwrap();
    let read: Run = serde_json::from_slice(&json).unwrap();
    assert_eq!(read.emulated, Some(true), "{:?}", read.machine);
}

#[test]
fn what_only_the_image_has_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    for (args, parts) in [
        (
            "--preset errata",
            ["--preset: ", "allowed: first-light, all"],
        ),
        ("--preset kdump", ["--preset: ", "has kdump"]),
        ("--witness on", ["--witness: ", "allowed: stalecore run"]),
        ("--recorder off", ["--recorder: ", "allowed: stalecore run"]),
        ("--kernel 6.1", ["--kernel: ", "allowed: stalecore run"]),
        (
            "--watchdog-thresh 5s",
            ["--watchdog-thresh: ", "allowed: stalecore run"],
        ),
        (
            "--device-stuck-at 0x9000000",
            ["--device-stuck-at: ", "allowed: stalecore run"],
        ),
    ] {
        let ended = Ended::of(&mut live(dir.path(), &[], args));
        assert_eq!(ended.code, 2, "{args}: {ended:?}");
        ended.one_line(&parts);
    }
    assert!(!dir.path().join("out").exists());
    let listed = Ended::of(&mut live(dir.path(), &[], "--list --preset first-light"));
    assert_eq!(listed.code, 0, "{listed:?}");
}

#[test]
fn a_list_says_what_is_skipped_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let args = "--list --ops none,tlbi-vmalle1is --stale parked,cpu-off";
    let listed = Ended::of(&mut live(dir.path(), &[], args));
    assert_eq!(listed.code, 0, "{listed:?}");
    for part in [
        "4 cases in 2 groups",
        "Skipped are 3 of 4 cases:",
        "  tlbi-vmalle1is: EL0 may not execute it",
        // Although this may be root.
        "  cpu-off: in QEMU's user mode",
    ] {
        assert!(listed.out.contains(part), "{part}: {}", listed.out);
    }
    let none = Ended::of(&mut live(dir.path(), &[], "--list --stale mmu-off"));
    assert!(none.out.contains("only EL1 stages it"), "{}", none.out);
    assert!(!none.out.contains("about"), "{}", none.out);
}

/// A command of [`live`], begun by another program.
fn by(program: &str, args: &[&str], inner: &Command) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .arg(inner.get_program())
        .args(inner.get_args());
    command
}

#[test]
fn fifo_that_is_not_allowed_is_found_out_first() {
    let dir = tempfile::tempdir().unwrap();
    let inner = live(dir.path(), &[], "--fifo --ops none --stale parked");
    // Nobody's right, and no limit that gives it.
    let lacks: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["--rtprio=0", "setpriv", "--bounding-set=-sys_nice"],
        false => &["--rtprio=0"],
    };
    let ended = Ended::of(&mut by("prlimit", lacks, &inner));
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&[
        "--fifo: ",
        "Operation not permitted",
        "CAP_SYS_NICE; or without --fifo",
    ]);
    assert!(!dir.path().join("out").exists());
}

#[test]
fn a_cpu_that_was_named_and_may_not_be_used_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["initiators", "stale-cpus", "sentinel"] {
        let inner = live(dir.path(), &[], &format!("--list --{flag} 1"));
        let ended = Ended::of(&mut by("taskset", &["-c", "0"], &inner));
        assert_eq!(ended.code, 2, "{ended:?}");
        ended.one_line(&[&format!("--{flag}: CPU 1 may not be used here; allowed: 0")]);
    }
}

#[test]
fn the_controls_are_found() {
    let (dir, _shares) = place();
    if !spare() {
        return;
    }
    let plan = "--ops none,selftest-slow,selftest-stale --stale spin";
    let ended = Ended::of(&mut live(dir.path(), &[], plan));
    assert_eq!(ended.code, 5, "{ended:?}");
    let run = saved(dir.path());
    let found: Vec<_> = run
        .cases
        .iter()
        .map(|case| (case.verdict, case.by))
        .collect();
    let made = Some(Maker::SelfTest);
    assert_eq!(
        found,
        [
            (Verdict::Completed, None),
            (Verdict::Slowed, made),
            (Verdict::Incoherent, made)
        ]
    );
}

#[test]
fn a_block_is_told_and_the_next_start_knows_of_it() {
    let (dir, _shares) = place();
    let plan = "--ops ic-ivau,selftest-hang --stale parked --deadline-ms 700 -q";
    let ended = Ended::of(&mut live(dir.path(), &[], plan));
    assert_eq!(ended.code, 4, "{ended:?}");
    let run = saved(dir.path());
    assert_eq!(run.blocks.len(), 1);
    let block = &run.blocks[0];
    assert_eq!(
        (block.n, block.initiator),
        (2, run.plan.unwrap().initiators.lowest().unwrap() as u32)
    );
    assert!(block.ladder.iter().all(|rung| !rung.released), "{block:?}");
    assert!(has_note(
        &Run {
            notes: run.notes,
            ..Run::default()
        },
        "not even by SIGKILL"
    ));
    let again = Ended::of(&mut live(dir.path(), &[], "--ops none --stale parked"));
    assert!(again.err.contains("did not get past"), "{again:?}");
    assert!(
        again.err.contains("case 2, selftest-hang under parked"),
        "{again:?}"
    );
    assert!(again.err.contains("stood still"), "{again:?}");
}

#[test]
fn an_instruction_that_does_not_return_is_a_block() {
    let (dir, _shares) = place();
    let plugin = stalls(dir.path(), &["--cfg", "user"]);
    let plugin = plugin.to_str().unwrap();
    let plan = "--ops ic-ivau --stale parked --samples 20000 --sweep off --deadline-ms 700";
    let ended = Ended::of(&mut live(dir.path(), &["-plugin", plugin], plan));
    assert_eq!(ended.code, 4, "{ended:?}");
    let run = saved(dir.path());
    let block = &run.blocks[0];
    assert_eq!(block.instruction, "ic ivau");
    assert!(
        block.address.is_some() && block.waited_ms >= 700,
        "{block:?}"
    );
}

/// Until its plan's second case is in flight.
fn started(dir: &Path, args: &str) -> Child {
    let mut command = live(dir, &[], args);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = dir.join("out/in-flight");
    let begun = Instant::now();
    while !fs::read_to_string(&file).is_ok_and(|text| text.starts_with("case 2,")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "never in flight");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_run_that_was_killed_is_gone_on_with_behind_what_was_in_flight() {
    let (dir, _shares) = place();
    let plan = "--ops none,selftest-slow,ic-ivau --stale parked --samples 20000 --sweep off";
    let mut child = started(dir.path(), plan);
    child.kill().unwrap();
    child.wait().unwrap();
    let out: PathBuf = dir.path().join("out");
    let mut command = Command::new("qemu-aarch64");
    command
        .arg(built("aarch64-linux/stalecore"))
        .args(["live", "--resume"])
        .arg(&out)
        .stdin(Stdio::null());
    let ended = Ended::of(&mut command);
    assert!(ended.err.contains("case 2, selftest-slow"), "{ended:?}");
    assert_eq!(ended.code, 6, "{ended:?}");
    let run = saved(dir.path());
    let mut cases: Vec<_> = run
        .cases
        .iter()
        .map(|case| (case.n, case.verdict))
        .collect();
    cases.sort_by_key(|(n, _)| *n);
    assert_eq!(
        cases,
        [
            (1, Verdict::Completed),
            (2, Verdict::Inconclusive),
            (3, Verdict::Completed)
        ]
    );
    let why = run
        .cases
        .iter()
        .find(|case| case.n == 2)
        .unwrap()
        .why
        .as_deref();
    assert!(why.unwrap().contains("in flight"), "{why:?}");
    assert!(!out.join("in-flight").exists());
}

#[test]
fn what_ctrl_c_has_ended_was_not_at_fault() {
    let (dir, _shares) = place();
    let plan = "--ops none,selftest-slow --stale parked --samples 20000 --sweep off";
    let mut child = started(dir.path(), plan);
    let asked = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(!dir.path().join("out/in-flight").exists());
    assert!(saved(dir.path()).end.is_none());
}

#[test]
fn what_was_preempted_is_dropped_and_counted() {
    let (dir, _shares) = place();
    let _busy = Busy::new(1, &["taskset", "-c", "0", "yes"]);
    let plan = "--ops selftest-slow --stale parked,spin --samples 2000 --sweep off";
    let ended = Ended::of(&mut live(dir.path(), &[], plan));
    assert!([0, 6].contains(&ended.code), "{ended:?}");
    let run = saved(dir.path());
    let note = run
        .notes
        .iter()
        .find(|note| note.contains("samples dropped"));
    let dropped = note.unwrap().split("dropped: ").nth(1).unwrap();
    let dropped: u32 = dropped.split(' ').next().unwrap().parse().unwrap();
    if spare() {
        assert!(dropped > 0, "{note:?}");
    }
}

#[test]
fn cpusets_are_honoured() {
    let (dir, _shares) = place();
    let inner = live(dir.path(), &[], "--ops none --stale parked,spin");
    let ended = Ended::of(&mut by("taskset", &["-c", "0"], &inner));
    let run = saved(dir.path());
    assert_eq!(run.machine.unwrap().cpus, 1, "{}", ended.err);
    assert_eq!(run.plan.unwrap().initiators.to_string(), "0");
    let spin = run.cases.iter().find(|case| case.state == StaleState::Spin);
    assert_eq!(spin.unwrap().verdict, Verdict::Skipped);
}
