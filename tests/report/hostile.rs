//! run.json may come from anywhere, and the texts in it came from a console.

use std::{fs, path::Path, process::Output};

use serde::Deserialize;
use serde_json::{Value, json};
use stalecore_model::run::Run;

use crate::{
    setup::{errors, report, run_of, stalecore},
    synthetic::{self, Shape},
};

/// What a page, a table or a terminal must never carry through.
const HOSTILE: &str = "</td></script><script>evil()</script><img src=x onerror=evil()> \
                       \" onmouseover=\"evil() 'x' &amp; \u{1b}[2J\u{202e}\u{0}";

/// Puts a hostile text wherever a run takes any text at all, and says how often. It finds
/// those fields by trying: a field that is a word of the glossary, a register or a
/// histogram refuses the text.
fn poisoned(run: &Run) -> (Run, usize) {
    fn strings(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(path.into()),
            Value::Array(list) => {
                for (n, item) in list.iter().enumerate() {
                    strings(item, &format!("{path}/{n}"), found);
                }
            }
            Value::Object(map) => {
                for (key, item) in map {
                    strings(item, &format!("{path}/{key}"), found);
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(run).expect("JSON");
    let mut paths = Vec::new();
    strings(&value, "", &mut paths);
    let mut count = 0;
    for path in paths {
        let place = value.pointer_mut(&path).expect("it was there");
        let before = std::mem::replace(place, json!(HOSTILE));
        if Run::deserialize(&value).is_ok() {
            count += 1;
        } else {
            *value.pointer_mut(&path).expect("it was there") = before;
        }
    }
    (serde_json::from_value(value).expect("a run"), count)
}

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
    let (run, count) = poisoned(&run);
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
