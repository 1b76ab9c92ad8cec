use super::*;
use crate::synthetic::{self, plain};
use stalecore_model::histogram::Histogram;

fn histogram(value: u64) -> Histogram {
    let mut histogram = Histogram::new();
    histogram.add_many(value, 64);
    histogram
}

fn run(
    ops: &[Subject],
    states: &[StaleState],
    found: impl Fn(Subject, StaleState) -> (Verdict, u64),
) -> Run {
    let mut run = Run {
        machine: Some(synthetic::machine(8, histogram(12))),
        ..Run::default()
    };
    for state in states {
        for op in ops {
            let (verdict, time) = found(*op, *state);
            let n = run.cases.len() + 1;
            run.cases.push(CaseRecord {
                complete: histogram(time),
                base_complete: histogram(100),
                ..plain::case(n, *op, *state, verdict, None)
            });
        }
    }
    run
}

fn calm(_: Subject, _: StaleState) -> (Verdict, u64) {
    (Verdict::Completed, 100)
}

fn in_width(text: &str, width: usize) {
    for line in text.lines() {
        assert!(line.chars().count() <= width, "{line}");
    }
}

#[test]
fn worst_first_in_both_directions() {
    let run = run(
        &[Subject::DcCivac, Subject::IcIvau],
        &[StaleState::Parked, StaleState::Wfe, StaleState::Spin],
        |op, state| match (op, state) {
            (Subject::IcIvau, StaleState::Spin) => (Verdict::Blocked, 100),
            (Subject::IcIvau, StaleState::Wfe) => (Verdict::Slowed, 310),
            _ => (Verdict::Completed, 140),
        },
    );
    let text = table(&run, 80, false);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "                spin          wfe      parked",
            "ic-ivau      blocked  310ns ×3.1!  140ns ×1.4",
            "dc-civac  140ns ×1.4   140ns ×1.4  140ns ×1.4",
        ]
    );
}

#[test]
fn the_whole_plan_fits_a_terminal() {
    let ops: Vec<_> = Subject::default_set().collect();
    let text = table(&run(&ops, StaleState::ALL, calm), 80, false);
    in_width(&text, 80);
    assert!(text.lines().count() < ops.len() + 14, "{text}");
    for state in StaleState::ALL {
        let found =
            text.contains(state.name()) || wrap(state.name()).iter().all(|w| text.contains(w));
        assert!(found, "{state}: {text}");
    }
    assert!(text.contains("others"), "{text}");
}

#[test]
fn with_all_states_each_has_its_column() {
    let ops: Vec<_> = Subject::default_set().collect();
    let text = table(&run(&ops, StaleState::ALL, calm), 80, true);
    in_width(&text, 80);
    assert!(!text.contains("others"));
    let cells = text.matches("100ns ×1.0").count();
    assert_eq!(cells, ops.len() * StaleState::ALL.len());
}

#[test]
fn the_shared_column_hides_nothing_bad() {
    let text = table(
        &run(&[Subject::IcIvau], StaleState::ALL, |_, state| {
            (Verdict::Slowed, 300 + 100 * state as u64)
        }),
        80,
        false,
    );
    // The worst are alone, and the shared column shows the worst of the rest.
    let row = text.lines().find(|l| l.starts_with("ic-ivau")).unwrap();
    let factors: Vec<f64> = row
        .split('×')
        .skip(1)
        .map(|t| t.split('!').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        factors.windows(2).all(|w| w[0] >= w[1]) && factors[0] > 25.0,
        "{row}"
    );
}

#[test]
fn any_width_is_survived() {
    let ops = Subject::ALL;
    let run = run(ops, StaleState::ALL, |_, _| (Verdict::Inconclusive, 100));
    for width in [0, 1, 20, 44, 60, 80, 200, 1000] {
        for all in [false, true] {
            assert!(!table(&run, width, all).is_empty());
        }
    }
    assert_eq!(table(&Run::default(), 80, false), "");
}

#[test]
fn text_is_folded_at_spaces() {
    assert_eq!(fold("aa bb cc", 5), "aa bb\ncc\n");
    assert_eq!(fold("aaaaaaaa b", 5), "aaaaaaaa\nb\n");
    assert_eq!(fold("  aa bb cc", 7), "  aa bb\n  cc\n");
}

/// What is too noisy to say is told by its interval, comes behind what is certain, and is
/// no mark; and what is marked is above the threshold as it is shown.
#[test]
fn what_is_certain_comes_first_and_noise_is_an_interval() {
    use stalecore_model::{
        cpuset::CpuSet,
        record::PlanRecord,
        rounds::{Class, Rounds},
    };
    let states = [StaleState::Wfe, StaleState::Spin, StaleState::BranchSelf];
    let mut run = run(&[Subject::IcIvau], &states, |_, state| match state {
        StaleState::Spin => (Verdict::Slowed, 204),
        _ => (Verdict::Completed, 140),
    });
    run.plan = Some(PlanRecord {
        cases: 3,
        initiators: CpuSet::one(0),
        stale: CpuSet::one(1),
        samples: 64,
        deadline_ms: 1000,
        threshold: 2000,
        strict: false,
        options: None,
        under_test: None,
    });
    let mut rounds = Rounds::new(Class::Complete);
    for late in [1000, 9000, 1200, 8000, 5000] {
        rounds.push(Some(1000), late, (1, 1));
    }
    run.cases[0].rounds = Some(rounds);
    let text = table(&run, 120, false);
    let row = text.lines().find(|l| l.starts_with("ic-ivau")).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(cells[2], "×2.040!", "{text}");
    assert_eq!(cells[4], "×1.4", "{text}");
    assert_eq!(cells[6], "×1.0–8.9?", "{text}");
    let flat = text.replace('\n', " ");
    assert!(flat.contains("it is the interval that is told"), "{text}");
    assert!(!flat.contains("with the interval over rounds"), "{text}");

    // What is slowed has its interval beside it.
    let mut rounds = Rounds::new(Class::Complete);
    for late in [2100, 2400, 2048, 2048, 2048] {
        rounds.push(Some(1000), late, (1, 1));
    }
    run.cases[1].rounds = Some(rounds);
    let text = table(&run, 120, false);
    assert!(text.contains("204ns ×2.1 (2.1–2.4)!"), "{text}");
    let flat = text.replace('\n', " ");
    assert!(flat.contains("with the interval over rounds"), "{text}");
}
