//! Every sentence below the table, for one thing, for several and for none:
//! `sentences.txt`. `STALECORE_BLESS=1 cargo test sentence` rewrites it.

use std::{fmt::Write, fs, path::Path};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{StaleState, Subject, Verdict},
    hazard::{Coverage, Hazard, Kind, Side},
    histogram::Histogram,
    record::{
        Absent, BisectRecord, Block, CaseRecord, CoreState, Hex, Icount, Late, Maker, Rung, Starved,
    },
    run::{Run, SerialLine},
};

use super::findings;
use crate::{
    serial::notes,
    synthetic::{self, plain},
};

fn cpus(text: &str) -> CpuSet {
    CpuSet::parse(text).unwrap()
}

fn case(n: usize, verdict: Verdict, why: Option<&str>) -> CaseRecord {
    plain::case(n, Subject::IcIvau, StaleState::Spin, verdict, why)
}

/// A run with a block that differs from others in this.
fn but(change: impl FnOnce(&mut Block)) -> Run {
    let mut block = plain::block(1, Subject::IcIvau);
    change(&mut block);
    Run {
        cases: vec![case(1, Verdict::Blocked, None)],
        blocks: vec![block],
        ..Run::default()
    }
}

fn core(of: &str, at: Option<&str>) -> CoreState {
    CoreState {
        cpus: cpus(of),
        role: "stale".into(),
        doing: "spin".into(),
        proof: "heartbeat 3, 12 ms ago".into(),
        at: at.map(Into::into),
    }
}

fn rung(rung: &str, us: u64, released: bool) -> Rung {
    let rung = rung.into();
    Rung { rung, us, released }
}

fn blocks() -> Vec<(&'static str, Run)> {
    let starved = Starved {
        cpu: 3,
        queued_ms: 2391,
        ran_ms: 2,
        of_ms: 2400,
        all: false,
    };
    let behind = |block: &mut Block| block.behind = true;
    let posted = |block: &mut Block| block.at = "dsb ish (timed block, issue class)".into();
    let timed = |block: &mut Block| block.at = "ic ivau (timed block, issue class)".into();
    vec![
        ("a block", but(|_| {})),
        ("a block, nothing before it", but(|b| b.returned = 0)),
        ("a block, one before it", but(|b| b.returned = 1)),
        ("a block in a timed block", but(timed)),
        ("a block of what a barrier waits for", but(posted)),
        (
            "a block on an address",
            but(|b| b.address = Some(Hex(0x4000))),
        ),
        ("a block in the baseline", but(|b| b.baseline = true)),
        ("a block behind what had returned", but(behind)),
        ("a block that a reset ended", but(|b| b.waited_ms = 0)),
        (
            "a block, one core and several",
            but(|b| b.cores = vec![core("1", Some("wait_spin+8")), core("2-6", None)]),
        ),
        (
            "a block, released",
            but(|b| b.ladder = vec![rung("wait", 150_000, false), rung("sev", 40, true)]),
        ),
        (
            "a block, returned by itself",
            but(|b| b.ladder = vec![rung("wait", 150_000, true)]),
        ),
        (
            "a block, cause not known",
            but(|b| b.ladder = vec![rung("sgi", 900_000, true)]),
        ),
        (
            "a block, nothing helped",
            but(|b| b.ladder = vec![rung("sev", 150_000, false)]),
        ),
        ("a block, made by the fabric", {
            let mut run = but(|_| {});
            run.made_by = vec![Maker::Fabric];
            run
        }),
        ("not a block", {
            let mut run = but(|_| {});
            run.starved = std::mem::take(&mut run.blocks);
            run.starved[0].starved = Some(starved);
            run
        }),
        ("not a block, by all CPUs together", {
            let mut run = but(|_| {});
            run.starved = std::mem::take(&mut run.blocks);
            run.starved[0].starved = Some(Starved {
                all: true,
                ..starved
            });
            run
        }),
        ("not a block, of what a barrier waits for", {
            let mut run = but(posted);
            run.starved = std::mem::take(&mut run.blocks);
            run.starved[0].starved = Some(starved);
            run
        }),
        ("not a block, in a timed block", {
            let mut run = but(timed);
            run.starved = std::mem::take(&mut run.blocks);
            run.starved[0].starved = Some(starved);
            run
        }),
    ]
}

fn search(culprits: &[&str], complete: bool, trials: u32, why: Option<&str>) -> Run {
    let found = BisectRecord {
        n: 1,
        stale: cpus("1-6"),
        culprits: culprits.iter().map(|set| cpus(set)).collect(),
        complete,
        trials,
        why: why.map(Into::into),
    };
    Run {
        bisections: vec![found],
        ..Run::default()
    }
}

fn searches() -> Vec<(&'static str, Run)> {
    let only = |run: Run| {
        let mut run = run;
        run.bisections[0].stale = cpus("1");
        run
    };
    vec![
        ("a search: one core", search(&["3"], true, 5, None)),
        ("a search: two at once", search(&["2-3"], false, 5, None)),
        (
            "a search: either of two",
            search(&["2", "3"], true, 9, None),
        ),
        ("a search: no smaller set", search(&[], true, 1, None)),
        ("a search of one", only(search(&["1"], true, 1, None))),
        (
            "a search that was broken off",
            search(&["3"], false, 2, Some("the machine was reset")),
        ),
        (
            "a search that was none",
            search(&[], false, 0, Some("nothing releases it")),
        ),
    ]
}

fn hazard(at: &str, meant: &[Subject]) -> Hazard {
    let side = |at: &str| Side {
        cpu: 0,
        at: at.into(),
        pc: Hex(0),
        what: "dc ivac".into(),
    };
    Hazard {
        kind: Kind::DirtyDiscarded,
        by: side(at),
        with: side("dirty+8"),
        line: Hex(0x40),
        meant: meant.to_vec(),
    }
}

fn of_hazards(hazards: Vec<Hazard>, accesses: u64, unseen: &[&str]) -> Run {
    let coverage = Coverage {
        accesses,
        fetches: accesses,
        unseen: unseen.iter().map(ToString::to_string).collect(),
        ..Coverage::default()
    };
    Run {
        hazards,
        coherence: Some(coverage),
        ..Run::default()
    }
}

fn others() -> Vec<(&'static str, Run)> {
    let of = |cases: Vec<CaseRecord>| Run {
        cases,
        ..Run::default()
    };
    let skip = |n| case(n, Verdict::Skipped, Some("no core is left to be stale"));
    let absent = |set: &str| Run {
        absent: vec![Absent {
            cpus: cpus(set),
            why: "PSCI CPU_ON: invalid parameters".into(),
            inherited: false,
        }],
        ..Run::default()
    };
    let icount = |empty, written| Run {
        icount: Some(Icount {
            empty,
            written,
            more: vec![(Subject::IcIvau, 1)],
        }),
        ..Run::default()
    };
    vec![
        ("faulted", {
            let mut run = of(vec![case(1, Verdict::Faulted, None)]);
            run.faults = vec![plain::fault(1, Subject::IcIvau)];
            run
        }),
        (
            "incoherent",
            of(vec![case(
                1,
                Verdict::Incoherent,
                Some("older code was seen"),
            )]),
        ),
        (
            "inconclusive",
            of(vec![case(
                1,
                Verdict::Inconclusive,
                Some("CPU 3 left its state"),
            )]),
        ),
        ("one skipped", of(vec![skip(1)])),
        ("two skipped", of(vec![skip(1), skip(2)])),
        ("one core absent", absent("3")),
        ("several cores absent", absent("3,5-7")),
        ("one instruction", icount(1, 1)),
        ("several instructions", icount(4, 4)),
        ("hazards: none", of_hazards(vec![], 0, &[])),
        (
            "hazards: one",
            of_hazards(vec![hazard("f", &[])], 1, &["the table walker"]),
        ),
        (
            "hazards: two meant",
            of_hazards(
                vec![
                    hazard("f", &[Subject::DcIvac]),
                    hazard("g", &[Subject::DcIvac]),
                ],
                2000,
                &[],
            ),
        ),
        (
            "hazards: three meant",
            of_hazards(vec![hazard("f", &[Subject::DcIvac]); 3], 2000, &[]),
        ),
    ]
}

/// Cases with a late sample each, of which the host did not run the first `starved`.
fn late(cases: usize, starved: usize) -> Run {
    let late = |n: usize| Late {
        cpu: 0,
        round: 3,
        complete: true,
        nth: 14,
        operand: Hex(0x4000),
        ticks: 200_000_000 - n as u64,
        control: 8300,
        at_ms: 3214,
        ago_ms: 40,
        starved: (n <= starved).then_some(Starved {
            cpu: 3,
            queued_ms: 198,
            ran_ms: 1,
            of_ms: 210,
            all: false,
        }),
    };
    let case = |n| CaseRecord {
        late: Some(late(n)),
        ..case(n, Verdict::Completed, None)
    };
    Run {
        machine: Some(synthetic::machine(8, Histogram::new())),
        cases: (1..=cases).map(case).collect(),
        ..Run::default()
    }
}

fn lates() -> Vec<(&'static str, Run)> {
    vec![
        ("one late", late(1, 0)),
        ("more late than are told", late(10, 0)),
        ("one not late", late(1, 1)),
        ("one late, two not", late(3, 2)),
    ]
}

/// A line on which each mishap happened this many times.
fn line(times: u64) -> Run {
    let line = SerialLine {
        garbled_bytes: times,
        lost_bytes: Some(times),
        damaged_bytes: Some(times),
        cuts: times,
    };
    Run {
        notes: notes(&line, times as u32),
        ..Run::default()
    }
}

#[test]
fn every_sentence_below_the_table_reads_as_it_should() {
    let lines = [
        ("a line without mishap", line(0)),
        ("one of each", line(1)),
        ("two of each", line(2)),
    ];
    let mut text = String::new();
    let all = [blocks(), lates(), searches(), others(), lines.into()].concat();
    for (name, run) in all {
        let _ = writeln!(text, "{name}\n{}", findings(&run, 200));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/findings/sentences.txt");
    if std::env::var_os("STALECORE_BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, expected);
}
