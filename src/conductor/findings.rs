//! What was measured of a case, and the record that comes of it.

use alloc::{format, string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::Verdict,
    histogram::Histogram,
    options::Milli,
    plan::Case,
    record::{CaseRecord, Depth, Dwell, Fault, Hex, InitiatorRecord},
    syndrome, verdict,
};
use stalecore_routines::{counter::Counter, probe::batch_of};

use crate::{cores::percpu::core, hal::symbols};

/// What was measured of a case on all initiators.
#[derive(Default)]
pub struct Measured {
    issue: Histogram,
    complete: Histogram,
    sweep: Vec<Depth>,
    initiators: Vec<InitiatorRecord>,
    /// What was timed behind a dwell, by its length in milliseconds.
    dwells: Vec<(u32, Histogram)>,
    /// CPU, syndrome and what the routine returned.
    fault: Option<(usize, [u64; 3], i64)>,
    /// An initiator whose step-by-step pass saw no operation.
    unseen: Option<usize>,
    /// The time for some of it was over before all was done.
    pub cut: bool,
    /// Why nothing was: what it needs is not here.
    lacks: Option<String>,
    /// CPU, what its code had to return and what it did.
    pub stale_code: Option<(usize, u16, u16)>,
}

impl Measured {
    /// Nothing, as what it takes is not here.
    pub fn lacking(why: String) -> Self {
        Self {
            lacks: Some(why),
            ..Self::default()
        }
    }

    /// Did an operation take an exception?
    pub const fn has_faulted(&self) -> bool {
        self.fault.is_some()
    }

    /// Adds what was measured once behind a dwell of `ms` milliseconds.
    pub fn add_dwell(&mut self, ms: u32, one: Self) {
        match self.dwells.last_mut() {
            Some((last, all)) if *last == ms => all.merge(&one.complete),
            _ => self.dwells.push((ms, one.complete)),
        }
        self.fault = self.fault.or(one.fault);
    }
}

/// How cases are judged in this run.
#[derive(Clone, Copy)]
pub struct Judge {
    /// What timed them.
    pub counter: Counter,
    /// The smallest difference that it can show, in ticks.
    pub resolution: u64,
    /// The slow-down above which a case is `slowed`.
    pub threshold: Milli,
}

/// Takes the initiators' results together.
pub fn collect(initiators: &CpuSet) -> Measured {
    let mut all = Measured::default();
    for cpu in initiators.iter() {
        // Returned, so nobody holds the lock.
        let Some(results) = core(cpu).results.get().and_then(|r| r.try_lock()) else {
            continue;
        };
        all.issue.merge(&results.issue);
        all.complete.merge(&results.complete);
        if all.sweep.is_empty() {
            all.sweep.extend(&results.sweep[..results.depths]);
        }
        if let Some(registers) = results.fault {
            all.fault.get_or_insert((cpu, registers, results.returned));
        }
        all.cut |= results.cut;
        if results.unseen {
            all.unseen.get_or_insert(cpu);
        }
        if let Some((expected, seen)) = results.stale_code {
            all.stale_code.get_or_insert((cpu, expected, seen));
        }
        if initiators.len() > 1 {
            let histogram = if results.complete.count() > 0 {
                &results.complete
            } else {
                &results.issue
            };
            let quantile = |q| histogram.quantile(q).unwrap_or(0);
            all.initiators.push(InitiatorRecord {
                cpu: cpu as u32,
                count: histogram.count(),
                p50: quantile(500),
                p99: quantile(990),
                max: histogram.max().unwrap_or(0),
            });
        }
    }
    all
}

impl Judge {
    /// The record of a case that returned, and of the fault that it took, if
    /// it took one. `doubt` is why it proves nothing, if it does not.
    pub fn record(
        &self,
        case: &Case,
        done: Measured,
        baseline: Option<&Measured>,
        doubt: Option<String>,
    ) -> (CaseRecord, Option<Fault>) {
        let mut record = CaseRecord::blank(case, Verdict::Completed, None);
        record.batch = batch_of(case.subject, self.counter);
        record.issue = done.issue;
        record.complete = done.complete;
        record.sweep = done.sweep;
        record.initiators = done.initiators;
        record.dwell = done
            .dwells
            .into_iter()
            .enumerate()
            .map(|(nth, (ms, samples))| Dwell {
                ms,
                samples,
                baseline: baseline
                    .and_then(|b| b.dwells.get(nth))
                    .map_or(Histogram::new(), |(_, samples)| samples.clone()),
            })
            .collect();
        if let Some(baseline) = baseline {
            record.base_issue = baseline.issue.clone();
            record.base_complete = baseline.complete.clone();
        }
        let slowdown = verdict::of_case(&record, self.resolution);
        let mut fault = None;
        (record.verdict, record.why) = if let Some(why) = done.lacks {
            (Verdict::Skipped, Some(why))
        } else if let Some((cpu, registers, returned)) = done.fault {
            fault = Some(fault_record(case, cpu, registers, returned));
            (Verdict::Faulted, None)
        } else if let Some((cpu, expected, seen)) = done.stale_code {
            let why = format!(
                "CPU {cpu} executed code of generation {seen}, {expected} had been written"
            );
            (Verdict::Incoherent, Some(why))
        } else if let Some(doubt) = doubt {
            (Verdict::Inconclusive, Some(doubt))
        } else if let Some(cpu) = done.unseen {
            let why = format!(
                "the step-by-step pass on CPU {cpu} saw no operation: a block here would have no place"
            );
            (Verdict::Inconclusive, Some(why))
        } else {
            match verdict::on_latency(slowdown, self.threshold) {
                Verdict::Inconclusive => {
                    (Verdict::Inconclusive, Some("no samples to compare".into()))
                }
                found => (found, None),
            }
        };
        (record, fault)
    }
}

fn fault_record(case: &Case, cpu: usize, [esr, far, elr]: [u64; 3], returned: i64) -> Fault {
    Fault {
        n: case.number as u32,
        op: case.subject,
        initiator: cpu as u32,
        esr: Hex(esr),
        syndrome: syndrome::describe(esr),
        far: Hex(far),
        elr: Hex(elr),
        at: format!("{}", symbols::At(elr)),
        returned,
    }
}
