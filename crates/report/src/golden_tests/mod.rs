//! Every sentence of the page as a person reads it, of one, of several and of none:
//! `sentences.txt`. `STALECORE_BLESS=1 cargo test sentence` writes it again.

mod blocks;
mod cases;
mod machines;
mod prose;
mod tops;

use std::{fmt::Write, fs, path::Path};

use maud::Markup;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState, Subject, Verdict},
    histogram::Histogram,
    plan::Case,
    record::{CaseRecord, PlanRecord},
    run::Run,
};
use stalecore_synthetic::machine;

use super::view::View;

/// What is drawn, and of what.
struct Drawn {
    name: &'static str,
    page: String,
}

/// A section of these runs.
fn section(name: &'static str, draw: fn(&View<'_>) -> Markup, runs: &[Run]) -> Drawn {
    let page = draw(&View::new(runs)).into_string();
    Drawn { name, page }
}

fn cpus(text: &str) -> CpuSet {
    CpuSet::parse(text).unwrap()
}

fn case(n: usize, verdict: Verdict) -> CaseRecord {
    let case = Case {
        number: n,
        subject: Subject::IcIvau,
        state: StaleState::ALL[n],
        line: LineState::DirtyHere,
    };
    CaseRecord::blank(&case, verdict, None)
}

/// So many samples of so many nanoseconds.
fn samples(ns: u64, times: u32) -> Histogram {
    let mut histogram = Histogram::new();
    histogram.add_many(ns, times);
    histogram
}

/// A case that was timed, and how much later it was than its baseline.
fn timed(n: usize, times: u64) -> CaseRecord {
    CaseRecord {
        complete: samples(1000 * times, 64),
        base_complete: samples(1000, 64),
        ..case(n, Verdict::Completed)
    }
}

fn plan(cases: u32, stale: &str) -> PlanRecord {
    PlanRecord {
        cases,
        initiators: cpus("0"),
        stale: if stale.is_empty() {
            CpuSet::EMPTY
        } else {
            cpus(stale)
        },
        samples: 64,
        deadline_ms: 2400,
        threshold: 2000,
        strict: false,
        options: None,
        under_test: None,
    }
}

/// A run of these cases on a machine of so many cores; on silicon, as nothing is said
/// of that.
fn run(cores: usize, cases: Vec<CaseRecord>) -> Run {
    Run {
        version: "1.0.0".into(),
        host: "serial /dev/ttyUSB0".into(),
        emulated: Some(false),
        answer: "No: all returned. None was later.".into(),
        machine: Some(stalecore_model::record::Machine {
            version: "1.0.0".into(),
            ..machine(cores, samples(24, 64))
        }),
        plan: Some(plan(cases.len() as u32, "1")),
        cases,
        ..Run::default()
    }
}

fn sentences() -> String {
    let mut text = String::new();
    let all = [
        tops::drawn(),
        cases::drawn(),
        blocks::drawn(),
        machines::drawn(),
    ];
    for Drawn { name, page } in all.into_iter().flatten() {
        let _ = writeln!(text, "## {name}\n{}", prose::of(&page));
    }
    text
}

#[test]
fn every_sentence_of_the_page_reads_as_it_should() {
    let text = sentences();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden_tests/sentences.txt");
    if std::env::var_os("STALECORE_BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&file).unwrap_or_default());
}

/// What no sentence says, whatever is counted: the words that go with one, of several
/// or of none, and the other way round.
#[test]
fn no_sentence_counts_wrongly() {
    let sentences = sentences();
    for line in sentences.lines().filter(|line| !line.starts_with("##")) {
        let words: Vec<_> = line
            .split(|c: char| c.is_whitespace() || "()|{};".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let (count, what) = (pair[0], pair[1].trim_end_matches([',', '.', ':']));
            let plural = what.ends_with('s') && !NO_PLURAL.contains(&what);
            assert!(!(count == "1" && plural), "{count} {what}: {line}");
            assert!(
                !(count == "0" && COUNTED.contains(&what)),
                "{count} {what}: {line}"
            );
            let alone = COUNTED.contains(&what) && !plural;
            let several = count.parse().is_ok_and(|n: u64| n != 1);
            assert!(!(alone && several), "{count} {what}: {line}");
            let cpus = what.contains([',', '-']) && what.starts_with(|c: char| c.is_ascii_digit());
            assert!(!(count == "CPU" && cpus), "{count} {what}: {line}");
        }
    }
}

/// Units, and what begins the next cell of a table.
const NO_PLURAL: [&str; 6] = ["ns", "µs", "ms", "s", "is", "was"];

const COUNTED: [&str; 13] = [
    "case",
    "core",
    "record",
    "line",
    "time",
    "operation",
    "sample",
    "round",
    "initiator",
    "region",
    "character",
    "note",
    "report",
];
