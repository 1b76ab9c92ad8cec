//! What an initiator does for a case: prepares the lines, runs the timed
//! blocks or the routine, keeps the histogram, checks what it must find.
//! Interrupts are masked throughout, unless they are the case; nothing is printed, locked or allocated.

use core::sync::atomic::Ordering;

use stalecore_model::glossary::Subject;
use stalecore_routines::{counter::Counter, probe};

use super::{areas::AREAS, measurement::Measurement};
use crate::{
    cores::{mark, percpu::Core},
    hal::arch,
};

/// Runs the orders of this core, noting what it does on its mark.
pub fn run_orders(core: &Core) {
    let (Some(areas), Some(job)) = (AREAS.get(), core.job.get()) else {
        return;
    };
    let Some(own) = areas.buffers(core.index) else {
        return;
    };
    job.run(|order, results| {
        mark::begin_case(order.case);
        core.take_fault();
        core.force_complete.store(false, Ordering::Relaxed);
        let run = Measurement {
            core,
            areas,
            own,
            area: &own.area,
            order,
        };
        if order.interrupted {
            core.interruptible.store(true, Ordering::Relaxed);
            arch::irq_open();
        }
        let begun = [arch::cntvct(), order.counter.now()];
        match (order.subject, probe::of(order.subject)) {
            (Subject::SelftestHang, _) => run.hang(),
            (Subject::SelftestSlow, _) => run.slow(results),
            (Subject::AffinityInfo | Subject::PsciVersion | Subject::Sgi, _) => run.call(results),
            (_, Some(probe)) => match order.dwell_ms {
                Some(ms) => run.after_dwell(probe, ms, results),
                None => run.operation(probe, results),
            },
            (_, None) => run.routine(results),
        }
        if order.counter == Counter::Pmccntr && order.dwell_ms.is_none() {
            let cycles = order.counter.now().wrapping_sub(begun[1]);
            results.clock = Some((cycles, arch::cntvct().wrapping_sub(begun[0])));
        }
        arch::irq_mask();
        core.interruptible.store(false, Ordering::Relaxed);
        results.fault = core.take_fault();
    });
}
