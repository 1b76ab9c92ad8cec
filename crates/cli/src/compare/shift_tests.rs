use super::*;
use crate::{
    compare::bootstrap::Empirical,
    synthetic::{histogram, random},
};
use stalecore_model::histogram::Histogram;

fn boot(h: &Histogram) -> Boot {
    Boot {
        stale: Empirical::new(h, 1.0).unwrap(),
        baseline: None,
        tick: 1.0,
        grain: 2.0,
        rounds: Vec::new(),
    }
}

/// Alone, without other cases of its state.
fn of(base: &[Boot], new: &[Boot], quantile: f64, random: &mut impl Rng) -> Shift {
    let mut shift = Shift::of(base, new, quantile, random);
    shift.settle();
    shift
}

#[test]
fn the_same_samples_have_not_moved() {
    let h = histogram(&mut random(1), 1000, 300.0);
    let shift = of(&[boot(&h)], &[boot(&h)], 0.5, &mut random(1));
    assert_eq!(shift.ratio, 1.0);
    let (low, high) = shift.interval.unwrap();
    assert!(low <= 1.0 && high >= 1.0 && shift.p > 0.9);
    assert!(!shift.resolved);
}

#[test]
fn a_tenth_more_is_found_in_a_thousand_samples() {
    let mut made = random(2);
    let (a, b) = (
        histogram(&mut made, 1000, 300.0),
        histogram(&mut made, 1000, 330.0),
    );
    let shift = of(&[boot(&a)], &[boot(&b)], 0.5, &mut random(1));
    assert!((1.07..1.13).contains(&shift.ratio), "{shift:?}");
    assert!(
        shift.interval.unwrap().0 > 1.03 && shift.p < 1e-6,
        "{shift:?}"
    );
}

#[test]
fn relative_to_the_baseline_a_slower_machine_has_not_moved() {
    let mut made = random(3);
    let mut relative = |speed: f64| Boot {
        stale: Empirical::new(&histogram(&mut made, 5000, 300.0 * speed), 1.0).unwrap(),
        baseline: Empirical::new(&histogram(&mut made, 5000, 100.0 * speed), 1.0),
        tick: 1.0,
        grain: 2.0,
        rounds: Vec::new(),
    };
    let shift = of(&[relative(1.0)], &[relative(3.0)], 0.5, &mut random(1));
    assert!((0.97..1.03).contains(&shift.ratio), "{shift:?}");
    assert!(shift.p > 0.001, "{shift:?}");
}

#[test]
fn a_tick_or_two_are_not_resolved() {
    let constant = |value| {
        let mut h = Histogram::new();
        h.add_many(value, 1000);
        h
    };
    let shift = |a, b| {
        of(
            &[boot(&constant(a))],
            &[boot(&constant(b))],
            0.5,
            &mut random(1),
        )
    };
    assert!(!shift(1, 3).resolved);
    assert!(shift(1, 4).resolved);
}

#[test]
fn holm_is_as_in_the_book() {
    let blank = of(
        &[boot(&histogram(&mut random(1), 64, 9.0))],
        &[boot(&histogram(&mut random(1), 64, 9.0))],
        0.5,
        &mut random(1),
    );
    let mut shifts: Vec<_> = [0.04, 0.01, 0.03, 0.005]
        .map(|p| Shift { p, ..blank.clone() })
        .into();
    let mut family: Vec<_> = shifts.iter_mut().collect();
    holm(&mut family, 1.25, 0.05);
    let adjusted: Vec<_> = shifts
        .iter()
        .map(|s| (s.p_adjusted * 1e3).round())
        .collect();
    assert_eq!(adjusted, [60.0, 30.0, 60.0, 20.0]);
}
