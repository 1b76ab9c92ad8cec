//! Baseline and case in turn, as the image does it: the rounds behind the first, and those
//! that confirm what the first ones show.

use std::time::Instant;

use stalecore_model::{
    glossary::StaleState,
    measured::Series,
    part::{Part, in_order},
    plan::{Case, Group},
    rounds::{ROUNDS, most_to_confirm},
};

use crate::{run::Run, visits::Visit};

impl Run<'_> {
    /// The rounds behind the first, of the cases of which that found nothing serious.
    pub(crate) fn rounds(
        &mut self,
        group: &Group,
        series: &mut Vec<Series<'_>>,
    ) -> Result<(), String> {
        let clean: Vec<usize> = (0..series.len())
            .filter(|nth| series[*nth].is_clean())
            .collect();
        let ms_since =
            |begun: Instant| u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let begun = Instant::now();
        for nth in 1..ROUNDS {
            if !self.round(group, series, &clean, Part::nth(nth, ROUNDS))? {
                return Ok(());
            }
        }
        let judge = self.judge;
        let mut open: Vec<usize> = clean
            .into_iter()
            .filter(|nth| judge.is_candidate(&series[*nth]))
            .collect();
        let left_ms = self.outcomes.confirming_left_ms(self.plan, ms_since(begun));
        let begun = Instant::now();
        for nth in 0..most_to_confirm(judge.family) {
            open.retain(|nth| judge.is_open(&series[*nth]));
            if open.is_empty() {
                break;
            }
            if ms_since(begun) >= left_ms {
                self.outcomes.unconfirmed += open.len();
                break;
            }
            let part = Part {
                only: judge.class(open.iter().map(|nth| &series[*nth])),
                ..Part::nth(ROUNDS + nth, ROUNDS)
            };
            if !self.round(group, series, &open, part)? {
                break;
            }
        }
        self.outcomes.confirming_ms += ms_since(begun);
        Ok(())
    }

    /// One round of these cases, in both parts. Can others follow?
    fn round(
        &mut self,
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
            let found = match self.visits(group, &cases, parked, part) {
                // Fewer rounds say less, and are no error.
                Err(_) if !self.ended => return Ok(false),
                found => found?,
            };
            if let Visit {
                blocked: true,
                done,
            } = &found
            {
                let number = cases[done.len().min(cases.len() - 1)].number;
                series.retain(|series| series.case.number != number);
                return Ok(false);
            }
            match parked {
                true => bases = Some(found.done),
                false => done = found.done,
            }
        }
        let mut bases = bases.into_iter().flatten();
        for (of, done) in which.iter().zip(done) {
            series[*of].absorb(bases.next(), done, part.nth < ROUNDS);
        }
        Ok(true)
    }
}
