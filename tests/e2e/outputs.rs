//! A run whose output nobody reads, whose files have no room, or which has to share:
//! the code stays the same, and nobody's files are lost.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    consoles::{PLAN, blocked, fine},
    fake::{Ended, Fake, stalecore},
    mishaps::{half_a_run, started, until},
};

/// A command with its standard streams redirected as a shell does.
fn redirected(inner: &Command, how: &str) -> Ended {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec \"$0\" \"$@\" {how}")])
        .arg(inner.get_program())
        .args(inner.get_args());
    Ended::of(&mut command)
}

#[test]
fn a_terminal_that_takes_nothing_changes_no_code() {
    for how in [
        "2>/dev/full",
        ">/dev/full",
        ">/dev/full 2>/dev/full",
        "2>&-",
        ">&-",
        "<&- >&- 2>&-",
    ] {
        for (console, code) in [(fine(), 0), (blocked(), 4)] {
            let fake = Fake::new(console.text(), &format!("exit {code}"));
            let ended = redirected(&fake.command(PLAN), how);
            assert_eq!(ended.code, code, "{how}: {ended:?}");
            assert_eq!(i32::from(fake.saved().exit), code, "{how}");
        }
        // And a mistake is still a mistake.
        let mut mistake = stalecore();
        mistake.args(["run", "--cpus", "0"]);
        assert_eq!(redirected(&mistake, how).code, 2, "{how}");
    }
}

#[test]
fn a_reader_that_has_left_changes_no_code() {
    let fake = Fake::new(blocked().text(), "sleep 1; exit 4");
    let mut child = fake
        .command(PLAN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert_eq!(fake.saved().exit, 4);
}

/// An expectation is judged, and the report written in full, even if nobody reads the
/// words.
#[test]
fn what_is_expected_of_a_log_is_judged_whoever_listens() {
    let dir = tempfile::tempdir().unwrap();
    let junit = dir.path().join("junit.xml");
    let log =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/triage/debian-5.10-sysrq.log");
    for (expect, code) in [("saved", 1), ("no-crash", 1), ("stopped-all", 0)] {
        let command = || {
            let mut command = stalecore();
            command.arg("triage").arg(&log).args(["--expect", expect]);
            command.arg("--junit").arg(&junit);
            command
        };
        assert_eq!(Ended::of(&mut command()).code, code, "{expect}");
        let whole = fs::read_to_string(&junit).unwrap();
        assert!(whole.contains(&format!("failures=\"{code}\"")), "{whole}");
        for how in ["2>&-", "2>/dev/full", ">&-", "<&- >&- 2>&-"] {
            let ended = redirected(&command(), how);
            assert_eq!(ended.code, code, "{expect} {how}: {ended:?}");
        }
        // A reader that has left before the first word.
        fs::remove_file(&junit).unwrap();
        let mut child = command().stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{expect}");
        let again = fs::read_to_string(&junit).unwrap();
        assert_eq!(again.contains("<failure"), code == 1, "{again}");
    }
    // Nothing is left of a report without room.
    let mut nowhere = stalecore();
    nowhere
        .arg("triage")
        .arg(&log)
        .args(["--junit", "/nowhere/junit.xml"]);
    let ended = Ended::of(&mut nowhere);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["/nowhere/junit.xml"]);
}

#[test]
fn json_that_a_program_does_not_get_is_an_error() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = redirected(&fake.command(&format!("{PLAN} -q --json")), ">/dev/full");
    assert_eq!(ended.code, 2);
    ended.one_line(&["standard output", "No space left"]);
    assert_eq!(fake.saved().exit, 0);
}

/// The names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = names
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_page_without_room_is_not_half_a_page_and_the_verdict_comes_first() {
    let fake = Fake::new(blocked().text(), "exit 4");
    let inner = fake.command(&format!("{PLAN} --quiet"));
    let mut command = Command::new("sh");
    // A limit on the size of files makes a write fail as a full disk does.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 24; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.starts_with("Yes: "), "{ended:?}");
    ended.one_line(&["cannot write", "report.html", "File too large"]);
    assert_eq!(
        names(&fake.path("out")),
        ["console.log", "junit.xml", "run.json"]
    );
    assert_eq!(fake.saved().cases.len(), 4);
}

#[test]
fn two_runs_do_not_mix_in_one_directory() {
    let first = half_a_run();
    let mut child = started(&first);
    let before = fs::read(first.path("out/console.log")).unwrap();
    let second = Fake::new(fine().text(), "exit 0");
    let mut command = stalecore();
    command
        .arg("run")
        .args(["--image".into(), second.path("image")])
        .args(["--qemu".into(), second.path("qemu")])
        .args(["--out".into(), first.path("out")])
        .args(PLAN.split_whitespace());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 2);
    ended.one_line(&["--out", "another run is writing into"]);
    assert!(!second.path("pid").exists(), "the machine was started");
    assert_eq!(fs::read(first.path("out/console.log")).unwrap(), before);
    child.kill().unwrap();
    child.wait().unwrap();
    // A killed run's directory is free at once.
    assert_eq!(Ended::of(&mut command).code, 0);
}

#[test]
fn a_folder_with_other_files_is_refused_and_left_as_it_was() {
    let fake = Fake::new(fine().text(), "exit 0");
    fs::create_dir(fake.path("out")).unwrap();
    fs::write(fake.path("out/thesis.tex"), "mine").unwrap();
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 2);
    ended.one_line(&["--out", "thesis.tex", "allowed: a new or empty directory"]);
    assert_eq!(names(&fake.path("out")), ["thesis.tex"]);
}

#[test]
fn report_writes_over_nothing_but_its_own_pages() {
    let fake = Fake::new(fine().text(), "exit 0");
    assert_eq!(fake.run(&format!("{PLAN} -q")).code, 0);
    let report = |to: &str| {
        let mut command = stalecore();
        command.arg("report").arg(fake.path("out"));
        Ended::of(command.arg("-o").arg(fake.path(to)))
    };
    fs::write(fake.path("letter.html"), "<!DOCTYPE html><p>mine").unwrap();
    for mine in ["letter.html", "out/run.json", "out/console.log"] {
        let before = fs::read(fake.path(mine)).unwrap();
        let ended = report(mine);
        assert_eq!(ended.code, 2, "{mine}");
        ended.one_line(&["--out", mine, "no page of stalecore"]);
        assert_eq!(fs::read(fake.path(mine)).unwrap(), before);
    }
    fs::write(fake.path("empty.html"), "").unwrap();
    for allowed in ["new.html", "new.html", "empty.html", "out/report.html"] {
        assert_eq!(report(allowed).code, 0, "{allowed}");
        let page = fs::read_to_string(fake.path(allowed)).unwrap();
        assert!(page.ends_with("</html>"), "{allowed}");
    }
    let piped = redirected(
        stalecore()
            .arg("report")
            .arg(fake.path("out"))
            .args(["-o", "/dev/stdout"]),
        "",
    );
    assert!(piped.out.contains("</html>"), "{piped:?}");
}

#[test]
fn an_endless_image_is_refused() {
    let fake = Fake::new("", "exit 0");
    let mut flatten = stalecore();
    flatten.args(["flatten", "/dev/zero"]).arg(fake.path("img"));
    let ended = Ended::of(&mut flatten);
    assert_eq!(ended.code, 2);
    ended.one_line(&["/dev/zero", "larger than 512 MiB"]);
    assert!(!fake.path("img").exists());
}

#[test]
fn what_a_killed_run_left_is_taken_away_by_the_next() {
    let temporary = tempfile::tempdir().unwrap();
    let first = half_a_run();
    let mut command = first.command(PLAN);
    command
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    until(|| fs::metadata(first.path("out/console.log")).is_ok_and(|f| f.len() > 0));
    let scratch = names(temporary.path());
    assert_eq!(scratch.len(), 1, "{scratch:?}");
    let next = || {
        let fake = Fake::new(fine().text(), "exit 0");
        let mut command = fake.command(&format!("{PLAN} -q"));
        Ended::of(command.env("TMPDIR", temporary.path())).code
    };
    // Not while it lives.
    assert_eq!(next(), 0);
    assert_eq!(names(temporary.path()), scratch);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(temporary.path()), scratch);
    assert_eq!(next(), 0);
    assert!(names(temporary.path()).is_empty());
}
