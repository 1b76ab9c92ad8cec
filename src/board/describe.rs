//! Says what machine it is, and what is about to be done on it.

use alloc::format;

use stalecore_model::{
    cpuset::CpuSet,
    histogram::Histogram,
    mark::Marks,
    options::DEFAULT_SLOWDOWN,
    plan::Plan,
    platform::{Gic, UartKind},
    record::{Hex, Machine, PlanRecord, Record, SCHEMA},
    topology::Topology,
};
use stalecore_routines::counter::Counter;

use super::setup::Board;
use crate::{
    cores::{
        mark,
        percpu::{self, Core},
        survey,
    },
    hal::{arch, clock, layout, psci, watchdog},
    measure::AREAS,
    report::{self, recorder},
};

/// One stage of the watchdog: longer than anything between two refreshes.
const STAGE_MS: u64 = 10_000;

/// Arms the watchdog if there is one and a reset loses nothing, or if it runs already, as a
/// kernel before has left it so, and says so; where
/// nothing else would notice a silent machine, says that there is none.
pub fn arm_watchdog(board: &Board, plan: &Plan) {
    let alone = plan.roles.sentinel.is_none();
    let watchdog = &board.platform.watchdog;
    let left = watchdog.as_ref().is_some_and(watchdog::is_running);
    if !recorder::is_on() && !left {
        return;
    }
    match watchdog {
        Some(watchdog) => {
            let stage = STAGE_MS.max(4 * u64::from(plan.deadline_ms));
            let stage = watchdog::arm(watchdog, stage);
            report::note(format!(
                "SBSA watchdog {}: a machine that falls silent is reset after {} s",
                if left {
                    "left running, served"
                } else {
                    "armed"
                },
                2 * stage / 1000
            ));
        }
        None if alone => report::note(
            "no SBSA watchdog: a machine that falls silent stays so until somebody resets it"
                .into(),
        ),
        None => {}
    }
}

/// Says what is odd about cores that are up: `silent` ones take no interrupt, and
/// some give another frequency for the counter.
pub fn oddities(silent: &CpuSet) {
    for cpu in silent.iter() {
        let why = percpu::core(cpu).trouble.get();
        report::note(format!(
            "CPU {cpu} takes no interrupt ({}): it is called by events, and cannot be stale where \
             an interrupt is the proof",
            why.unwrap_or(&"none of those sent to it was seen")
        ));
    }
    let differs = |core: &&Core| {
        let known = core.identity.get();
        known.is_some_and(|identity| identity.cntfrq != clock::frequency())
    };
    let cpus: CpuSet = percpu::all()
        .iter()
        .filter(differs)
        .map(|c| c.index)
        .collect();
    if !cpus.is_empty() {
        report::note(format!(
            "CNTFRQ_EL0 of CPU {cpus} is not {} Hz, which is what counts for all",
            clock::frequency()
        ));
    }
}

/// Writes the records of the machine, its cores and the plan. `hz` is the counter's frequency.
pub fn machine(board: &Board, counter: Counter, hz: u64, empty: Histogram, plan: &Plan) {
    let platform = &board.platform;
    let (gic, gicr_regions) = match &platform.gic {
        Gic::V2 { .. } => ("gicv2", 0),
        Gic::V3(v3) => ("gicv3", v3.regions() as u32),
    };
    report::boxed(
        Record::Machine,
        Machine {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            model: platform.model.clone(),
            source: platform.source.name().into(),
            entry_el: board.entry_el as u8,
            psci: platform.psci.map(|c| c.name().into()),
            psci_version: psci::version().map(|(major, minor)| format!("{major}.{minor}")),
            gic: gic.into(),
            gicr_regions,
            cpus: platform.cpus.len() as u32,
            memory_mib: platform.memory_mib(),
            console: platform
                .uart
                .map_or(UartKind::Pl011, |uart| uart.kind)
                .name()
                .to_ascii_lowercase(),
            counter: counter.name().into(),
            counter_hz: hz,
            cntfrq: arch::cntfrq_el0(),
            sentinel: plan.roles.sentinel.map(|cpu| cpu as u32),
            empty,
        },
    );
    marks();
    for cores in survey::groups(&CpuSet::first(percpu::all().len())) {
        report::record(&Record::Cores(cores));
    }
    if let Some(topology) = Topology::of(platform.cpus.iter().map(|cpu| cpu.place)) {
        report::record(&Record::Topology(topology));
    }
    report::record(&Record::Plan(PlanRecord {
        cases: plan.len() as u32,
        initiators: plan.roles.initiators,
        stale: plan.roles.stale,
        samples: board.options.samples,
        deadline_ms: plan.deadline_ms,
        threshold: board.options.max_slowdown.unwrap_or(DEFAULT_SLOWDOWN),
        strict: board.options.max_slowdown.is_some(),
        options: Some(board.options.to_bootargs()),
        // Memory is mapped where it is.
        under_test: AREAS.get().map(|areas| {
            let range = areas.range();
            [Hex(range.start), Hex(range.end)]
        }),
    }));
    for erratum in &plan.errata {
        report::note(format!("preset errata: {}", erratum.number));
    }
    for note in &platform.notes {
        report::note(note.clone());
    }
    if plan.roles.sentinel.is_none() {
        report::note(
            "no core is left to watch: an operation that does not return is seen by the host alone"
                .into(),
        );
    }
}

/// Tells a debugger where the marks are; none before the cores are known.
fn marks() {
    let [first, rest @ ..] = percpu::all() else {
        return;
    };
    // Memory is mapped where it is, so an address is a physical one.
    let at = |place: usize| Hex(place as u64);
    let core = |core: &Core| core::ptr::from_ref(core) as usize;
    report::record(&Record::Marks(Marks {
        image: at(layout::image_start()),
        symbols: at(layout::symbols_start()),
        case: at(mark::case_address()),
        mark: at(core::ptr::from_ref(&*first.mark) as usize),
        state: at(core::ptr::from_ref(&first.status.state) as usize),
        stride: rest.first().map_or(0, |second| core(second) - core(first)) as u64,
    }));
}
