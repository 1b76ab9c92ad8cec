//! A part of a round: cases run on their initiators, with the other threads asleep or in
//! their state.

use stalecore_model::{
    glossary::{StaleState, Subject},
    measured::Measured,
    part::{Part, baseline_line},
    plan::{Case, Group},
    words,
};
use stalecore_routines::probe::batch_of;

use crate::{
    blocks::Blocked,
    entered::Entered,
    flight::BLOCKED,
    initiator::{COUNTER, Order, Results},
    report,
    run::Run,
    threads::Task,
    watch::{self, Watched},
};

/// Samples of the empty block in each visit.
const OF_EMPTY: u32 = 16;

/// What a visit to a state brings.
pub struct Visit {
    /// Of the cases that returned, in order.
    pub done: Vec<Box<Measured>>,
    /// Did the next one not?
    pub blocked: bool,
}

impl Run<'_> {
    /// A part of a round: these cases with every other thread asleep (`parked`), or in the
    /// group's state; until one does not return.
    pub(crate) fn visits(
        &mut self,
        group: &Group,
        cases: &[Case],
        parked: bool,
        part: Part,
    ) -> Result<Visit, String> {
        // Lines that stale threads touched are so once.
        let most = if group.line.needs_stale_core() {
            1
        } else {
            cases.len()
        };
        let mut all = Visit {
            done: Vec::new(),
            blocked: false,
        };
        for these in cases.chunks(most.max(1)) {
            let (state, line) = match parked {
                true => (StaleState::Parked, baseline_line(group)),
                false => (group.state, group.line),
            };
            let cpus = self.stale();
            let touch = (line, self.size);
            let of = cpus.len();
            let mut entered =
                Entered::enter(&self.threads, &mut self.tell, &cpus, state, touch, of)?;
            let visit = self.visit(these, &mut entered, parked, part);
            let shown = match self.ended {
                true => Ok(()),
                false => entered.show(&self.threads),
            };
            if !self.ended {
                entered.release(&self.threads, &mut self.tell)?;
            } else {
                // Whatever else: no CPU stays away for it.
                entered.unlock();
                entered.online(&self.threads, &mut self.tell)?;
            }
            let visit = visit?;
            if !visit.blocked {
                shown?;
            }
            all.done.extend(visit.done);
            if visit.blocked {
                all.blocked = true;
                break;
            }
        }
        Ok(all)
    }

    fn visit(
        &mut self,
        cases: &[Case],
        entered: &mut Entered,
        parked: bool,
        part: Part,
    ) -> Result<Visit, String> {
        let stale = if parked { 0 } else { entered.cpus.len() };
        let Some(first) = cases.first() else {
            return Err("no case".into());
        };
        let empty = Case {
            subject: Subject::None,
            ..*first
        };
        let order = Order {
            samples: OF_EMPTY,
            only: None,
            ..self.order(&empty, 0, Part::WHOLE)
        };
        let empty = match self.hand_over(&empty, &order, entered, parked)? {
            Some(empty) => (empty.median(), empty.max()),
            // No operation: its thread is not run.
            None => return Err("an empty timed block was held up".into()),
        };
        let mut done = Vec::new();
        for case in cases {
            let order = self.order(case, stale, part);
            let order = Order {
                sweep: self.plan.sweep && part.nth == 0 && !parked,
                ..order
            };
            report::running(case.number);
            self.tell_flight(case, parked, part)?;
            let Some(mut measured) = self.hand_over(case, &order, entered, parked)? else {
                return Ok(Visit {
                    done,
                    blocked: true,
                });
            };
            measured.set_empty(empty.0, empty.1);
            if measured.cut && part.nth < part.of {
                self.outcomes.cut(case.number);
            }
            done.push(measured);
        }
        Ok(Visit {
            done,
            blocked: false,
        })
    }

    /// Writes what is about to run to the disk.
    fn tell_flight(&mut self, case: &Case, parked: bool, part: Part) -> Result<(), String> {
        let stale = self.stale();
        let others = match parked {
            true => format!("{} asleep (its baseline)", words::cpus(&stale)),
            false => format!("{} in {}", words::cpus(&stale), case.state),
        };
        let line = format!(
            "case {}, {} under {}, on {}, {others}, round {}",
            case.number,
            case.subject,
            case.state,
            words::cpus(&self.plan.roles.initiators),
            part.nth + 1
        );
        self.flight
            .write(&line)
            .map_err(|error| format!("{}: {error}", self.dir.display()))
    }

    fn order(&self, case: &Case, stale: usize, part: Part) -> Order {
        Order {
            subject: case.subject,
            line: case.line,
            size: self.size,
            samples: part.share(self.options.samples),
            parts: part.times(),
            only: part.only,
            batch: batch_of(case.subject, COUNTER),
            sweep: false,
            stale,
            deadline_ms: self.plan.deadline_ms,
            generation: self.generation,
        }
    }

    /// Has the initiators carry out an order, all at once; `None` if one did not return,
    /// which has been told then.
    fn hand_over(
        &mut self,
        case: &Case,
        order: &Order,
        entered: &mut Entered,
        parked: bool,
    ) -> Result<Option<Box<Measured>>, String> {
        let initiators = self.plan.roles.initiators;
        for cpu in initiators.iter() {
            self.threads.ask(cpu, Task::Measure(Box::new(*order)));
        }
        let mut found = Vec::new();
        match watch::watch(
            &self.threads,
            &initiators,
            self.plan.deadline_ms,
            &mut found,
        ) {
            Watched::Returned => Ok(Some(Box::new(self.collect(found)))),
            Watched::Starved(cpu) => {
                self.ended = true;
                Err(format!(
                    "CPU {cpu}: Linux did not run the initiator's thread for {} ms: too busy to \
                     measure anything (--fifo, or a quieter machine)",
                    self.plan.deadline_ms * 10
                ))
            }
            Watched::Held(held) => {
                let line = format!(
                    "case {}, {} under {}: stood still for {} ms{BLOCKED}",
                    case.number,
                    case.subject,
                    case.state,
                    held.waited_ms()
                );
                // The record counts, whatever the disk says.
                let _ = self.flight.write(&line);
                self.blocked(Blocked {
                    case,
                    held: &held,
                    parked,
                    found: &mut found,
                    entered,
                });
                Ok(None)
            }
        }
    }

    /// Takes the initiators' results together.
    fn collect(&mut self, found: Vec<(usize, Results)>) -> Measured {
        let mut all = Measured::default();
        let several = found.len() > 1;
        for (cpu, results) in found {
            self.generation = self.generation.max(results.generation);
            self.dropped += results.dropped;
            self.taken += results.taken;
            all.add(cpu, &results.issue, &results.complete, several);
            if let Some((sample, ended)) = results.longest {
                all.add_longest(cpu, sample, self.ms_until(ended));
            }
            all.cut |= results.cut;
            if all.sweep.is_empty() {
                all.sweep = results.sweep;
            }
            if let Some((expected, seen)) = results.stale_code {
                all.stale_code.get_or_insert((cpu, expected, seen));
            }
        }
        all.end_round();
        all
    }
}
