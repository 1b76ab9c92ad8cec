use super::*;
use crate::compare::table::summary;
use crate::synthetic::{self, Shape};

fn run(shape: Shape) -> Run {
    synthetic::run(&shape)
}

fn count(found: &Comparison, change: Change) -> usize {
    found.cases.iter().filter(|c| c.change == change).count()
}

#[test]
fn a_run_compared_with_itself_has_not_changed() {
    let one = run(Shape::default());
    let found = compare(
        std::slice::from_ref(&one),
        std::slice::from_ref(&one),
        1.0,
        false,
    )
    .unwrap();
    assert_eq!(found.cases.len(), 432);
    assert!(
        found
            .cases
            .iter()
            .all(|c| matches!(c.change, Change::Same | Change::Undecided))
    );
    assert_eq!(count(&found, Change::Undecided), 1);
}

/// The same cases measured once more: other samples of the same latencies.
fn again(run: &Run, samples: u32, seed: u64) -> Run {
    let mut random = synthetic::random(seed);
    let mut run = run.clone();
    for case in &mut run.cases {
        let middle = 100.0 + f64::from(case.n);
        case.verdict = Verdict::Completed;
        case.complete = synthetic::histogram(&mut random, samples, middle);
    }
    run
}

/// What the whole method is for, at a threshold of 1, where significance
/// alone decides.
#[test]
fn runs_of_the_same_thing_raise_an_alarm_in_one_of_twenty() {
    let one = run(Shape {
        cases: 24,
        ..Shape::default()
    });
    for samples in [64, 600] {
        let alarms = (0..20).filter(|seed| {
            let (a, b) = (
                again(&one, samples, *seed),
                again(&one, samples, seed + 1000),
            );
            let found = compare(
                std::slice::from_ref(&a),
                std::slice::from_ref(&b),
                1.0,
                false,
            )
            .unwrap();
            found.cases.iter().any(|c| c.change != Change::Same)
        });
        let alarms = alarms.count();
        assert!(alarms <= 3, "{alarms} of 20 with {samples} samples");
    }
}

#[test]
fn a_delay_is_found_and_named_and_gone_again() {
    let base = run(Shape::default());
    let mut late = base.clone();
    for case in late.cases.iter_mut().filter(|c| c.op == Subject::IcIvau) {
        let mut random = synthetic::random(u64::from(case.n));
        if case.complete.count() > 0 {
            case.complete = synthetic::histogram(&mut random, 64, 20_000.0);
        }
    }
    let found = compare(
        std::slice::from_ref(&base),
        std::slice::from_ref(&late),
        1.25,
        false,
    )
    .unwrap();
    for case in &found.cases {
        let slower = case.op == Subject::IcIvau
            && case.class == Some("complete")
            && case.state != StaleState::CpuOffInflight;
        assert_eq!(
            case.change == Change::Slower,
            slower,
            "{} {}",
            case.op,
            case.state
        );
    }
    let back = compare(
        std::slice::from_ref(&late),
        std::slice::from_ref(&base),
        1.25,
        false,
    )
    .unwrap();
    assert_eq!(count(&back, Change::Faster), count(&found, Change::Slower));
}

#[test]
fn a_new_block_is_worse_and_a_lost_case_is_undecided() {
    let base = run(Shape::default());
    let mut new = base.clone();
    new.cases[5].verdict = Verdict::Blocked;
    new.cases[6].verdict = Verdict::Skipped;
    new.cases.pop();
    let found = compare(
        std::slice::from_ref(&base),
        std::slice::from_ref(&new),
        1.25,
        false,
    )
    .unwrap();
    assert_eq!(count(&found, Change::Worse), 1);
    assert_eq!(count(&found, Change::Undecided), 2);
    assert_eq!((found.only_base, found.only_new), (1, 0));
    assert_eq!(
        count(
            &compare(
                std::slice::from_ref(&new),
                std::slice::from_ref(&base),
                1.25,
                false
            )
            .unwrap(),
            Change::Better
        ),
        1
    );
}

#[test]
fn runs_without_a_common_case_cannot_be_compared() {
    let base = run(Shape {
        cases: 1,
        ..Shape::default()
    });
    assert!(compare(&[base], &[Run::default()], 1.25, false).is_err());
}

#[test]
fn sixty_four_samples_have_no_99th_percentile() {
    let one = run(Shape {
        cases: 30,
        samples: 64,
        ..Shape::default()
    });
    let found = compare(
        std::slice::from_ref(&one),
        std::slice::from_ref(&one),
        1.25,
        false,
    )
    .unwrap();
    assert!(
        found
            .cases
            .iter()
            .filter_map(|c| c.p99.as_ref())
            .all(|s| !s.judged())
    );
    assert!(
        found
            .cases
            .iter()
            .filter_map(|c| c.median.as_ref())
            .all(|s| s.judged())
    );
}

/// Boots of one thing: each puts each case elsewhere, by a factor of `spread` or so.
fn boots(of: usize, spread: f64, seed: u64, late: f64) -> Vec<Run> {
    use rand_distr::{Distribution, Normal};
    let one = run(Shape {
        cases: 200,
        ..Shape::default()
    });
    let normal = Normal::new(0.0, spread.ln()).unwrap();
    (0..of as u64)
        .map(|nth| {
            let mut random = synthetic::random(seed * 100 + nth);
            let mut run = one.clone();
            for case in &mut run.cases {
                let times = if case.op == Subject::IcIvau {
                    late
                } else {
                    1.0
                };
                let middle = (1000.0 + f64::from(case.n)) * times;
                let middle = middle * normal.sample(&mut random).exp();
                case.verdict = Verdict::Completed;
                case.complete = synthetic::histogram(&mut random, 64, middle);
            }
            run
        })
        .collect()
}

/// What differs from boot to boot is in no sample of a boot: an interval of samples is too
/// narrow by far. One of boots holds.
#[test]
fn what_differs_from_boot_to_boot_is_no_change() {
    let wrong = |of: usize| {
        let wrong = (0..20).filter(|seed| {
            let (a, b) = (boots(of, 1.3, *seed, 1.0), boots(of, 1.3, seed + 500, 1.0));
            let found = compare(&a, &b, 1.25, false).unwrap();
            found.cases.iter().any(|c| c.change.fails())
        });
        wrong.count()
    };
    assert!(wrong(3) <= 1, "{} of 20", wrong(3));
    assert!(wrong(1) <= 1, "{} of 20, one a side", wrong(1));
}

/// Two times later is found beside boots that differ by some percent, and is all that is.
#[test]
fn twice_as_late_is_found_in_three_boots_and_nothing_else_is() {
    for seed in 0..6 {
        let (a, b) = (boots(3, 1.07, seed, 1.0), boots(3, 1.07, seed + 500, 2.0));
        let found = compare(&a, &b, 1.25, false).unwrap();
        let slower = |c: &&Compared| c.change == Change::Slower;
        let named: Vec<_> = found.cases.iter().filter(slower).map(|c| c.op).collect();
        assert!(named.len() > 5, "{} of seed {seed}", named.len());
        assert!(named.iter().all(|op| *op == Subject::IcIvau), "{named:?}");
    }
}

/// Where boots differ so much that no case can show it, an operation in all of its cases
/// still does, and it is the only one.
#[test]
fn twice_as_late_is_found_of_an_operation_where_no_case_can_show_it() {
    let mut of_cases = 0;
    for seed in 0..10 {
        let (a, b) = (boots(3, 1.3, seed, 1.0), boots(3, 1.3, seed + 500, 2.0));
        let found = compare(&a, &b, 1.25, false).unwrap();
        of_cases += count(&found, Change::Slower);
        assert_eq!(
            changed(&found),
            [(Subject::IcIvau, Change::Slower)],
            "{seed}"
        );
        assert_eq!(found.code(), ExitCode::Slowed);
        let summary = summary(&found).replace('\n', " ");
        assert!(summary.contains("cases together: 1 slower, "), "{summary}");
        let (low, high) = ivau(&found).median.interval.unwrap();
        assert!(low > 1.25 && high < 3.0, "{low} {high}");
    }
    assert!(of_cases < 10, "{of_cases}");
}

#[test]
fn of_one_run_a_side_no_operation_is_judged_as_a_whole() {
    let (a, b) = (boots(1, 1.1, 1, 1.0), boots(1, 1.1, 2, 3.0));
    let found = compare(&a, &b, 1.25, false).unwrap();
    assert!(found.operations.is_empty() && count(&found, Change::Slower) > 5);
}

/// Makes all cases of an operation later by a factor.
fn scale(run: &mut Run, times: f64, which: impl Fn(Subject) -> bool) {
    for case in run.cases.iter_mut().filter(|case| which(case.op)) {
        let before = std::mem::take(&mut case.complete);
        for (low, high, count) in before.buckets() {
            let middle = f64::midpoint(low as f64, high as f64) * times;
            case.complete.add_many(middle as u64, count);
        }
    }
}

/// Boots of one thing, each of which does something to all cases of these operations alike.
fn uneven(seed: u64, late: f64, alike: impl Fn(Subject) -> bool) -> Vec<Run> {
    use rand_distr::{Distribution, Normal};
    let normal = Normal::new(0.0, 1.5_f64.ln()).unwrap();
    let mut runs = boots(3, 1.05, seed, late);
    for (nth, run) in runs.iter_mut().enumerate() {
        let times: f64 = normal.sample(&mut synthetic::random(seed * 1000 + nth as u64));
        scale(run, times.exp(), &alike);
    }
    runs
}

fn ivau(found: &Comparison) -> &Operation {
    let mut all = found.operations.iter();
    all.find(|of| of.op == Subject::IcIvau).unwrap()
}

fn changed(found: &Comparison) -> Vec<(Subject, Change)> {
    let changed = found
        .operations
        .iter()
        .filter(|of| of.change != Change::Same);
    changed.map(|of| (of.op, of.change)).collect()
}

/// What a boot does to all cases of an operation is what boots differ by, however many
/// cases there are: counted case by case it would be certain.
#[test]
fn what_a_boot_does_to_all_cases_of_an_operation_is_no_change() {
    let wrong = (0..20).filter(|seed| {
        let side = |seed| uneven(seed, 1.0, |op| op == Subject::IcIvau);
        let found = compare(&side(*seed), &side(seed + 500), 1.25, false).unwrap();
        !changed(&found).is_empty()
    });
    let wrong = wrong.count();
    assert!(wrong <= 1, "{wrong} of 20");
}

/// What it does to all operations hides no operation's own change, and is none's.
#[test]
fn what_a_boot_does_to_everything_hides_no_operation() {
    let mut later = 0;
    for seed in 0..10 {
        let side = |seed, late| uneven(seed, late, |_| true);
        let found = compare(&side(seed, 1.0), &side(seed + 500, 1.0), 1.25, false).unwrap();
        assert_eq!(changed(&found), [], "{seed}");
        let found = compare(&side(seed, 1.0), &side(seed + 500, 3.0), 1.25, false).unwrap();
        let median = &ivau(&found).median;
        // Where the new boots as a whole were by chance so much faster, it is none the later.
        let is_later = median.new_ns / median.base_ns >= 1.25;
        let expected = is_later.then_some((Subject::IcIvau, Change::Slower));
        assert_eq!(changed(&found), Vec::from_iter(expected), "{seed}");
        later += u32::from(is_later);
    }
    assert!(later >= 8, "{later} of 10");
}

/// An operation that hardly moves while all others become faster has not become later.
#[test]
fn later_than_the_others_alone_is_not_later() {
    let base = boots(3, 1.05, 1, 1.0);
    let mut new = boots(3, 1.05, 501, 1.0);
    for run in &mut new {
        scale(run, 0.5, |op| op != Subject::IcIvau);
        scale(run, 1.1, |op| op == Subject::IcIvau);
    }
    let found = compare(&base, &new, 1.25, false).unwrap();
    let of = ivau(&found);
    assert!(of.median.ratio > 1.5 && of.median.is_outside() && of.median.resolved);
    assert!(of.median.p_adjusted < 0.001);
    assert_eq!(of.change, Change::Same);
    assert_eq!(found.failed().count(), 0);
}

/// The 95 % interval holds the true ratio as often as it says, of boots that differ as
/// much in each case; with more noise in one case than in the state's others it is the
/// case's own.
#[test]
fn the_interval_holds_the_true_ratio() {
    for of in [2, 3, 5] {
        let (mut held, mut all) = (0_u32, 0_u32);
        for seed in 0..6 {
            let (a, b) = (boots(of, 1.2, seed, 1.0), boots(of, 1.2, seed + 500, 1.0));
            let found = compare(&a, &b, 1.25, false).unwrap();
            for shift in found.cases.iter().filter_map(|c| c.median.as_ref()) {
                let Some((low, high)) = shift.interval else {
                    continue;
                };
                all += 1;
                held += u32::from(low <= 1.0 && high >= 1.0);
            }
        }
        let share = f64::from(held) / f64::from(all);
        println!("{of} a side: {share:.4} of {all}");
        assert!(
            (0.93..0.985).contains(&share),
            "{share} of {all}, {of} a side"
        );
    }
}

#[test]
fn a_block_in_one_boot_of_three_is_worse() {
    let base = boots(3, 1.1, 1, 1.0);
    let mut new = boots(3, 1.1, 2, 1.0);
    new[1].cases[5].verdict = Verdict::Blocked;
    let found = compare(&base, &new, 1.25, false).unwrap();
    assert_eq!(count(&found, Change::Worse), 1);
    assert_eq!(
        count(&compare(&new, &base, 1.25, false).unwrap(), Change::Better),
        1
    );
    new[2].cases.pop();
    let found = compare(&base, &new, 1.25, false).unwrap();
    assert_eq!((found.not_in_all, found.only_base), (1, 0));
}

/// Of one run a side its rounds say how sure of itself it is: three times as late in the new
/// run counts where the rounds agree, and does not where they are far apart.
#[test]
fn of_one_run_a_side_rounds_that_are_far_apart_say_less() {
    use stalecore_model::rounds::{Class, Rounds};
    let with = |late: f64, rounds: Option<[u64; 5]>| {
        let mut run = boots(1, 1.0, 1, late).remove(0);
        for case in run.cases.iter_mut().filter(|c| c.op == Subject::IcIvau) {
            case.base_complete = case.complete.clone();
            case.rounds = rounds.map(|rounds| Rounds {
                base: vec![1000; 5],
                case: rounds.to_vec(),
                ..Rounds::new(Class::Complete)
            });
        }
        run
    };
    let (agree, apart) = ([1000, 1010, 1000, 990, 1000], [300, 3000, 1000, 400, 2500]);
    let slower = |rounds: Option<[u64; 5]>| {
        let (base, new) = ([with(1.0, rounds)], [with(3.0, rounds)]);
        count(&compare(&base, &new, 1.25, false).unwrap(), Change::Slower)
    };
    assert!(slower(None) > 5 && slower(Some(agree)) > 5);
    assert_eq!(slower(Some(apart)), 0);
    // By themselves they are times, and relative to the baseline how many times its own.
    let of = |rounds: [u64; 5], relative| {
        let run = with(1.0, Some(rounds));
        let case = run.cases.iter().find(|c| c.op == Subject::IcIvau).unwrap();
        let boot = Boot::of(&run, case, Class::Complete, relative).unwrap();
        boot.rounds
            .iter()
            .map(|ln| ln.exp().round())
            .collect::<Vec<_>>()
    };
    assert_eq!(of([500, 1000, 0, 2000, 4000], false)[..2], [500.0, 1000.0]);
    assert_eq!(
        of([1000, 1000, 2000, 3000, 0], true)[..4],
        [1.0, 1.0, 2.0, 3.0]
    );
}

#[test]
fn of_two_serious_verdicts_the_more_serious_is_worse() {
    let verdicts = [
        Verdict::Completed,
        Verdict::Faulted,
        Verdict::Blocked,
        Verdict::Incoherent,
    ];
    let with = |verdict| {
        let mut run = run(Shape {
            cases: 3,
            ..Shape::default()
        });
        run.cases[1].verdict = verdict;
        [run]
    };
    for (nth, before) in verdicts.into_iter().enumerate() {
        for (other, after) in verdicts.into_iter().enumerate() {
            let (base, new) = (with(before), with(after));
            let found = compare(&base, &new, 1.25, false).unwrap();
            let of =
                |c: &&Compared| (c.op, c.state) == (base[0].cases[1].op, base[0].cases[1].state);
            let change = found.cases.iter().find(of).unwrap().change;
            assert_eq!(change == Change::Worse, other > nth, "{before} {after}");
            assert_eq!(change == Change::Better, other < nth, "{before} {after}");
        }
    }
}
