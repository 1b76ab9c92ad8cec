//! A run that was broken off, and `run --resume`: every case once, one result.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use stalecore_model::{glossary::Verdict, run::Run};

use crate::{
    consoles::{Console, PLAN, fine, sealed},
    dist::built,
    fake::{Ended, Fake, stalecore},
    host::shares,
    mishaps::{started, until},
};

/// The same plan as [`PLAN`], as boot arguments.
const OPTIONS: &str = "stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe";

/// An emulator that stops after so many of four cases, until there is a file `go`.
fn after(cases: usize) -> Fake {
    let console = fine();
    let cases = console.cases[..cases].concat();
    let text = format!("{}{}{cases}", console.head, console.begin);
    Fake::new(
        sealed(&text),
        "test -f \"${0%/*}/go\" || exec sleep 1000; exit $(cat \"${0%/*}/code\" || echo 0)",
    )
}

/// Such a run of which half is missing, broken off by a signal.
fn broken_off(signal: Signal) -> Fake {
    broken_off_after(2, signal)
}

fn broken_off_after(cases: usize, signal: Signal) -> Fake {
    let fake = after(cases);
    let mut child = started(&fake);
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap();
    until(|| !fake.alive());
    fs::write(fake.path("go"), "").unwrap();
    fake
}

/// From now on the emulator runs what is missing, on a machine with this many cores.
fn goes_on(fake: &Fake, cpus: usize, verdict: Verdict) {
    goes_on_with("3-4", fake, cpus, verdict);
}

fn goes_on_with(cases: &str, fake: &Fake, cpus: usize, verdict: Verdict) {
    let options = format!("{OPTIONS} stalecore.cases={cases}");
    let rest = Console::of(&options, cpus, |_| verdict);
    fs::write(fake.path("console"), rest.text()).unwrap();
}

/// With the emulator and the image that it began with.
fn resumed(fake: &Fake, args: &str) -> Ended {
    let mut command = resuming(fake, &["--qemu", "--image"]);
    Ended::of(command.args(args.split_whitespace()))
}

/// With those of the files that it began with.
fn resuming(fake: &Fake, files: &[&str]) -> Command {
    let mut command = stalecore();
    command.args(["run", "--resume"]).arg(fake.path("out"));
    for flag in files {
        command
            .arg(flag)
            .arg(fake.path(flag.trim_start_matches('-')));
    }
    command
}

fn numbers(run: &Run) -> Vec<u32> {
    run.cases.iter().map(|case| case.n).collect()
}

#[test]
fn what_is_missing_is_run_and_one_result_comes_of_both() {
    for signal in [Signal::INT, Signal::KILL] {
        let fake = broken_off(signal);
        let first = fs::read_to_string(fake.path("out/console.log")).unwrap();
        goes_on(&fake, 4, Verdict::Completed);
        let ended = resumed(&fake, "");
        assert_eq!(ended.code, 0, "{signal:?}: {ended:?}");
        assert!(
            ended.out.starts_with("No: all 4 cases returned"),
            "{ended:?}"
        );
        // It was told what to run.
        assert!(ended.err.contains("stalecore.cases=3-4"), "{ended:?}");
        let run = fake.saved();
        assert_eq!((numbers(&run), run.exit), (vec![1, 2, 3, 4], 0));
        assert_eq!((run.lost.len(), run.garbled, run.restarts), (0, 0, 0));
        let told = "the run was broken off after 2 cases, and resumed with case 3";
        assert!(run.notes.iter().any(|note| note.contains(told)), "{run:?}");
        assert!(!ended.out.contains("the KTAP tree has"), "{ended:?}");
        let both = fs::read_to_string(fake.path("out/console.log")).unwrap();
        assert!(both.starts_with(&first) && both.len() > first.len());
        assert_eq!(run.console_bytes, both.len() as u64);
        let junit = fs::read_to_string(fake.path("out/junit.xml")).unwrap();
        assert!(
            junit.contains("tests=\"5\"") && junit.contains("errors=\"0\""),
            "{junit}"
        );
        // And now nothing is missing.
        let again = resumed(&fake, "");
        assert_eq!(again.code, 0);
        assert!(
            again.err.contains("4 of 4 cases have a result"),
            "{again:?}"
        );
        assert!(again.err.contains("nothing is missing"), "{again:?}");
    }
}

/// The last case is run again, as that brings the end.
#[test]
fn where_only_the_end_is_missing_one_case_is_run_again() {
    let fake = broken_off_after(4, Signal::KILL);
    goes_on_with("4", &fake, 4, Verdict::Completed);
    let ended = resumed(&fake, "");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(numbers(&fake.saved()), [1, 2, 3, 4]);
    assert!(fake.saved().end.is_some());
}

#[test]
fn what_was_found_before_and_after_counts() {
    let fake = broken_off(Signal::INT);
    goes_on(&fake, 4, Verdict::Blocked);
    // The image hands its code to the emulator.
    fs::write(fake.path("code"), "4").unwrap();
    let ended = resumed(&fake, "");
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.out.contains("2 of 4 cases blocked"), "{ended:?}");
}

#[test]
fn a_second_time_goes_on_from_the_first() {
    let fake = broken_off(Signal::INT);
    // It brings one of the two, and no end.
    let options = format!("{OPTIONS} stalecore.cases=3-4");
    let rest = Console::of(&options, 4, |_| Verdict::Completed);
    let cut = format!("{}{}{}", rest.head, rest.begin, rest.cases[0]);
    fs::write(fake.path("console"), sealed(&cut)).unwrap();
    let ended = resumed(&fake, "");
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.err.contains("no closing record after 3 of 4 cases"),
        "{ended:?}"
    );
    let options = format!("{OPTIONS} stalecore.cases=4");
    let rest = Console::of(&options, 4, |_| Verdict::Completed);
    fs::write(fake.path("console"), rest.text()).unwrap();
    let ended = resumed(&fake, "");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(numbers(&fake.saved()), [1, 2, 3, 4]);
}

#[test]
fn another_image_machine_or_plan_is_refused() {
    let fake = broken_off(Signal::INT);
    goes_on(&fake, 4, Verdict::Completed);
    let before = fs::read(fake.path("out/run.json")).unwrap();
    let log = fs::read(fake.path("out/console.log")).unwrap();
    for (args, parts) in [
        (
            "--samples 9",
            vec!["--samples 9 contradicts", "allowed: what it was begun with"],
        ),
        ("--cpus 5", vec!["--cpus 5 contradicts"]),
        ("--out x", vec!["--out", "cannot be used with"]),
    ] {
        let ended = resumed(&fake, args);
        assert_eq!(ended.code, 2, "{args}: {ended:?}");
        ended.one_line(&parts);
    }
    let image = fs::read(fake.path("image")).unwrap();
    let mut other = image.clone();
    other[0xff] ^= 1;
    fs::write(fake.path("image"), other).unwrap();
    let ended = resumed(&fake, "");
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["was begun with another image"]);
    fs::write(fake.path("image"), image).unwrap();
    goes_on(&fake, 8, Verdict::Completed);
    let ended = resumed(&fake, "--quiet");
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&[
        "was begun on another machine",
        "8 CPUs",
        "4 CPUs",
        "nothing of it was changed",
    ]);
    assert_eq!(fs::read(fake.path("out/run.json")).unwrap(), before);
    assert_eq!(fs::read(fake.path("out/console.log")).unwrap(), log);
    // The flags that it began with may be repeated.
    goes_on(&fake, 4, Verdict::Completed);
    let ended = resumed(&fake, PLAN);
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// A directory that somebody sent must not decide what is run here.
#[test]
fn a_directory_names_no_program_and_no_file() {
    let fake = broken_off(Signal::INT);
    goes_on(&fake, 4, Verdict::Completed);
    let before = fs::read(fake.path("out/run.json")).unwrap();
    for (given, missing) in [
        (&[][..], "--"),
        (&["--qemu"], "--image "),
        (&["--image"], "--qemu "),
    ] {
        let ended = Ended::of(&mut resuming(&fake, given));
        assert_eq!(ended.code, 2, "{ended:?}");
        ended.one_line(&["was begun with", missing, "allowed: to give that once more"]);
        assert_eq!(fs::read(fake.path("out/run.json")).unwrap(), before);
    }
    // Nor arguments for the emulator, which may name files and programs.
    let text = String::from_utf8(before).unwrap();
    let with = text.replacen("\"run\",", "\"run\",\"--qemu-arg=-S\",", 1);
    assert_ne!(text, with);
    fs::write(fake.path("out/run.json"), with).unwrap();
    let ended = resumed(&fake, "");
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["was begun with --qemu-arg -S"]);
}

#[test]
fn what_cannot_be_resumed_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let resume = |dir: &Path| {
        let mut command = stalecore();
        Ended::of(command.args(["run", "--resume"]).arg(dir))
    };
    let ended = resume(dir.path());
    assert_eq!(ended.code, 2);
    ended.one_line(&["--resume: ", "run.json"]);
    // Another command made it.
    fs::write(dir.path().join("board.log"), fine().text()).unwrap();
    let mut read = stalecore();
    read.arg("read").arg(dir.path().join("board.log"));
    read.arg("--out").arg(dir.path().join("read"));
    assert_eq!(Ended::of(&mut read).code, 0);
    let ended = resume(&dir.path().join("read"));
    assert_eq!(ended.code, 2);
    ended.one_line(&["allowed: what stalecore run made"]);
}

#[test]
fn a_real_run_that_was_broken_off_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let _shares = shares("--cpus 4");
    let mut first = Command::new(built("stalecore"))
        .args([
            "run",
            "--cpus",
            "4",
            "--samples",
            "20000",
            "--ops",
            "ic-ivau,dc-civac",
        ])
        .args(["--stale", "spin,wfe,parked", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A whole line: of one that is cut nothing is kept.
    let has_a_case = || {
        let log = fs::read_to_string(out.join("console.log")).unwrap_or_default();
        let mut lines = log.split_inclusive('\n');
        lines.any(|line| line.contains("{\"case\"") && line.ends_with('\n'))
    };
    until(has_a_case);
    kill_process(Pid::from_child(&first), Signal::INT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(2));
    let saved =
        || -> Run { serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap() };
    let before = numbers(&saved());
    assert!((1..6).contains(&before.len()), "{before:?}");
    let mut second = Command::new(built("stalecore"));
    second
        .stdin(Stdio::null())
        .args(["run", "--resume"])
        .arg(&out);
    let ended = Ended::of(&mut second);
    assert_eq!(ended.code, 0, "{ended:?}");
    let run = saved();
    let mut all = numbers(&run);
    assert_eq!(all[..before.len()], before);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    assert!(run.unread().is_none() && run.end.is_some());
}
