//! What times the samples, and what timing costs.

use alloc::{format, string::String, vec::Vec};

use stalecore_model::{
    glossary::{Operand, Subject},
    histogram::Histogram,
    options::CounterChoice,
    record::{Icount, Record},
};
use stalecore_routines::{
    area::PAGE,
    counter::Counter,
    probe::{self, WRITTEN},
};

use super::areas::AREAS;
use crate::{
    cores::percpu::Core,
    hal::{arch, clock},
    report,
};

/// Samples of the empty block.
const SAMPLES: u32 = 256;

/// Chooses the counter and times the empty block with it.
///
/// # Errors
/// A counter that was asked for and does not count here.
pub fn counter(choice: CounterChoice, core: &Core) -> Result<(Counter, Histogram), String> {
    let pmccntr = core.identity.get().is_some_and(|i| i.pmu.is_some()) && counts();
    let counter = match choice {
        CounterChoice::Auto if pmccntr => Counter::Pmccntr,
        CounterChoice::Auto | CounterChoice::Cntvct => Counter::Cntvct,
        CounterChoice::Pmccntr if pmccntr => Counter::Pmccntr,
        CounterChoice::Pmccntr => {
            return Err(
                "counter: PMCCNTR_EL0 does not count on this machine; allowed: cntvct".into(),
            );
        }
    };
    let mut empty = Histogram::new();
    if let Some(probe) = probe::of(Subject::None) {
        for sample in 0..SAMPLES + 8 {
            let ticks = probe.issue[counter as usize](0);
            if sample >= 8 {
                empty.add(ticks);
            }
        }
    }
    Ok((counter, empty))
}

fn counts() -> bool {
    let before = arch::pmccntr();
    let start = arch::cntvct();
    while clock::us_since(start) < 50 {}
    arch::pmccntr() != before
}

/// The counter's frequency in Hz; a cycle counter is held against CNTVCT_EL0
/// for two milliseconds.
pub fn frequency(counter: Counter) -> u64 {
    match counter {
        Counter::Cntvct => arch::cntfrq_el0(),
        Counter::Pmccntr => {
            let (from, cycles) = both();
            while clock::us_since(from) < 2000 {}
            let (to, after) = both();
            let ticks = u128::from(to.wrapping_sub(from).max(1));
            let hz =
                u128::from(after.wrapping_sub(cycles)) * u128::from(arch::cntfrq_el0()) / ticks;
            u64::try_from(hz).unwrap_or(0)
        }
    }
}

/// CNTVCT_EL0 and PMCCNTR_EL0 at one moment: of several tries the one that took the
/// shortest, as an emulator's core may be held up between two reads.
fn both() -> (u64, u64) {
    let read = || {
        let before = arch::cntvct();
        let cycles = arch::pmccntr();
        let took = arch::cntvct().wrapping_sub(before);
        (took, (before.wrapping_add(took / 2), cycles))
    };
    let tries = (0..16).map(|_| read());
    let shortest = tries.min_by_key(|(took, _)| *took);
    shortest.map_or_else(|| read().1, |(_, both)| both)
}

/// Reports the cost of the timed block in instructions, where the emulator
/// counts them: the empty block, and each operation against it.
pub fn instructions(counter: Counter) {
    if counter != Counter::Pmccntr {
        report::note(format!(
            "icount: {WRITTEN} instructions are shorter than a tick of CNTVCT_EL0; use --counter pmccntr"
        ));
        return;
    }
    let Some((_, own)) = AREAS.get().and_then(|a| a.of.first()) else {
        return;
    };
    let area = &own.area;
    let cost = |subject: Subject, address: usize| {
        let block = probe::of(subject)?.issue[counter as usize];
        (0..16).map(|_| block(address)).min()
    };
    let Some(empty) = cost(Subject::None, 0) else {
        return;
    };
    let more: Vec<(Subject, i64)> = Subject::ALL
        .iter()
        .copied()
        .filter(|s| *s != Subject::None && s.operand() != Operand::Unmapped)
        // Those are more than one instruction, or not there on every machine.
        .filter(|s| !s.is_no_maintenance() && s.needs().is_none())
        .filter_map(|subject| {
            let address = match subject.operand() {
                Operand::Page => area.data / PAGE,
                _ => area.data,
            };
            Some((
                subject,
                cost(subject, address)?.cast_signed() - empty.cast_signed(),
            ))
        })
        .collect();
    report::record(&Record::Icount(Icount {
        empty,
        written: WRITTEN,
        more,
    }));
}
