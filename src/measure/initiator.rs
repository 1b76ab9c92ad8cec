//! What an initiator does for a case: prepares the lines, runs the timed
//! blocks or the routine, keeps the histogram, checks what it must find.
//! Interrupts are masked throughout; nothing is printed, locked or allocated.

use core::sync::atomic::Ordering;

use stalecore_model::glossary::Subject;
use stalecore_routines::probe;

use super::{areas::AREAS, measurement::Measurement};
use crate::cores::percpu::Core;

/// Runs the order of this core, noting what it does on its mark.
pub fn run_order(core: &Core) {
    let (Some(areas), Some(order), Some(results)) =
        (AREAS.get(), core.job.get(), core.results.get())
    else {
        return;
    };
    let Some(own) = areas.buffers(core.index) else {
        return;
    };
    let mut results = results.lock();
    results.clear();
    core.take_fault();
    core.force_complete.store(false, Ordering::Relaxed);
    let run = Measurement {
        core,
        areas,
        own,
        area: &own.area,
        order,
    };
    match (order.subject, probe::of(order.subject)) {
        (Subject::SelftestHang, _) => run.hang(),
        (Subject::SelftestSlow, _) => run.slow(&mut results),
        (Subject::AffinityInfo | Subject::PsciVersion | Subject::Sgi, _) => run.call(&mut results),
        (_, Some(probe)) => match order.dwell_ms {
            Some(ms) => run.after_dwell(probe, ms, &mut results),
            None => run.operation(probe, &mut results),
        },
        (_, None) => run.routine(&mut results),
    }
    results.fault = core.take_fault();
}
