use alloc::{string::ToString, vec};

use super::*;
use crate::{
    options::{DEFAULT_SLOWDOWN, Options},
    rounds::{CONFIRMING_MS, Class},
};

const JUDGE: Judge = Judge {
    resolution: 2,
    threshold: DEFAULT_SLOWDOWN,
    family: 3,
    hz: 1_000_000_000,
    deadline_ms: 1000,
};

/// Two groups of three cases.
fn plan() -> Plan {
    let options = "stalecore.ops=ic-ivau,dc-civac,dc-cvau stalecore.stale=spin,wfe";
    Plan::new(&Options::from_bootargs(options).unwrap(), 4).unwrap()
}

/// What comes of a part.
type Came = Result<Brought, String>;

/// Each part takes so long, and an operation so many ticks beside stale cores, 1000 without.
struct Machine {
    ticks: fn(&Case) -> u64,
    part_ms: u64,
    now_ms: u64,
    /// Does its clock run backwards?
    back: bool,
    outcomes: Outcomes,
    /// The cases of each part, and what it was asked.
    asked: Vec<(Vec<usize>, bool, Part)>,
    /// What comes of that part, if it is not as usual.
    odd: fn(usize, &[Case]) -> Option<Came>,
}

impl Machine {
    fn new(ticks: fn(&Case) -> u64) -> Self {
        Self {
            ticks,
            part_ms: 10,
            now_ms: 0,
            back: false,
            outcomes: Outcomes::new(false),
            asked: Vec::new(),
            odd: |_, _| None,
        }
    }

    /// The series of the plan's first group behind its first round, and then the others.
    fn rounds<'a>(&mut self, plan: &'a Plan) -> (Vec<Series<'a>>, Result<(), String>) {
        let group = &plan.groups[0];
        let done = group.cases.iter().map(|case| took((self.ticks)(case)));
        let base = group.cases.iter().map(|_| took(1000));
        let mut series = super::super::series(&group.cases, done.collect(), base, None).collect();
        let result = rounds(self, plan, &JUDGE, group, &mut series);
        (series, result)
    }

    /// The parts that were to confirm.
    fn confirming(&self) -> Vec<&(Vec<usize>, bool, Part)> {
        let all = self.asked.iter();
        all.filter(|(_, _, part)| part.nth >= part.of).collect()
    }
}

impl Measures for Machine {
    fn part(&mut self, _: &Group, cases: &[Case], parked: bool, part: Part) -> Came {
        let nth = self.asked.len();
        let numbers = cases.iter().map(|case| case.number).collect();
        self.asked.push((numbers, parked, part));
        match self.back {
            true => self.now_ms -= self.part_ms,
            false => self.now_ms += self.part_ms,
        }
        (self.odd)(nth, cases).unwrap_or_else(|| {
            let ticks = |case| if parked { 1000 } else { (self.ticks)(case) };
            let all = cases.iter().map(|case| took(ticks(case)));
            Ok(Brought::All(all.collect()))
        })
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn outcomes(&mut self) -> &mut Outcomes {
        &mut self.outcomes
    }
}

fn took(ticks: u64) -> Box<Measured> {
    let mut measured = Box::new(Measured::default());
    measured.complete.add_many(ticks, 13);
    measured.end_round();
    measured.set_empty(10, 20);
    measured
}

fn the_first_is_late(case: &Case) -> u64 {
    if case.number == 1 { 3000 } else { 1000 }
}

fn numbers(series: &[Series<'_>]) -> Vec<usize> {
    series.iter().map(|series| series.case.number).collect()
}

#[test]
fn baseline_and_case_are_in_each_round_and_nothing_is_confirmed_that_is_not_late() {
    let (plan, mut machine) = (plan(), Machine::new(|_| 1000));
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    assert_eq!(machine.asked.len(), 2 * (ROUNDS - 1));
    for (nth, round) in machine.asked.chunks(2).enumerate() {
        let of_round = |(cases, _, part): &(Vec<usize>, bool, Part)| {
            *cases == [1, 2, 3] && *part == Part::nth(nth + 1, ROUNDS)
        };
        assert!(round.iter().all(of_round), "{round:?}");
        assert_ne!(round[0].1, round[1].1);
    }
    // Each of the two comes first now and then.
    let firsts: Vec<bool> = machine.asked.chunks(2).map(|round| round[0].1).collect();
    assert!(
        firsts.contains(&true) && firsts.contains(&false),
        "{firsts:?}"
    );
    assert!(series.iter().all(|series| series.fresh.is_none()));
    let count = |series: &Series<'_>| series.done.complete.count();
    assert!(
        series
            .iter()
            .all(|series| count(series) == 13 * ROUNDS as u64)
    );
    assert_eq!(machine.outcomes.confirming_ms, 0);
}

#[test]
fn what_is_late_is_confirmed_alone_until_it_is_certain() {
    let (plan, mut machine) = (plan(), Machine::new(the_first_is_late));
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    let confirming = machine.confirming();
    // In the class that decides, and no other.
    let alone = |(cases, _, part): &&(Vec<usize>, bool, Part)| {
        *cases == [1] && part.only == Some(Class::Complete)
    };
    assert!(confirming.iter().all(alone), "{confirming:?}");
    let rounds = confirming.len() / 2;
    assert!(
        (12..=most_to_confirm(JUDGE.family)).contains(&rounds),
        "{rounds}"
    );
    assert!(!JUDGE.is_open(&series[0]));
    let [_, fresh] = series[0].fresh.as_ref().unwrap();
    let counts = [&series[0].done, fresh].map(|measured| measured.complete.count());
    assert_eq!(counts, [ROUNDS, rounds].map(|rounds| 13 * rounds as u64));
    assert!(series[1].fresh.is_none() && series[2].fresh.is_none());
    assert_eq!(machine.outcomes.confirming_ms, 20 * rounds as u64);
    assert_eq!(machine.outcomes.unconfirmed, 0);
}

#[test]
fn there_is_an_end_of_confirming() {
    let (plan, mut machine) = (plan(), Machine::new(the_first_is_late));
    // More than what is left for a group of two, by the second round.
    machine.part_ms = CONFIRMING_MS;
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    let first_ms = 2 * (ROUNDS as u64 - 1) * CONFIRMING_MS;
    let mut fresh = Outcomes::new(false);
    let left_ms = fresh.confirming_left_ms(&plan, first_ms);
    let rounds = machine.confirming().len() as u64 / 2;
    assert_eq!(rounds, left_ms.div_ceil(2 * CONFIRMING_MS));
    assert_eq!(machine.outcomes.unconfirmed, 1);
    assert!(JUDGE.is_open(&series[0]));
    fresh.confirming_ms = machine.outcomes.confirming_ms;
    assert_eq!(fresh.confirming_ms, 2 * rounds * CONFIRMING_MS);
}

/// As where a counter was read wrongly in each of fifty tries.
#[test]
fn time_that_runs_backwards_takes_nothing_from_what_is_left() {
    let (plan, mut machine) = (plan(), Machine::new(the_first_is_late));
    machine.now_ms = CONFIRMING_MS;
    machine.back = true;
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    assert!(!JUDGE.is_open(&series[0]));
    assert_eq!(machine.outcomes.unconfirmed, 0);
    assert_eq!(machine.outcomes.confirming_ms, 0);
}

#[test]
fn what_does_not_return_ends_the_rounds_and_leaves_the_series() {
    let (plan, mut machine) = (plan(), Machine::new(the_first_is_late));
    machine.odd = |nth, cases| (nth == 3).then(|| Ok(Brought::Blocked(cases[1].number)));
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    assert_eq!(machine.asked.len(), 4);
    assert_eq!(numbers(&series), [1, 3]);
    // The round whose other part returned is not half of one.
    assert_eq!(series[0].done.complete.count(), 26);
}

#[test]
fn where_cores_do_not_do_as_asked_fewer_rounds_are_no_error() {
    let (plan, mut machine) = (plan(), Machine::new(the_first_is_late));
    machine.odd = |nth, _| (nth == 4).then_some(Ok(Brought::Nothing));
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    assert_eq!((machine.asked.len(), numbers(&series)), (5, vec![1, 2, 3]));
    // Behind the first rounds, what they have shown is not confirmed, and not lost.
    let mut machine = Machine::new(the_first_is_late);
    machine.odd = |nth, _| (nth == 2 * ROUNDS).then_some(Ok(Brought::Nothing));
    let (series, result) = machine.rounds(&plan);
    result.unwrap();
    assert_eq!(machine.asked.len(), 2 * ROUNDS + 1);
    assert!(JUDGE.is_open(&series[0]));
    assert_eq!(machine.outcomes.confirming_ms, 30);
}

#[test]
fn what_ends_the_run_is_its_error() {
    let (plan, mut machine) = (plan(), Machine::new(|_| 1000));
    machine.odd = |nth, _| (nth == 1).then(|| Err("CPU 3 is lost".to_string()));
    let (series, result) = machine.rounds(&plan);
    assert_eq!(result.unwrap_err(), "CPU 3 is lost");
    assert_eq!(numbers(&series), [1, 2, 3]);
}

#[test]
fn what_was_faulted_has_no_more_rounds_and_parked_is_its_own_baseline() {
    let plan = plan();
    let mut group = plan.groups[0].clone();
    let mut machine = Machine::new(|_| 1000);
    let of = |cases: &[Case]| cases.iter().map(|_| took(1000)).collect::<Vec<_>>();
    let base = of(&group.cases);
    let mut series: Vec<_> =
        super::super::series(&group.cases, of(&group.cases), base, None).collect();
    series[1].done.fault = Some((0, [0; 3], 0));
    rounds(&mut machine, &plan, &JUDGE, &group, &mut series).unwrap();
    assert!(machine.asked.iter().all(|(cases, ..)| *cases == [1, 3]));
    drop(series);
    group.state = StaleState::Parked;
    let mut machine = Machine::new(|_| 1000);
    let mut series: Vec<_> =
        super::super::series(&group.cases, of(&group.cases), [], None).collect();
    rounds(&mut machine, &plan, &JUDGE, &group, &mut series).unwrap();
    assert_eq!(machine.asked.len(), ROUNDS - 1);
    assert!(machine.asked.iter().all(|(_, parked, _)| !parked));
}
