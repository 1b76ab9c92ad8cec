use super::*;
use alloc::{string::ToString, vec};

/// A case with everything in it.
fn case() -> CaseRecord {
    let mut histogram = Histogram::new();
    histogram.add_many(140, 60);
    histogram.add(900);
    CaseRecord {
        n: 12,
        op: Subject::IcIvau,
        state: StaleState::Spin,
        line: LineState::DirtyHere,
        verdict: Verdict::Completed,
        why: None,
        by: None,
        batch: 1,
        issue: histogram.clone(),
        complete: histogram.clone(),
        base_issue: histogram.clone(),
        base_complete: histogram,
        rounds: None,
        late: None,
        sweep: vec![Depth {
            depth: 4,
            issue: 10,
            barrier: 20,
        }],
        dwell: vec![],
        initiators: vec![],
    }
}

#[test]
fn a_case_round_trips_in_one_line() {
    let record = Record::Case(Box::new(case()));
    let text = record.to_json().unwrap();
    assert!(!text.contains('\n'));
    assert_eq!(Record::from_json(&text).unwrap(), record);
}

#[test]
fn a_line_says_in_short_what_nearly_every_case_has() {
    for verdict in Verdict::ALL {
        for why in ["", "\"verdict\":\"blocked\"", "\"v\":\"ok\""] {
            let record = Record::Case(Box::new(CaseRecord {
                verdict: *verdict,
                why: (!why.is_empty()).then(|| why.to_string()),
                ..case()
            }));
            let text = record.to_json().unwrap();
            let short = *verdict == Verdict::Completed;
            assert_eq!(text.contains(",\"v\":\"ok\","), short, "{text}");
            assert_eq!(text.contains("\"verdict\":\""), !short, "{text}");
            assert_eq!(Record::from_json(&text).unwrap(), record);
        }
    }
    // A file says it whole, and nothing else stands for it.
    let whole = serde_json::to_string(&case()).unwrap();
    let short = whole.replacen(COMPLETED.0, COMPLETED.1, 1);
    assert_ne!(whole, short);
    assert!(serde_json::from_str::<CaseRecord>(&short).is_err());
}

#[test]
fn a_board_with_a_slow_line_gets_short_records() {
    let mut short = case();
    short.sweep.clear();
    let text = Record::Case(Box::new(short)).to_json().unwrap();
    assert!(text.len() < 160, "{} bytes: {text}", text.len());
}

#[test]
fn the_line_state_is_told_where_it_is_not_the_usual_one() {
    for line in LineState::ALL {
        let record = Record::Case(Box::new(CaseRecord {
            line: *line,
            ..case()
        }));
        let text = record.to_json().unwrap();
        assert_eq!(text.contains("\"line\""), *line != LineState::DirtyHere);
        assert_eq!(Record::from_json(&text).unwrap(), record);
    }
}

#[test]
fn registers_are_hexadecimal() {
    assert_eq!(
        serde_json::to_string(&Hex(0x8444_8004)).unwrap(),
        "\"0x84448004\""
    );
    assert_eq!(
        serde_json::from_str::<Hex>("\"0xffffffffffffffff\"").unwrap(),
        Hex(u64::MAX)
    );
    for wrong in [
        "\"84448004\"",
        "\"0x\"",
        "\"0x+1\"",
        "3",
        "\"0x10000000000000000\"",
    ] {
        assert!(serde_json::from_str::<Hex>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_unknown_record_is_an_error() {
    let error = Record::from_json("{\"weather\":{}}").unwrap_err();
    assert!(error.to_string().contains("weather"));
}

#[test]
fn equal_cores_are_one_entry() {
    let core = |cpu, doing: &str| CoreState {
        cpus: CpuSet::one(cpu),
        role: "stale".into(),
        doing: doing.into(),
        proof: String::new(),
        at: None,
    };
    let mut states = Vec::new();
    for (cpu, doing) in [(1, "spin"), (2, "wfe"), (3, "spin")] {
        core(cpu, doing).join(&mut states);
    }
    let told: Vec<_> = states.iter().map(|s| (s.cpus, s.doing.as_str())).collect();
    let both = CpuSet::parse("1,3").unwrap();
    assert_eq!(told, [(both, "spin"), (CpuSet::one(2), "wfe")]);
}

#[test]
fn a_batch_and_a_line_are_written_where_they_are_not_the_usual() {
    let text = |case: CaseRecord| Record::Case(Box::new(case)).to_json().unwrap();
    assert!(!text(case()).contains("batch") && !text(case()).contains("line"));
    let unusual = CaseRecord {
        batch: 16,
        line: LineState::Shared,
        ..case()
    };
    let written = text(unusual.clone());
    assert!(written.contains("\"batch\":16") && written.contains("\"line\":\"shared\""));
    let read = Record::from_json(&written).unwrap();
    assert_eq!(read, Record::Case(Box::new(unusual)));
}

#[test]
fn with_every_core_parked_a_case_is_its_own_baseline_unless_it_has_one() {
    let mut own = Histogram::new();
    own.add(7);
    let of = |state, base: &Histogram| {
        let case = CaseRecord {
            state,
            issue: own.clone(),
            complete: own.clone(),
            base_issue: base.clone(),
            base_complete: base.clone(),
            ..case()
        };
        let (issue, complete) = case.baseline();
        assert_eq!(issue.max(), complete.max());
        complete.max()
    };
    let (mut base, none) = (Histogram::new(), Histogram::new());
    base.add(3);
    assert_eq!(of(StaleState::Parked, &none), own.max());
    assert_eq!(of(StaleState::Parked, &base), base.max());
    assert_eq!(of(StaleState::Spin, &none), none.max());
    assert_eq!(of(StaleState::Spin, &base), base.max());
}

#[test]
fn a_late_sample_says_where_and_when_unless_its_core_was_not_run() {
    use crate::record::{Late, Starved};
    let late = Late {
        cpu: 2,
        round: 3,
        complete: true,
        nth: 14,
        operand: Hex(0x4000),
        ticks: 12_500_000,
        control: 50,
        at_ms: 3_014,
        ago_ms: 8,
        starved: None,
    };
    let place = "CPU 2, sample 14 with its DSB of round 3, on 0x4000, 3.014 s into the run";
    assert_eq!(late.place(), place);
    let posted = Late {
        complete: false,
        operand: Hex(0),
        at_ms: 20_500,
        ..late
    };
    assert_eq!(
        posted.place(),
        "CPU 2, sample 14 of round 3, 20.500 s into the run"
    );
    let of = |late| CaseRecord { late, ..case() };
    let starved = Some(Starved {
        cpu: 2,
        queued_ms: 90,
        ran_ms: 1,
        of_ms: 100,
        all: false,
    });
    assert_eq!(of(Some(late)).was_late(), Some(&late));
    assert_eq!(of(Some(Late { starved, ..late })).was_late(), None);
    assert_eq!(of(None).was_late(), None);
}

#[test]
fn what_a_self_test_finds_is_its_own_and_all_else_the_fabric_s_if_there_is_one() {
    use crate::record::Maker;
    let of = |subject| [false, true].map(|fabric| Maker::of(subject, fabric));
    assert_eq!(of(Subject::SelftestHang), [Some(Maker::SelfTest); 2]);
    assert_eq!(of(Subject::IcIvau), [None, Some(Maker::Fabric)]);
}

#[test]
fn rounds_of_both_classes_are_read_as_they_were_written() {
    use crate::rounds::{Class, Rounds};
    for class in [Class::Issue, Class::Complete] {
        let mut rounds = Rounds::new(class);
        for late in [100, 90, 3000, 100, 110] {
            rounds.push(Some(100), late, (64, 64));
        }
        let text = serde_json::to_string(&rounds).unwrap();
        assert_eq!(
            serde_json::from_str::<Rounds>(&text).unwrap(),
            rounds,
            "{text}"
        );
    }
}
