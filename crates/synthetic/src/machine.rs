//! The machine and its cores.

use stalecore_model::{
    histogram::Histogram,
    record::{Cores, Hex, Machine, SCHEMA},
};

/// A machine of this many cores, whose empty timed block takes `empty` ticks.
pub fn machine(cpus: usize, empty: Histogram) -> Machine {
    Machine {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        model: "linux,dummy-virt".into(),
        source: "device-tree".into(),
        entry_el: 2,
        psci: Some("smc".into()),
        psci_version: Some("1.1".into()),
        gic: "gicv3".into(),
        gicr_regions: 1,
        cpus: cpus as u32,
        memory_mib: 1024,
        console: "pl011".into(),
        counter: "pmccntr".into(),
        counter_hz: 1_000_000_000,
        cntfrq: 62_500_000,
        sentinel: Some(cpus as u32 - 1),
        empty,
    }
}

/// These cores, equal except for their MPIDR.
pub fn cores(cpus: std::ops::Range<usize>, midr: u64) -> Cores {
    Cores {
        cpus: cpus.clone().collect(),
        mpidr: cpus
            .map(|n| {
                Hex((1 << 31)
                    | ((n as u64 / 32) << 16)
                    | ((n as u64 / 4 % 8) << 8)
                    | (n as u64 % 4))
            })
            .collect(),
        midr: Hex(midr),
        revidr: Hex(0),
        ctr: Hex(0x8444_c004),
        clidr: Hex(0x0a20_0023),
        ccsidr: vec![Hex(0x701f_e00a), Hex(0x201f_e012), Hex(0x707f_e07a)],
        dczid: Hex(4),
        cntfrq: 62_500_000,
        pmu: Some(4),
    }
}
