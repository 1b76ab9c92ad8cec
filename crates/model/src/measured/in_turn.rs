//! Baseline and case in turn: what a machine does from one moment to the next is in both, and
//! what is certain shows in every round. The first round is a group's ordinary way; here are
//! those that follow, and those that confirm what the first ones show: the same wherever it is
//! measured. docs/method.md says why so.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{Judge, Measured, Series};
use crate::{
    glossary::StaleState,
    outcomes::Outcomes,
    part::{Part, in_order},
    plan::{Case, Group, Plan},
    rounds::{ROUNDS, most_to_confirm},
};

/// What a part of a round brings.
pub enum Brought {
    /// Of each case, in order.
    All(Vec<Box<Measured>>),
    /// The case of this number did not return. It has its verdict by now.
    Blocked(usize),
    /// No answer: cores did not do as they were asked. Fewer rounds say less, and are no error.
    Nothing,
}

/// What measures parts of rounds: the image, or threads of Linux.
pub trait Measures {
    /// These cases with every other core parked (`true`), or in the group's state.
    ///
    /// # Errors
    /// The run cannot go on.
    fn part(
        &mut self,
        group: &Group,
        cases: &[Case],
        parked: bool,
        part: Part,
    ) -> Result<Brought, String>;

    /// Milliseconds since some moment before.
    fn now_ms(&self) -> u64;

    /// What has come of the run so far.
    fn outcomes(&mut self) -> &mut Outcomes;
}

/// The rounds behind the first, of the cases of which that found nothing serious, and then
/// those that confirm. A case that does not return in one leaves the series.
///
/// # Errors
/// Those of [`Measures::part`].
pub fn rounds(
    machine: &mut impl Measures,
    plan: &Plan,
    judge: &Judge,
    group: &Group,
    series: &mut Vec<Series<'_>>,
) -> Result<(), String> {
    let clean: Vec<usize> = (0..series.len())
        .filter(|nth| series[*nth].is_clean())
        .collect();
    let begun = machine.now_ms();
    for nth in 1..ROUNDS {
        if !round(machine, group, series, &clean, Part::nth(nth, ROUNDS))? {
            return Ok(());
        }
    }
    let mut open: Vec<usize> = clean
        .into_iter()
        .filter(|nth| judge.is_candidate(&series[*nth]))
        .collect();
    let took_ms = since(machine, begun);
    let left_ms = machine.outcomes().confirming_left_ms(plan, took_ms);
    let begun = machine.now_ms();
    for nth in 0..most_to_confirm(judge.family) {
        open.retain(|nth| judge.is_open(&series[*nth]));
        if open.is_empty() {
            break;
        }
        if since(machine, begun) >= left_ms {
            machine.outcomes().unconfirmed += open.len();
            break;
        }
        let part = Part {
            only: judge.class(open.iter().map(|nth| &series[*nth])),
            ..Part::nth(ROUNDS + nth, ROUNDS)
        };
        if !round(machine, group, series, &open, part)? {
            break;
        }
    }
    let took_ms = since(machine, begun);
    machine.outcomes().confirming_ms += took_ms;
    Ok(())
}

/// Milliseconds from then until now: none where time seems to run backwards.
fn since(machine: &impl Measures, then: u64) -> u64 {
    machine.now_ms().saturating_sub(then)
}

/// One round of these cases, in both parts. Can others follow?
fn round(
    machine: &mut impl Measures,
    group: &Group,
    series: &mut Vec<Series<'_>>,
    which: &[usize],
    part: Part,
) -> Result<bool, String> {
    let Some(first) = which.first() else {
        return Ok(false);
    };
    let own = group.state == StaleState::Parked && !group.line.needs_stale_core();
    let cases: Vec<Case> = which.iter().map(|nth| *series[*nth].case).collect();
    let (mut bases, mut done) = (None, Vec::new());
    for parked in in_order(series[*first].case.number, part.nth) {
        if parked && own {
            continue;
        }
        match (machine.part(group, &cases, parked, part)?, parked) {
            (Brought::All(found), true) => bases = Some(found),
            (Brought::All(found), false) => done = found,
            (Brought::Blocked(number), _) => {
                series.retain(|series| series.case.number != number);
                return Ok(false);
            }
            (Brought::Nothing, _) => return Ok(false),
        }
    }
    let mut bases = bases.into_iter().flatten();
    for (of, done) in which.iter().zip(done) {
        series[*of].absorb(bases.next(), done, part.nth < ROUNDS);
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
