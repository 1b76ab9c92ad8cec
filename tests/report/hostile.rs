//! run.json may come from anywhere, and the texts in it came from a console.

use std::{fs, path::Path, process::Output};

use serde_json::Value;
use stalecore_model::{
    console::steers,
    record::{Note, Record, SEALED},
    run::Run,
};

use crate::{
    setup::{errors, report, run_of, stalecore},
    synthetic::{self, Shape},
};

/// What a page, a table or a terminal must never carry through.
const HOSTILE: &str = "</td></script><script>evil()</script><img src=x onerror=evil()> \
                       \" onmouseover=\"evil() 'x' &amp; \u{1b}[2J\u{202e}\u{0}";

fn hostile_run() -> Run {
    let mut run = synthetic::run(&Shape {
        cases: 8,
        samples: 64,
        sweep: true,
        initiators: 2,
        stale: 4,
        ..Shape::default()
    });
    for case in &mut run.cases {
        case.why = Some("why".into());
    }
    let (run, count) = synthetic::poisoned(&run, HOSTILE);
    assert!(count > 30, "only {count} texts");
    run
}

fn write(run: &impl serde::Serialize, dir: &Path) {
    fs::write(dir.join("run.json"), serde_json::to_vec(run).expect("JSON")).expect("run.json");
}

#[test]
fn foreign_text_stays_text_in_the_page() {
    let dir = tempfile::tempdir().expect("a directory");
    write(&hostile_run(), dir.path());
    let page = report(dir.path());
    assert!(page.contains("&lt;script&gt;evil()"), "the texts are shown");
    assert!(!page.contains("<script>evil"));
    assert!(!page.contains("<img"));
    assert!(!page.contains("\" onmouseover"));
    for control in ['\u{1b}', '\u{202e}', '\u{0}'] {
        assert!(!page.contains(control), "{control:?}");
    }
    // The page's own script, and no other.
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn foreign_text_stays_off_the_terminal() {
    let (base, new) = (
        tempfile::tempdir().expect("a"),
        tempfile::tempdir().expect("b"),
    );
    let mut other = hostile_run();
    write(&other, base.path());
    other.host.push('2');
    write(&other, new.path());
    let done = stalecore()
        .arg("compare")
        .args([base.path(), new.path()])
        .output()
        .expect("started");
    for bytes in [&done.stdout, &done.stderr] {
        assert!(!bytes.contains(&0x1b), "{}", errors(&done));
    }
}

/// Every command that prints something of a run, a log or a name, given nothing that is
/// harmless.
#[test]
fn no_command_lets_anything_steer_the_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    // As a file name: CSI in one byte of Latin-1 too, a reordering mark.
    let named = |what: &str| {
        let path = dir
            .path()
            .join(format!("{what}\u{1b}[2J\u{9b}31m\u{202e}\n\u{7}"));
        fs::create_dir(&path).expect("a directory");
        path
    };
    let (base, new, none) = (named("base"), named("new"), named("none"));
    let mut run = hostile_run();
    write(&run, &base);
    run.host.push('2');
    write(&run, &new);
    // A console whose records have the texts as JSON escapes.
    let text = HOSTILE.replace('\0', "");
    let (poisoned, _) = synthetic::poisoned(&run, &text);
    let mut machine = poisoned.machine.expect("a machine");
    machine.schema = SEALED - 1;
    let mut records = vec![Record::Machine(Box::new(machine))];
    records.push(Record::Note(Note { text: text.clone() }));
    let cases = poisoned.cases.into_iter();
    records.extend(cases.map(|case| Record::Case(Box::new(case))));
    records.extend(poisoned.blocks.into_iter().map(Record::Block));
    let lines = records.iter().map(|record| {
        let json = record.to_json().expect("JSON");
        format!("# {json}\n")
    });
    let console: String = lines.collect();
    let log = none.join("board\u{1b}]0;x\u{7}.log");
    fs::write(&log, console).expect("a log");
    // A kernel's log with the texts in names of tasks and modules.
    let crash = none.join("crash\u{1b}c.log");
    let kernel = include_str!("../triage/soft-lockup-4.18-stopped.log");
    let kernel = kernel
        .replace("kworker", &text)
        .replace("Comm: ", &format!("Comm: {text}"))
        .replace("Hardware name: ", &format!("Hardware name: {text}"));
    fs::write(&crash, kernel).expect("a log");
    let out = none.join("out");
    let words = |words: &[&str], paths: &[&Path]| -> Vec<std::ffi::OsString> {
        let words = words.iter().map(Into::into);
        words.chain(paths.iter().map(Into::into)).collect()
    };
    let missing = none.join("missing\u{1b}[31m");
    for words in [
        words(&["report"], &[&base]),
        words(&["report"], &[&missing]),
        words(&["report"], &[&log]),
        words(&["compare"], &[&base, &new]),
        words(&["compare", "--all", "--noise"], &[&base, &new]),
        words(&["compare", "--json"], &[&base, &new]),
        words(&["compare"], &[&base, &missing]),
        words(&["triage"], &[&crash]),
        words(&["triage", "--json"], &[&crash]),
        words(&["triage", "--expect", "saved"], &[&crash]),
        words(&["triage"], &[&missing]),
        words(&["triage"], &[&none]),
        words(&["read", "-v", "--all-states", "--out"], &[&out, &log]),
        words(&["read", "--json", "--out"], &[&out, &log]),
        words(&["read", "--out"], &[&base, &missing]),
        words(&["read", "--out"], &[&none, &log]),
        words(&["run", "--list", "--image"], &[&missing]),
        words(&["run", "--image"], &[&missing]),
        words(&["run", "--image"], &[&log]),
        words(&["run", "--resume"], &[&base]),
        words(&["run", "--qemu"], &[&missing]),
        words(&["list", "\u{1b}[2J"], &[]),
        words(&["\u{1b}[2J"], &[]),
        words(&["flatten"], &[&log, &missing]),
        words(&["deploy", "--image"], &[&missing]),
    ] {
        let done = stalecore()
            .current_dir(dir.path())
            .args(&words)
            .output()
            .expect("started");
        for bytes in [&done.stdout, &done.stderr] {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            let steering = text.find(|c| c != '\n' && c != '\t' && steers(c));
            let around = steering.map(|at| &text[..at]);
            assert_eq!(around, None, "{words:?}: {text:?}");
        }
    }
}

fn report_of(text: &[u8]) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("run.json"), text).expect("run.json");
    // Stops anything that would blow up: 400 MiB of address space.
    std::process::Command::new("sh")
        .args(["-c", "ulimit -v 409600; exec \"$0\" report \"$1\""])
        .arg(env!("CARGO_BIN_EXE_stalecore"))
        .arg(dir.path())
        .output()
        .expect("started")
}

fn text() -> String {
    serde_json::to_string(&synthetic::run(&Shape {
        cases: 3,
        ..Shape::default()
    }))
    .expect("JSON")
}

#[test]
fn what_cannot_be_a_run_is_one_line_and_2() {
    let whole = text();
    let with = |name: &str, value: &str| {
        let mut object: Value = serde_json::from_str(&whole).expect("JSON");
        object.as_object_mut().expect("an object").remove(name);
        let rest = object.to_string();
        format!("{{\"{name}\":{value},{}", &rest[1..])
    };
    let nested = "[".repeat(1000) + &"]".repeat(1000);
    let twice = serde_json::from_str::<Value>(&whole).expect("JSON")["cases"][0].to_string();
    let many = vec!["{\"n\":1}"; 100_000].join(",");
    for (text, part) in [
        (String::new(), "EOF"),
        (whole[..whole.len() / 2].into(), "EOF"),
        (with("exit", "NaN"), "expected"),
        (with("exit", "1e99999"), "number out of range"),
        (with("elapsed_ms", "-1"), "invalid value"),
        (with("answer", &nested), "invalid type"),
        (with("cases", &nested), "invalid type"),
        (
            with("cases", &format!("[{twice},{twice}]")),
            "is there twice",
        ),
        (with("cases", &format!("[{many}]")), "different ones"),
        (with("schema", "1000"), "newer stalecore"),
        ("\u{feff}{}".into(), "expected value"),
    ] {
        let done = report_of(text.as_bytes());
        let said = errors(&done);
        assert_eq!(done.status.code(), Some(2), "{part}: {said}");
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.len() < 400, "{said}");
    }
}

#[test]
fn a_gigabyte_is_refused_without_being_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = fs::File::create(dir.path().join("run.json")).expect("run.json");
    // Sparse: it takes no room on the disk.
    file.set_len(1 << 30).expect("a gigabyte");
    let done = stalecore()
        .arg("report")
        .arg(dir.path())
        .output()
        .expect("started");
    assert_eq!(done.status.code(), Some(2));
    assert!(
        errors(&done).contains("larger than 64 MiB"),
        "{}",
        errors(&done)
    );
}

#[test]
fn reordered_cases_are_read_all_the_same() {
    let dir = run_of(&Shape {
        cases: 30,
        ..Shape::default()
    });
    let in_order = report(dir.path());
    let mut run: Run =
        serde_json::from_slice(&fs::read(dir.path().join("run.json")).expect("there"))
            .expect("a run");
    run.cases.reverse();
    write(&run, dir.path());
    assert_eq!(report(dir.path()).len(), in_order.len());
}

#[test]
fn runs_that_share_nothing_cannot_be_compared() {
    let one = run_of(&Shape {
        cases: 1,
        ..Shape::default()
    });
    let none = tempfile::tempdir().expect("a directory");
    write(
        &Run {
            schema: 1,
            ..Run::default()
        },
        none.path(),
    );
    let done = stalecore()
        .arg("compare")
        .args([one.path(), none.path()])
        .output()
        .expect("started");
    assert_eq!(done.status.code(), Some(2));
    assert!(errors(&done).contains("no case in common"));
}

/// A run as version 0.1.0 wrote it when the schema was at 1.
const FIRST: &str = include_str!("run-v1.json");

#[test]
fn a_file_of_the_first_version_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("run.json"), FIRST).expect("run.json");
    let page = report(dir.path());
    for part in ["schema 1", "ic-ivau", "spin"] {
        assert!(page.contains(part), "{part}");
    }
    // To the last sample, and the line state too.
    let run: Run = serde_json::from_str(FIRST).expect("a run");
    assert_eq!(run.cases.len(), 4);
    assert!(run.cases.iter().all(|c| c.issue.count() == 64));
    let done = stalecore()
        .arg("compare")
        .args([dir.path(), dir.path()])
        .output()
        .expect("started");
    assert_eq!(done.status.code(), Some(0), "{}", errors(&done));
}

#[test]
fn a_file_of_a_newer_version_is_refused_by_every_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let newer = FIRST.replacen("\"schema\":1", "\"schema\":99", 1);
    fs::write(dir.path().join("run.json"), newer).expect("run.json");
    let path = dir.path().to_str().expect("a path");
    for words in [vec!["report", path], vec!["compare", path, path]] {
        let done = stalecore().args(&words).output().expect("started");
        let said = errors(&done);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in ["schema 99", "newer stalecore", "reads up to"] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(!dir.path().join("report.html").exists());
}
