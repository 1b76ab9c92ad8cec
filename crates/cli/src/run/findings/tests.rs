//! What is said about findings, and what is not.

use super::*;
use crate::{
    run::{answer, judge::Judgement},
    synthetic::{self, Shape},
};
use stalecore_model::{
    exit::ExitCode,
    glossary::{LineState, StaleState, Subject},
    record::{CoreState, GroupRecord, Hex, Rung},
};

fn answer(run: &Run) -> String {
    let judgement = Judgement {
        code: ExitCode::Blocked,
        problem: None,
    };
    answer::answer(run, &judgement, None)
}

#[test]
fn a_block_report_names_everything() {
    let run = Run {
        groups: vec![GroupRecord {
            state: StaleState::Spin,
            line: LineState::DirtyHere,
            first: 3,
            cases: 4,
        }],
        blocks: vec![Block {
            address: Some(Hex(0xffff_0000)),
            waited_ms: 2400,
            cores: vec![CoreState {
                cpus: CpuSet::parse("1-6").unwrap(),
                role: "stale".into(),
                doing: "spin".into(),
                proof: "heartbeat 3\u{1b}[2J, 12 ms ago".into(),
                at: None,
            }],
            ladder: vec![Rung {
                rung: "sev".into(),
                us: 1500,
                released: false,
            }],
            ..synthetic::plain::block(5, Subject::FlushIcacheRange)
        }],
        ..Run::default()
    };
    let text = findings(&run, 80);
    for part in [
        "case 5, flush-icache-range under spin",
        "CPU 0 at flush_icache_range+92: ic ivau, address 0xffff0000",
        "2400 ms, 7 had returned",
        "CPUs 1-6: stale, spin, heartbeat 3\u{fffd}[2J, 12 ms ago",
        "tried sev: no change after 1.50ms",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_block_in_the_baseline_is_not_told_as_the_state_s() {
    let mut run = synthetic::run(&Shape::default());
    run.blocks.truncate(1);
    run.blocks[0].baseline = true;
    let told = findings(&run, 200);
    assert!(told.contains("under every other core parked"), "{told}");
    let answer = answer(&run);
    assert!(answer.contains("with every other core parked"), "{answer}");
    assert!(!answer.contains("stale cores in"), "{answer}");
    run.blocks[0].behind = true;
    let answer = self::answer(&run);
    assert!(
        answer.contains("had not gone on behind flush_icache_range+92 (ic ivau), which had"),
        "{answer}"
    );
}

#[test]
fn cores_that_do_not_answer_are_named_and_counted() {
    let mut run = synthetic::run(&Shape::default());
    let cpus = run.machine.as_ref().map_or(0, |machine| machine.cpus);
    run.absent.push(stalecore_model::record::Absent {
        cpus: CpuSet::one(3),
        why: "PSCI CPU_ON: invalid parameters".into(),
        inherited: false,
    });
    let told = findings(&run, 200);
    assert!(
        told.contains("note: CPU 3 has no role: PSCI CPU_ON: invalid parameters"),
        "{told}"
    );
    let counted = format!("{} of {cpus} cores took part: CPU 3 did not", cpus - 1);
    assert!(answer(&run).contains(&counted), "{}", answer(&run));
    // One that a kernel has left stuck is a stale core in each case.
    run.absent.push(stalecore_model::record::Absent {
        cpus: CpuSet::one(4),
        why: "stale since before this boot (inherited)".into(),
        inherited: true,
    });
    let told = answer(&run);
    for part in [
        &format!(
            "{} of {cpus} cores took part: CPU 4 is stale since before this boot (inherited), \
             CPU 3 did not answer.",
            cpus - 2
        ),
        "with CPU 4 stuck since before this boot and the stale cores in",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = findings(&run, 200);
    assert!(
        told.contains("note: CPU 4 is stale since before this boot"),
        "{told}"
    );
    run.absent.clear();
    assert!(!answer(&run).contains("cores took part"));
}

#[test]
fn what_is_wrong_on_purpose_is_told_once_and_as_that() {
    let side = |at: &str| stalecore_model::hazard::Side {
        cpu: 0,
        at: at.into(),
        pc: Hex(0),
        what: "dc ivac".into(),
    };
    let found = |at: &str, meant: &[Subject]| Hazard {
        kind: stalecore_model::hazard::Kind::DirtyDiscarded,
        by: side(at),
        with: side("dirty"),
        line: Hex(0x40),
        meant: meant.to_vec(),
    };
    let run = Run {
        hazards: vec![
            found("f", &[Subject::DcIvac]),
            found("g", &[]),
            found("h", &[Subject::DcIvac]),
            found("i", &[]),
        ],
        ..Run::default()
    };
    let text = findings(&run, 200);
    for part in [
        "hazard, as expected: CPU 0 at f (dc ivac) throws dirty data away",
        "  and at 1 place more\n  wrong on purpose: dc-ivac\n",
        "hazard: CPU 0 at g",
        "hazard: CPU 0 at i",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("at h"), "{text}");
}

#[test]
fn the_cost_of_the_timed_block() {
    let run = Run {
        icount: Some(Icount {
            empty: 4,
            written: 4,
            more: vec![(Subject::IcIvau, 1)],
        }),
        notes: vec!["no sentinel".into()],
        ..Run::default()
    };
    assert_eq!(
        findings(&run, 80),
        "the empty timed block costs 4 instructions; 4 are written in it\n  \
         ic-ivau: 1 more\nnote: no sentinel\n"
    );
}
