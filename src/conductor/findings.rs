//! What was measured of a case on all initiators, and the record of a fault.

use alloc::format;

use stalecore_model::{
    cpuset::CpuSet,
    glossary::Subject,
    measured::Measured,
    plan::Case,
    record::{Fault, Hex},
    syndrome,
};

use crate::{
    cores::percpu::core,
    hal::{clock, symbols},
};

/// Combines the initiators' results of their order `nth`.
/// Times are told from `started` on, a reading of CNTVCT_EL0.
pub fn collect(initiators: &CpuSet, nth: usize, started: u64) -> Measured {
    let mut all = Measured::default();
    for cpu in initiators.iter() {
        // They have returned, so nobody holds the lock.
        let Some(results) = core(cpu).job.get().and_then(|job| job.results(nth)) else {
            continue;
        };
        let several = initiators.len() > 1;
        all.add(cpu, &results.issue, &results.complete, several);
        if let Some((sample, ended)) = results.longest {
            all.add_longest(cpu, sample, clock::ms_between(started, ended));
        }
        if all.sweep.is_empty() {
            all.sweep.extend(&results.sweep[..results.depths]);
        }
        if let Some(registers) = results.fault {
            all.fault.get_or_insert((cpu, registers, results.returned));
        }
        all.cut |= results.cut;
        if let Some((cycles, ticks)) = results.clock {
            all.khz = clock::khz(cycles, ticks);
        }
        all.missed |= results.missed;
        if results.unseen {
            all.unseen.get_or_insert(cpu);
        }
        if let Some((expected, seen)) = results.stale_code {
            all.stale_code.get_or_insert((cpu, expected, seen));
        }
        all.looks += results.looks;
        if let Some(page) = results.stale_store {
            all.stale_store.get_or_insert((cpu, page as u64));
        }
    }
    all.end_round();
    all
}

/// The record of a fault that `op` took in a case.
pub fn fault_record(
    case: &Case,
    op: Subject,
    cpu: usize,
    [esr, far, elr]: [u64; 3],
    returned: i64,
) -> Fault {
    Fault {
        n: case.number as u32,
        op,
        initiator: cpu as u32,
        esr: Hex(esr),
        syndrome: syndrome::describe(esr),
        far: Hex(far),
        elr: Hex(elr),
        at: format!("{}", symbols::At(elr)),
        returned,
    }
}
