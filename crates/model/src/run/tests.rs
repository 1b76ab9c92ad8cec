use super::*;
use crate::{
    glossary::{LineState, StaleState, Subject},
    histogram::Histogram,
    plan::Case,
    record::{Hex, Release, Rung, RungRecord, Starved, WAITED},
};
use alloc::boxed::Box;

#[test]
fn the_first_closing_record_counts() {
    let mut run = Run::default();
    let end = |exit| {
        Record::End(End {
            exit,
            verdicts: Vec::new(),
            elapsed_ms: 1,
        })
    };
    assert!(run.take(end(4)));
    assert!(!run.take(end(0)));
    assert_eq!((run.end.map(|e| e.exit), run.garbled), (Some(4), 1));
}

#[test]
fn rungs_join_the_block_that_they_were_climbed_for() {
    let mut run = Run::default();
    let case = Case {
        number: 4,
        subject: Subject::IcIvau,
        state: StaleState::Spin,
        line: LineState::DirtyHere,
    };
    let seen = crate::mark::Seen {
        sequence: 1,
        site: None,
        address: 0,
        returned: 0,
    };
    let rung = |n, rung: &str, released| {
        let rung = Rung {
            rung: rung.into(),
            us: 5,
            released,
        };
        Record::Rung(RungRecord::new(n, rung))
    };
    assert!(!run.take(rung(4, "sev", false)), "nothing was blocked");
    for waited_ms in [100, 200] {
        assert!(run.take(Record::Block(case.block(0, &seen, waited_ms, "sentinel"))));
    }
    assert!(run.take(rung(4, "sev", false)));
    assert!(run.take(rung(4, "unlock", true)));
    assert!(!run.take(rung(5, "sev", true)));
    assert_eq!(run.blocks[0].release(), Release::None);
    assert_eq!(run.blocks[1].release(), Release::By("unlock"));
    assert_eq!((run.blocks[1].ladder.len(), run.garbled), (2, 2));
}

#[test]
fn a_rung_has_the_credit_only_for_what_follows_at_once() {
    let mut block = block(1);
    let rung = |rung: &str, us, released| Rung {
        rung: rung.into(),
        us,
        released,
    };
    // The mark had stood still for two seconds, and for another in vain.
    for (last, us, found) in [
        ("sev", 300_000, Release::By("sev")),
        ("sev", 500_000, Release::Unknown("sev")),
        (WAITED, 5, Release::Unknown(WAITED)),
    ] {
        block.ladder = [rung(WAITED, 1_000_000, false), rung(last, us, true)].into();
        assert_eq!(block.release(), found);
    }
    // After 260 ms each of eight cores has had its turn.
    let core = |cpu| crate::record::CoreState {
        cpus: CpuSet::one(cpu),
        role: "stale".into(),
        doing: "spin".into(),
        proof: "answered".into(),
        at: None,
    };
    block.cores = (0..8).map(core).collect();
    for (us, found) in [
        (260_000, Release::By("el2")),
        (260_001, Release::Unknown("el2")),
    ] {
        block.ladder = [rung(WAITED, 1_000_000, false), rung("el2", us, true)].into();
        assert_eq!(block.release(), found);
    }
    // What returns by itself may do so just then: how often is said, unless seldom.
    for (us, one_in, words) in [
        (260_000, 11, "released by: el2, or by chance (1 in 11)"),
        (30_000, 100, "released by: el2"),
        (0, 3_000_000, "released by: el2"),
    ] {
        block.ladder = [rung(WAITED, 1_000_000, false), rung("el2", us, true)].into();
        assert_eq!(block.one_in(), Some(one_in));
        assert_eq!(block.released().as_deref(), Some(words));
    }
    block.ladder = [rung(WAITED, 3_020_000, true)].into();
    let words = block.released().unwrap();
    assert_eq!(words, "returned by itself after 5.0 s");
    block.ladder = [rung(WAITED, 1_000_000, false)].into();
    assert_eq!((block.release(), block.released()), (Release::None, None));
    assert_eq!(block.one_in(), None);
}

fn block(n: u32) -> Block {
    let seen = crate::mark::Seen {
        sequence: 1,
        site: None,
        address: 0,
        returned: 0,
    };
    let case = Case {
        number: n as usize,
        subject: Subject::IcIvau,
        state: StaleState::Spin,
        line: LineState::DirtyHere,
    };
    case.block(0, &seen, 2000, "sentinel")
}

#[test]
fn what_was_starved_is_no_block_and_what_was_not_stays_one() {
    let mut run = Run::default();
    for (n, op, ran_ms) in [(1, Subject::IcIvau, Some(3)), (2, Subject::DcCivac, None)] {
        let mut block = block(n);
        block.starved = ran_ms.map(|ran_ms| Starved {
            cpu: 0,
            queued_ms: 1990,
            ran_ms,
            of_ms: 2000,
            all: false,
        });
        run.take(Record::Block(block));
        run.take(Record::Case(Box::new(case(n, op, Verdict::Blocked))));
        run.take(Record::Bisect(BisectRecord {
            n,
            stale: CpuSet::one(1),
            culprits: Vec::new(),
            complete: true,
            trials: 1,
            why: None,
        }));
    }
    // The image knew by itself that it says nothing.
    let open = case(3, Subject::DcCvau, Verdict::Inconclusive);
    run.take(Record::Case(Box::new(open)));
    run.end = Some(End {
        exit: 4,
        verdicts: [(Verdict::Inconclusive, 1), (Verdict::Blocked, 2)].into(),
        elapsed_ms: 1,
    });
    run.take_back_starved();
    let searched: Vec<_> = run.bisections.iter().map(|found| found.n).collect();
    assert_eq!(searched, [2]);
    assert_eq!(
        (run.starved.len(), run.blocks.len(), run.blocks[0].n),
        (1, 1, 2)
    );
    assert_eq!(run.cases[0].verdict, Verdict::Inconclusive);
    let why = run.cases[0].why.as_deref().unwrap_or_default();
    assert!(
        why.contains("CPU 0 was run for 3 ms of 2000 ms, 1990 ms"),
        "{why}"
    );
    assert_eq!(run.cases[1].verdict, Verdict::Blocked);
    assert_eq!(run.stated(Verdict::Blocked), Some(1));
    assert_eq!(run.stated(Verdict::Inconclusive), Some(2));
    assert_eq!(run.unread(), None);
}

#[test]
fn only_what_nothing_else_blocks_is_taken_back() {
    let mut run = Run::default();
    let mut starved = block(1);
    starved.starved = Some(Starved {
        cpu: 0,
        queued_ms: 1990,
        ran_ms: 3,
        of_ms: 2000,
        all: false,
    });
    // The first is blocked by another initiator too, the second has faulted meanwhile.
    let faulted = Block {
        n: 2,
        ..starved.clone()
    };
    for block in [starved, block(1), faulted] {
        assert!(run.take(Record::Block(block)));
    }
    for (n, op, verdict) in [
        (1, Subject::IcIvau, Verdict::Blocked),
        (2, Subject::DcCivac, Verdict::Faulted),
    ] {
        let case = case(n, op, verdict);
        assert!(run.take(Record::Case(Box::new(case))));
    }
    run.take_back_starved();
    assert_eq!((run.starved.len(), run.blocks.len()), (2, 1));
    let verdicts: Vec<_> = run.cases.iter().map(|case| case.verdict).collect();
    assert_eq!(verdicts, [Verdict::Blocked, Verdict::Faulted]);
}

#[test]
fn marks_are_where_they_were_put_last() {
    let mut run = Run::default();
    let marks = |image| {
        Record::Marks(Marks {
            image: Hex(image),
            symbols: Hex(0),
            case: Hex(0),
            mark: Hex(0),
            state: Hex(0),
            stride: 0,
        })
    };
    for image in [0x4020_0000, 0x4040_0000] {
        assert!(run.take(Record::Machine(Box::new(machine()))));
        assert!(run.take(marks(image)));
        assert!(!run.take(marks(0)));
        assert_eq!(run.marks.as_ref().map(|m| m.image), Some(Hex(image)));
    }
    assert_eq!((run.restarts, run.garbled), (1, 2));
}

#[test]
fn a_parked_case_is_its_own_baseline_and_no_other() {
    let mut run = Run::default();
    for (n, state) in [(1, StaleState::Parked), (2, StaleState::Spin)] {
        let mut record = case(n, Subject::IcIvau, Verdict::Completed);
        record.state = state;
        record.issue.add(7);
        assert!(run.take(Record::Case(Box::new(record))));
    }
    assert_eq!(run.cases[0].base_issue, run.cases[0].issue);
    assert_eq!(run.cases[1].base_issue.count(), 0);
}

#[test]
fn what_had_ended_outlives_a_reset() {
    let mut run = Run::default();
    let machine = || Record::Machine(Box::new(machine()));
    let case = |n, op, verdict| Record::Case(Box::new(case(n, op, verdict)));
    use Subject::{DcCivac, IcIvau};
    use Verdict::{Blocked, Completed, Skipped};
    assert!(run.take(machine()));
    assert!(run.take(case(1, IcIvau, Completed)));
    assert!(!run.take(case(1, IcIvau, Blocked)));
    assert!(run.take(case(2, DcCivac, Completed)));
    assert!(run.take(machine()));
    // Done before, so not run again; run again; another case's number.
    assert!(run.take(case(1, IcIvau, Skipped)));
    assert!(run.take(case(2, DcCivac, Blocked)));
    assert!(!run.take(case(1, DcCivac, Blocked)));
    let verdicts: Vec<_> = run.cases.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Completed, Blocked]);
    assert_eq!((run.restarts, run.garbled), (1, 2));
    // After the end nothing begins again.
    run.take(Record::End(End {
        exit: 4,
        verdicts: Vec::new(),
        elapsed_ms: 1,
    }));
    assert!(!run.take(machine()));
    assert_eq!(run.restarts, 1);
}

fn case(n: u32, op: Subject, verdict: Verdict) -> CaseRecord {
    let case = Case {
        number: n as usize,
        subject: op,
        state: StaleState::Spin,
        line: LineState::Cold,
    };
    CaseRecord::blank(&case, verdict, None)
}

pub(crate) fn machine() -> Machine {
    Machine {
        schema: 1,
        version: String::new(),
        model: String::new(),
        source: String::new(),
        entry_el: 2,
        psci: None,
        psci_version: None,
        gic: String::new(),
        gicr_regions: 1,
        cpus: 2,
        memory_mib: 1,
        console: String::new(),
        counter: String::new(),
        counter_hz: 1,
        cntfrq: 1,
        sentinel: None,
        empty: Histogram::new(),
    }
}

/// The image could not write a closing record where nobody in it saw the block.
#[test]
fn the_host_closes_a_run_in_which_it_alone_saw_the_block() {
    let seen = crate::mark::Seen {
        sequence: 1,
        site: None,
        address: 0,
        returned: 0,
    };
    let of = |seen_by: Option<&str>, ended: bool| {
        let mut run = Run::default();
        let case = Case {
            number: 1,
            subject: Subject::IcIvau,
            state: StaleState::Spin,
            line: LineState::DirtyHere,
        };
        if let Some(by) = seen_by {
            run.take(Record::Block(case.block(0, &seen, 100, by)));
        }
        if ended {
            run.take(Record::End(End {
                exit: 4,
                verdicts: Vec::new(),
                elapsed_ms: 1,
            }));
        }
        run.closed_by_host()
    };
    assert!(of(Some(HOST), false));
    assert!(!of(Some(HOST), true) && !of(Some("sentinel"), false) && !of(None, false));
}

#[test]
fn a_console_takes_ten_bits_a_byte() {
    let console_bytes = 3 * u64::from(BAUD) / 10;
    let run = Run {
        console_bytes,
        ..Run::default()
    };
    assert!((run.serial_seconds() - 3.0).abs() < 1e-9);
}

/// Without a reset one that comes twice is garbled; after one it may be measured again.
#[test]
fn a_group_begins_once_more_after_a_reset_alone() {
    let group = |state| {
        Record::Group(GroupRecord {
            state,
            line: LineState::DirtyHere,
            first: 1,
            cases: 2,
        })
    };
    let mut run = Run::default();
    assert!(run.take(Record::Machine(Box::new(machine()))));
    assert!(run.take(group(StaleState::Spin)));
    assert!(run.take(group(StaleState::Spin)));
    assert_eq!(run.groups.len(), 2, "nobody knows better");
    assert!(run.take(Record::Machine(Box::new(machine()))));
    assert!(run.take(group(StaleState::Spin)) && run.take(group(StaleState::Wfe)));
    let states: Vec<_> = run.groups.iter().map(|group| group.state).collect();
    assert_eq!(
        states,
        [StaleState::Spin, StaleState::Spin, StaleState::Wfe]
    );
}

#[test]
fn cores_that_were_not_available_are_told_together() {
    let mut run = Run::default();
    assert!(run.absent().is_empty());
    for cpu in [3, 5] {
        run.take(Record::Absent(crate::record::Absent {
            cpus: crate::cpuset::CpuSet::one(cpu),
            why: String::new(),
            inherited: false,
        }));
    }
    assert_eq!(run.absent().iter().collect::<Vec<_>>(), [3, 5]);
}

/// What is as usual is in no record: both ways the same is read.
#[test]
fn what_is_none_is_not_written() {
    let text = serde_json::to_string(&Run::default()).unwrap();
    for field in ["restarts", "followed_by"] {
        assert!(!text.contains(field), "{text}");
    }
    let run = Run {
        restarts: 2,
        followed_by: 7,
        ..Run::default()
    };
    let text = serde_json::to_string(&run).unwrap();
    assert!(
        text.contains("\"restarts\":2") && text.contains("\"followed_by\":7"),
        "{text}"
    );
}

/// Images of older schemas wrote no seals.
#[test]
fn the_machine_of_a_sealed_schema_must_have_a_seal() {
    use crate::record::SEALED;
    let of = |schema| {
        let machine = Machine {
            schema,
            ..machine()
        };
        Record::Machine(Box::new(machine)).must_be_sealed()
    };
    assert!(of(SEALED) && of(SEALED + 1) && !of(SEALED - 1));
    let text = String::new();
    assert!(!Record::Note(crate::record::Note { text }).must_be_sealed());
}
