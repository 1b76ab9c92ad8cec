//! A run of 3,000 cases with a million samples each: how long, how much memory,
//! how large. And the exit codes of `compare`.

use std::{fs, process::Command, time::Instant};

use crate::{
    setup::{errors, run_of, stalecore},
    synthetic::Shape,
};

/// Seconds of a processor: two for a release build on a machine that has nothing else to do;
/// tests share their machine, and may be debug builds.
const SECONDS: u32 = if cfg!(debug_assertions) { 40 } else { 10 };

#[test]
fn three_thousand_cases_are_drawn_within_the_limits() {
    let dir = run_of(&Shape {
        cases: 3000,
        samples: 1_000_000,
        cpus: 128,
        stale: 126,
        ..Shape::default()
    });
    let begin = Instant::now();
    // Address space is more than memory: within 200 MiB of it is within both. How long the
    // host does not run it is no matter.
    let limits = format!("ulimit -v 204800; ulimit -t {SECONDS}; exec \"$0\" report \"$1\"");
    let done = Command::new("sh")
        .args(["-c", &limits])
        .arg(env!("CARGO_BIN_EXE_stalecore"))
        .arg(dir.path())
        .output()
        .expect("started");
    let took = begin.elapsed();
    assert!(done.status.success(), "{}: {}", done.status, errors(&done));
    let size = fs::metadata(dir.path().join("report.html"))
        .expect("a page")
        .len();
    assert!(size < 5 << 20, "{size} bytes");
    println!("3,000 cases of a million samples: {took:?}, {size} bytes");
}

fn compare(arguments: &[&str], base: &Shape, new: &Shape) -> (Option<i32>, String) {
    let (base, new) = (run_of(base), run_of(new));
    let done = stalecore()
        .arg("compare")
        .args(arguments)
        .args([base.path(), new.path()])
        .output()
        .expect("started");
    (
        done.status.code(),
        String::from_utf8_lossy(&done.stdout).into_owned(),
    )
}

#[test]
fn a_run_compared_with_itself_is_0() {
    let shape = Shape::default();
    let (code, text) = compare(&[], &shape, &shape);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("nothing got worse"), "{text}");
}

#[test]
fn a_later_run_is_1_and_names_the_operations() {
    let late = Shape {
        late: 4.0,
        ..Shape::default()
    };
    let (code, text) = compare(&[], &Shape::default(), &late);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("Got worse:") && text.contains("ic-ivau"),
        "{text}"
    );
    let (code, _) = compare(&["--threshold", "100"], &Shape::default(), &late);
    assert_eq!(code, Some(0));
    let (code, _) = compare(&[], &late, &Shape::default());
    assert_eq!(code, Some(0), "what got faster is no failure");
}

#[test]
fn json_says_the_same() {
    let shape = Shape {
        cases: 40,
        ..Shape::default()
    };
    let (_, text) = compare(&["--json"], &shape, &shape);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["exit"], 0);
    assert_eq!(value["cases"].as_array().map(Vec::len), Some(40));
    assert_eq!(value["cases"][3]["median"]["ratio"], 1.0);
    assert!(value["cases"][3]["median"]["interval"][0].is_f64());
}
