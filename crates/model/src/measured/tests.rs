use alloc::vec::Vec;

use super::*;
use crate::glossary::{LineState, StaleState, Subject};

const FAULT: Taken = (2, [1, 2, 3], -14);

fn of(ticks: &[u64]) -> Histogram {
    let mut all = Histogram::new();
    ticks.iter().for_each(|ticks| all.add(*ticks));
    all
}

fn issued(ticks: &[u64]) -> Measured {
    let mut measured = Measured::default();
    measured.add(0, &of(ticks), &Histogram::new(), false);
    measured
}

const fn case() -> Case {
    Case {
        number: 1,
        subject: Subject::IcIvau,
        state: StaleState::Spin,
        line: LineState::DirtyHere,
    }
}

fn sample(ticks: u64) -> Sample {
    Sample {
        ticks,
        class: Class::Issue,
        nth: 1,
        operand: 0,
    }
}

#[test]
fn what_was_measured_behind_dwells_stays_apart_by_their_length() {
    let one = |ticks, fault| Measured {
        complete: of(&[ticks]),
        fault,
        ..Measured::default()
    };
    let mut all = Measured::default();
    all.add_dwell(50, one(7, None));
    all.add_dwell(50, one(9, Some(FAULT)));
    all.add_dwell(100, one(8, Some((3, [0; 3], 0))));
    let told: Vec<_> = all.dwells.iter().map(|(ms, h)| (*ms, h.count())).collect();
    assert_eq!(told, [(50, 2), (100, 1)]);
    assert_eq!((all.dwells[0].1.max(), all.fault), (Some(9), Some(FAULT)));
}

#[test]
fn each_initiator_has_figures_of_its_own_where_there_are_several() {
    let mut all = Measured::default();
    all.add(0, &of(&[5, 6, 7]), &of(&[20]), false);
    assert!(all.initiators.is_empty());
    assert_eq!((all.median(), all.max()), (6, 20));
    all.add(1, &of(&[3]), &of(&[30, 40, 50]), true);
    all.add(2, &of(&[4, 4]), &Histogram::new(), true);
    let told: Vec<_> = all
        .initiators
        .iter()
        .map(|own| (own.cpu, own.count, own.p50, own.p99, own.max))
        .collect();
    // With the DSB, where there is that.
    assert_eq!(told, [(1, 3, 40, 50, 50), (2, 2, 4, 4, 4)]);
    assert_eq!((all.issue.count(), all.complete.count()), (6, 4));
}

#[test]
fn the_first_of_the_longest_samples_is_kept_with_its_round() {
    let mut all = issued(&[9]);
    all.add_longest(0, sample(9), 1);
    all.end_round();
    all.add_longest(1, sample(9), 2);
    all.add_longest(1, sample(8), 3);
    let longest = all.longest.unwrap();
    assert_eq!((longest.cpu, longest.round, longest.at_ms), (0, 0, 1));
    let mut more = issued(&[10]);
    more.add_longest(3, sample(10), 4);
    more.end_round();
    all.absorb(more);
    let longest = all.longest.unwrap();
    assert_eq!((longest.cpu, longest.round, longest.at_ms), (3, 1, 4));
}

#[test]
fn what_is_usual_beside_it_is_the_largest_of_medians_and_empty_blocks() {
    let mut all = issued(&[9, 9, 900]);
    all.end_round();
    all.set_empty(11, 70);
    all.set_empty(12, 60);
    assert_eq!(all.medians[0].empty, 12);
    let beside = |control, from| {
        let mut told = from;
        all.beside(control, &mut told);
        told
    };
    assert_eq!(beside(false, (0, 0)), (12, 70));
    assert_eq!(beside(true, (0, 0)).0, 12);
    assert_eq!(beside(true, (0, 0)).1, all.max());
    // It only raises.
    assert_eq!(beside(false, (13, 71)), (13, 71));
}

#[test]
fn clean_is_what_returned_and_did_what_it_should() {
    assert!(Measured::default().is_clean());
    assert_eq!(
        (Measured::default().median(), Measured::default().max()),
        (0, 0)
    );
    assert!(!Measured::lacking("no counter".into()).is_clean());
    let with = |change: fn(&mut Measured)| {
        let mut measured = Measured::default();
        change(&mut measured);
        measured.is_clean()
    };
    assert!(!with(|m| m.fault = Some(FAULT)));
    assert!(!with(|m| m.stale_code = Some((1, 2, 3))));
    assert!(!with(|m| m.unseen = Some(1)));
    assert!(with(|m| m.cut = true));
}

#[test]
fn a_further_round_adds_to_what_there_is() {
    let mut all = issued(&[5]);
    all.initiators.push(InitiatorRecord {
        cpu: 1,
        count: 1,
        p50: 5,
        p99: 5,
        max: 5,
    });
    all.end_round();
    all.set_empty(1, 40);
    let mut more = issued(&[6, 7]);
    more.initiators.push(InitiatorRecord {
        cpu: 1,
        count: 2,
        p50: 6,
        p99: 7,
        max: 7,
    });
    more.end_round();
    more.set_empty(1, 30);
    (more.cut, more.stale_code, more.fault) = (true, Some((1, 2, 3)), Some(FAULT));
    all.absorb(more);
    assert_eq!((all.medians.len(), all.issue.count()), (2, 3));
    assert_eq!((all.longest_empty, all.cut), (40, true));
    assert_eq!((all.stale_code, all.fault), (Some((1, 2, 3)), Some(FAULT)));
    assert_eq!((all.initiators[0].count, all.initiators[0].max), (3, 7));
    // What was known stays.
    all.absorb(Measured {
        fault: Some((9, [0; 3], 0)),
        stale_code: Some((9, 9, 9)),
        ..Measured::default()
    });
    assert_eq!((all.stale_code, all.fault), (Some((1, 2, 3)), Some(FAULT)));
    assert!(all.cut);
}

#[test]
fn a_class_without_samples_has_no_rounds_and_a_baseline_has_as_many() {
    let mut all = issued(&[5]);
    all.end_round();
    assert!(all.rounds(Class::Issue, None).is_some());
    assert!(all.rounds(Class::Complete, None).is_none());
    assert!(all.rounds(Class::Issue, Some(&all.clone())).is_some());
    assert!(
        all.rounds(Class::Issue, Some(&Measured::default()))
            .is_none()
    );
    assert!(Measured::default().rounds(Class::Issue, None).is_none());
}

#[test]
fn a_state_was_missed_that_was_in_each_round_and_looks_add_up() {
    let round = |missed, looks| Measured {
        missed,
        looks,
        ..Measured::default()
    };
    for (first, second, both) in [
        (true, true, true),
        (true, false, false),
        (false, true, false),
    ] {
        let mut all = round(first, 3);
        all.absorb(round(second, 4));
        assert_eq!((all.missed, all.looks), (both, 7));
    }
}

#[test]
fn the_rounds_of_the_longest_sample_are_counted_on() {
    let ended = |times| {
        let mut all = issued(&[1]);
        (0..times).for_each(|_| all.end_round());
        all
    };
    let mut more = ended(1);
    more.add_longest(2, sample(50), 9);
    more.end_round();
    let mut all = ended(3);
    all.absorb(more.clone());
    assert_eq!(all.longest.unwrap().round, 4);
    // Those that confirm come after the first ones.
    let case = case();
    let mut series = Series {
        case: &case,
        done: Box::new(ended(5)),
        base: None,
        fresh: None,
        doubt: None,
    };
    assert!(series.longest().is_none());
    series.fresh = Some([Box::default(), Box::new(more)]);
    assert_eq!(series.longest().unwrap().round, 6);
    series.done.add_longest(3, sample(51), 8);
    let longest = series.longest().unwrap();
    assert_eq!((longest.cpu, longest.round), (3, 5));
}

#[test]
fn what_is_found_while_a_time_is_confirmed_is_the_case_s() {
    let case = case();
    let mut series = Series {
        case: &case,
        done: Box::new(issued(&[1])),
        base: Some(Box::new(issued(&[1]))),
        fresh: None,
        doubt: None,
    };
    let worse = |looks| Measured {
        looks,
        fault: Some(FAULT),
        stale_code: Some((1, 2, 3)),
        stale_store: Some((1, 0x4000)),
        ..issued(&[9])
    };
    let confirm = |series: &mut Series<'_>, looks| {
        series.absorb(Some(Box::default()), Box::new(worse(looks)), false);
    };
    confirm(&mut series, 3);
    confirm(&mut series, 4);
    assert_eq!((series.done.looks, series.done.fault), (7, Some(FAULT)));
    assert_eq!(series.done.stale_code, Some((1, 2, 3)));
    assert_eq!(series.done.stale_store, Some((1, 0x4000)));
    // Its samples are no part of the first rounds.
    let fresh = series.fresh.as_ref().unwrap();
    assert_eq!((series.done.issue.count(), fresh[1].issue.count()), (1, 2));
    assert!(!series.is_clean());
}

#[test]
fn the_clock_is_that_of_the_round_in_the_middle() {
    let mut all = Measured::default();
    assert_eq!(all.clock(), None);
    let mut rounds = |khz: &[Option<u64>]| {
        for khz in khz {
            all.khz = *khz;
            all.end_round();
        }
        all.clock()
    };
    assert_eq!(
        rounds(&[Some(5), Some(1), Some(4), Some(2), Some(3)]),
        Some(3)
    );
    // A round in which nobody knew it is none.
    assert_eq!(rounds(&[None, None]), Some(3));
    assert_eq!(rounds(&[Some(6)]), Some(4));
}
