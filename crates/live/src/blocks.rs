//! What is done about an operation that does not return: it is told of, and then one thing
//! after the other is tried on the stale threads.

use std::{
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    glossary::Verdict,
    plan::Case,
    record::{BASELINE_BLOCKED, Block, CaseRecord, MOMENT, Record, Rung, RungRecord, WAITED},
};
use stalecore_routines::instructions;

use crate::{
    calls,
    entered::Entered,
    initiator::Results,
    report,
    run::Run,
    watch::{self, Held, Watched},
};

/// How long a rung may take to show, in milliseconds: a quarter of the deadline, within
/// these.
const TIMEOUT_MS: (u64, u64) = (600, 1000);

/// A block, and where it happened.
pub struct Blocked<'a> {
    /// The case.
    pub case: &'a Case,
    /// The operation.
    pub held: &'a Held,
    /// Was every other thread asleep?
    pub parked: bool,
    /// What the other initiators have brought.
    pub found: &'a mut Vec<(usize, Results)>,
    /// The stale threads.
    pub entered: &'a mut Entered,
}

impl Run<'_> {
    /// The record of the block, then the ladder; the end of the run if the initiator stays
    /// where it is.
    pub(crate) fn blocked(&mut self, blocked: Blocked<'_>) {
        let Blocked {
            case,
            held,
            parked,
            found,
            entered,
        } = blocked;
        let roles = &self.plan.roles;
        let cores = watch::states(
            &self.threads,
            held,
            entered,
            &roles.initiators,
            &roles.stale,
        );
        report::record(&Record::Block(Block {
            cores,
            baseline: parked,
            behind: !held.seen.in_flight(),
            ..case.block(held.cpu, &held.seen, held.waited_ms(), "sentinel")
        }));
        let released = self.climb(case, held, entered);
        let why = parked.then(|| BASELINE_BLOCKED.into());
        self.finish(case, CaseRecord::blank(case, Verdict::Blocked, why));
        let back = released && {
            let open = roles
                .initiators
                .iter()
                .filter(|cpu| !found.iter().any(|(of, _)| of == cpu))
                .collect();
            let ended = watch::watch(&self.threads, &open, self.plan.deadline_ms, found);
            matches!(ended, Watched::Returned)
        };
        if !back {
            self.ended = true;
            report::note(format!(
                "CPU {}: its thread cannot be got out of an instruction that does not return, not \
                 even by SIGKILL; if it is one, that CPU is lost until the machine is reset",
                held.cpu
            ));
        }
    }

    /// One rung after the other until the mark moves. Did it?
    fn climb(&mut self, case: &Case, held: &Held, entered: &mut Entered) -> bool {
        let Some(own) = self.threads.status(held.cpu) else {
            return false;
        };
        let timeout_ms = (u64::from(self.plan.deadline_ms) / 4).clamp(TIMEOUT_MS.0, TIMEOUT_MS.1);
        let moves = |rung: &str, begun: Instant, ms: u64| {
            let moved = || own.mark.read().sequence != held.seen.sequence;
            let end = Instant::now() + Duration::from_millis(ms);
            let mut released = moved();
            while !released && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
                released = moved();
            }
            let rung = Rung {
                rung: rung.into(),
                us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
                released,
            };
            report::record(&Record::Rung(RungRecord::new(case.number, rung)));
            released
        };
        let wait_ms = self
            .options
            .wait_ms
            .map_or(held.waited_ms() / MOMENT, u64::from);
        if moves(WAITED, Instant::now(), wait_ms) {
            return true;
        }
        let begun = Instant::now();
        instructions::sev();
        if moves("sev", begun, timeout_ms) {
            return true;
        }
        let begun = Instant::now();
        if entered.unlock() && moves("unlock", begun, timeout_ms) {
            return true;
        }
        // A signal to a thread that runs elsewhere is an interrupt to its CPU.
        if !entered.state.powered_off() {
            let begun = Instant::now();
            let stale = entered
                .cpus
                .iter()
                .filter_map(|cpu| self.threads.status(cpu));
            stale.for_each(calls::call);
            if moves("signal", begun, timeout_ms) {
                return true;
            }
        }
        let begun = Instant::now();
        match entered.online(&self.threads, &mut self.tell) {
            Ok(true) => moves("online", begun, timeout_ms),
            Ok(false) => false,
            Err(why) => {
                report::note(why);
                false
            }
        }
    }
}
