//! The parts of the rounds behind the first.

use std::time::Instant;

use stalecore_model::{
    measured::in_turn::{Brought, Measures},
    outcomes::Outcomes,
    part::Part,
    plan::{Case, Group},
};

use crate::{run::Run, visits::Visit};

impl Measures for Run<'_> {
    fn part(
        &mut self,
        group: &Group,
        cases: &[Case],
        parked: bool,
        part: Part,
    ) -> Result<Brought, String> {
        let visit = match self.visits(group, cases, parked, part) {
            Err(_) if !self.ended => return Ok(Brought::Nothing),
            visit => visit?,
        };
        let Visit { done, blocked } = visit;
        Ok(match cases.get(done.len()) {
            Some(case) if blocked => Brought::Blocked(case.number),
            _ => Brought::All(done),
        })
    }

    fn now_ms(&self) -> u64 {
        self.ms_until(Instant::now())
    }

    fn outcomes(&mut self) -> &mut Outcomes {
        &mut self.outcomes
    }
}
