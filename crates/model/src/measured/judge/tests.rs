use alloc::boxed::Box;

use super::*;
use crate::{
    glossary::{LineState, StaleState, Subject},
    measured::{Measured, Sample},
    options::DEFAULT_SLOWDOWN,
    plan::Case,
    rounds::most_to_confirm,
};

const CASE: Case = Case {
    number: 1,
    subject: Subject::IcIvau,
    state: StaleState::Spin,
    line: LineState::DirtyHere,
};

const JUDGE: Judge = Judge {
    resolution: 2,
    threshold: DEFAULT_SLOWDOWN,
    family: 1,
    hz: 1_000_000_000,
    deadline_ms: 1000,
};

/// A round of which each sample took so long.
fn round(ticks: u64) -> Box<Measured> {
    let mut measured = Box::new(Measured::default());
    measured.issue.add_many(ticks / 2, 13);
    measured.complete.add_many(ticks, 13);
    measured.end_round();
    measured.set_empty(10, 20);
    measured
}

fn series(base: u64, case: u64) -> Series<'static> {
    let mut all = crate::measured::series(&[CASE], [round(case)].into(), [round(base)], None);
    let mut series = all.next().unwrap();
    for _ in 1..ROUNDS {
        series.absorb(Some(round(base)), round(case), true);
    }
    series
}

#[test]
fn what_the_first_rounds_show_is_slowed_only_once_it_is_confirmed() {
    let mut late = series(1000, 3000);
    assert!(JUDGE.is_candidate(&late));
    assert!(!JUDGE.is_candidate(&series(1000, 1100)));
    assert_eq!(JUDGE.class([&late].into_iter()), Some(Class::Complete));
    let (record, _) = JUDGE.record(series(1000, 3000), 16, 0);
    assert_eq!((record.verdict, record.batch), (Verdict::Completed, 16));
    let mut rounds = 0;
    while JUDGE.is_open(&late) {
        late.absorb(Some(round(1000)), round(3000), false);
        rounds += 1;
    }
    assert!(rounds <= most_to_confirm(JUDGE.family), "{rounds}");
    let (record, fault) = JUDGE.record(late, 1, 0);
    assert_eq!(record.verdict, Verdict::Slowed);
    assert!(fault.is_none());
    // The histograms are of the first rounds alone.
    assert_eq!(record.complete.count(), 13 * ROUNDS as u64);
}

#[test]
fn a_clock_that_runs_faster_makes_no_operation_slow() {
    let at = |khz, ticks| {
        let mut round = Box::new(Measured::default());
        round.khz = Some(khz);
        round.complete.add_many(ticks, 13);
        round.end_round();
        round.set_empty(10, 20);
        round
    };
    let is_candidate = |khz| {
        let (done, base) = ([at(khz, 3000)].into(), [at(1_000_000, 1000)]);
        let mut all = crate::measured::series(&[CASE], done, base, None);
        let mut series = all.next().unwrap();
        for _ in 1..ROUNDS {
            series.absorb(Some(at(1_000_000, 1000)), at(khz, 3000), true);
        }
        assert_eq!(series.clock(), Some((1_000_000, khz)));
        JUDGE.is_candidate(&series)
    };
    assert!(is_candidate(1_000_000) && is_candidate(900_000));
    // As many cycles more as there are more of them in the same time.
    assert!(!is_candidate(3_000_000) && !is_candidate(1_600_000));
}

#[test]
fn the_class_that_shows_more_decides() {
    let series = |issue, complete| {
        let measured = |issue, complete| {
            let mut measured = Box::new(Measured::default());
            measured.issue.add_many(issue, 13);
            measured.complete.add_many(complete, 13);
            measured.end_round();
            measured.set_empty(10, 20);
            measured
        };
        let (done, base) = (measured(issue, complete), measured(1000, 2000));
        let mut all = crate::measured::series(&[CASE], [done].into(), [base], None);
        let mut series = all.next().unwrap();
        for _ in 1..ROUNDS {
            series.absorb(Some(measured(1000, 2000)), measured(issue, complete), true);
        }
        series
    };
    let with = |issue, complete| JUDGE.class([&series(issue, complete)].into_iter());
    assert_eq!(with(1000, 2000), Some(Class::Complete));
    assert_eq!(with(1000, 6000), Some(Class::Complete));
    assert_eq!(with(3000, 6000), Some(Class::Complete));
    assert_eq!(with(3000, 5000), Some(Class::Issue));
    assert_eq!(with(3000, 2000), Some(Class::Issue));
    // Not beyond the threshold: nothing to confirm.
    assert_eq!(with(1900, 2000), Some(Class::Complete));
    // Several that are confirmed together have one class or all of them.
    let [issue, complete] = [(3000, 2000), (3000, 6000)].map(|(i, c)| series(i, c));
    let of = |all: [&Series<'_>; 2]| JUDGE.class(all.into_iter());
    assert_eq!(of([&issue, &issue]), Some(Class::Issue));
    assert_eq!(of([&complete, &complete]), Some(Class::Complete));
    assert_eq!(of([&issue, &complete]), None);
    assert_eq!(of([&complete, &issue]), None);
}

/// A case and its baseline of 1000 ticks a sample, with one sample of so many ticks in
/// the third round of each.
fn one_of(base: u64, case: u64) -> Series<'static> {
    let mut all = crate::measured::series(&[CASE], [round(1000)].into(), [round(1000)], None);
    let mut series = all.next().unwrap();
    for nth in 1..ROUNDS {
        let with = |ticks: u64| {
            let mut one = Box::new(Measured::default());
            one.complete.add_many(1000, 13);
            if nth == 2 {
                one.complete.add(ticks);
                let sample = Sample {
                    ticks,
                    class: Class::Complete,
                    nth: 14,
                    operand: 0x4000,
                };
                one.add_longest(3, sample, 700);
            }
            one.end_round();
            one.set_empty(10, 20);
            one
        };
        series.absorb(Some(with(base)), with(case), true);
    }
    series
}

#[test]
fn a_single_sample_far_beyond_all_controls_is_late_with_its_place() {
    let late = |base, case| JUDGE.record(one_of(base, case), 1, 1000).0;
    let record = late(1000, 200_000_000);
    assert_eq!(record.verdict, Verdict::Completed);
    let found = record.late.unwrap();
    assert_eq!((found.cpu, found.round, found.nth), (3, 3, 14));
    assert_eq!((found.ticks, found.control), (200_000_000, 1000));
    assert_eq!((found.at_ms, found.ago_ms), (700, 300));
    assert!(found.complete && found.operand == Hex(0x4000));
    // 100 µs, and a hundred times what is usual, both of which are 100,000 ticks here,
    // but medians are known to a sixteenth.
    assert!(late(1000, 93_000).late.is_none());
    assert!(late(1000, 107_000).late.is_some());
    // With a counter ten times as fast 100 µs are a million ticks, and they alone decide.
    let faster = Judge {
        hz: 10 * JUDGE.hz,
        ..JUDGE
    };
    let late_there = |case| faster.record(one_of(1000, case), 1, 1000).0.late;
    assert!(late_there(1_000_000).is_none() && late_there(1_000_001).is_some());
    // A control that was nearly as long.
    assert!(late(60_000_000, 200_000_000).late.is_none());
    assert!(late(40_000_000, 200_000_000).late.is_some());
    // What takes no operand has none.
    const ALL: Case = Case {
        subject: Subject::IcIalluis,
        ..CASE
    };
    let mut all = one_of(1000, 200_000_000);
    all.case = &ALL;
    assert_eq!(JUDGE.record(all, 1, 1000).0.late.unwrap().operand, Hex(0));
    // Without a baseline there is no control.
    let mut alone = one_of(1000, 200_000_000);
    alone.base = None;
    assert!(JUDGE.record(alone, 1, 1000).0.late.is_none());
}

#[test]
fn what_outlasts_the_deadline_unseen_is_not_fine() {
    let of = |ms: u64| JUDGE.record(one_of(1000, ms * 1_000_000), 1, 1000).0;
    assert_eq!(of(1000).verdict, Verdict::Completed);
    // The baseline's are the same operation.
    assert_eq!(
        JUDGE.record(one_of(1_386_000_000, 1000), 1, 1000).0.verdict,
        Verdict::Inconclusive
    );
    let unseen = of(1386);
    assert_eq!(unseen.verdict, Verdict::Inconclusive);
    assert!(unseen.why.unwrap().starts_with("one sample took 1386 ms"));
    assert_eq!(unseen.late.unwrap().cpu, 3);
    let mut routine = one_of(1000, 1_386_000_000);
    let case = Case {
        subject: Subject::FlushIcacheRange,
        ..CASE
    };
    routine.case = &case;
    assert_eq!(JUDGE.record(routine, 1, 0).0.verdict, Verdict::Completed);
}

#[test]
fn rounds_are_told_only_where_they_show_something() {
    let told = |base, case| JUDGE.record(series(base, case), 1, 0).0.rounds.is_some();
    assert!(told(1000, 3000) && told(3000, 1000));
    assert!(!told(1000, 1000) && !told(1000, 1100));
}

#[test]
fn behind_a_dwell_the_earliest_is_held_against_the_latest() {
    let verdict = |ticks: [u64; 5]| {
        let mut all = series(1000, 1000);
        for (nth, ticks) in ticks.into_iter().enumerate() {
            all.done.add_dwell(50, *round(ticks));
            let base = all.base.as_mut().unwrap();
            base.add_dwell(50, *round(1000 - nth as u64));
        }
        JUDGE.record(all, 1, 0).0.verdict
    };
    assert_eq!(verdict([3000, 4000, 2001, 5000, 3000]), Verdict::Slowed);
    // At the threshold is not beyond it.
    assert_eq!(verdict([3000, 4000, 2000, 5000, 3000]), Verdict::Completed);
    assert_eq!(verdict([1000; 5]), Verdict::Completed);
}

#[test]
fn what_is_worse_than_late_comes_first() {
    let verdict = |change: &dyn Fn(&mut Measured)| {
        let mut series = series(1000, 3000);
        change(&mut series.done);
        let (record, fault) = JUDGE.record(series, 1, 0);
        (record.verdict, fault.is_some())
    };
    let taken = Some((3, [1, 2, 3], -14));
    assert_eq!(verdict(&|d| d.fault = taken), (Verdict::Faulted, true));
    assert_eq!(
        verdict(&|d| d.missed = true),
        (Verdict::Inconclusive, false)
    );
    let older = Some((3, 8, 7));
    assert_eq!(
        verdict(&|d| d.stale_code = older),
        (Verdict::Incoherent, false)
    );
    assert_eq!(
        verdict(&|d| d.stale_store = Some((0, 0x5000))),
        (Verdict::Incoherent, false)
    );
    assert_eq!(
        verdict(&|d| d.unseen = Some(3)),
        (Verdict::Inconclusive, false)
    );
    assert_eq!(
        verdict(&|d| *d = Measured::lacking("no core".into())),
        (Verdict::Skipped, false)
    );
    let mut doubted = series(1000, 1000);
    doubted.doubt = Some("it left".into());
    assert!(!doubted.is_clean());
    let (record, _) = JUDGE.record(doubted, 1, 0);
    assert_eq!(record.verdict, Verdict::Inconclusive);
}
