//! The machine, and its cores.

use stalecore_model::{
    cpuset::CpuSet,
    histogram::Histogram,
    record::{Cores, Hex, InitiatorRecord, Machine},
    run::Run,
    topology::Topology,
};
use stalecore_synthetic::{self as synthetic, Shape};

use super::{Drawn, blocks::block, cpus, run, section, timed};
use crate::{cores, machine};

fn group(of: &str, pmu: Option<u32>) -> Cores {
    let mut made = synthetic::run(&Shape {
        cases: 1,
        ..Shape::default()
    });
    let mut cores = made.cores.remove(0);
    cores.cpus = cpus(of);
    cores.mpidr = cores.cpus.iter().map(|n| Hex(1 << 31 | n as u64)).collect();
    cores.pmu = pmu;
    cores
}

fn with(change: impl FnOnce(&mut Machine)) -> Run {
    let mut run = run(8, vec![]);
    if let Some(machine) = &mut run.machine {
        change(machine);
    }
    run
}

fn of_cores(groups: Vec<Cores>, change: impl FnOnce(&mut Run)) -> Run {
    let mut run = run(8, vec![timed(1, 1)]);
    run.cores = groups;
    change(&mut run);
    run
}

fn initiators(n: u32) -> impl FnOnce(&mut Run) {
    move |run| {
        run.cases[0].initiators = (0..n)
            .map(|cpu| InitiatorRecord {
                cpu,
                count: 64,
                p50: 1000 + 100 * u64::from(cpu),
                p99: 2000 + u64::from(cpu),
                max: 3000,
            })
            .collect();
    }
}

pub fn drawn() -> Vec<Drawn> {
    let board = |name, run: Run| section(name, machine::section, &[run]);
    let there = |name, run: Run| section(name, cores::section, &[run]);
    let topology = |sockets: &[&str], clusters: &[&str]| {
        let sets = |sets: &[&str]| -> Vec<CpuSet> { sets.iter().map(|set| cpus(set)).collect() };
        Run {
            topology: Some(Topology {
                sockets: sets(sockets),
                clusters: sets(clusters),
            }),
            ..with(|_| {})
        }
    };
    let unlike = || {
        let mut other = group("1-7", None);
        other.ctr = Hex(0x8445_c003);
        vec![group("0", Some(1)), other]
    };
    vec![
        board("a machine", with(|_| {})),
        board(
            "a machine of one core, little known",
            with(|m| {
                m.cpus = 1;
                m.psci = None;
                m.gic = "gicv2".into();
                m.gicr_regions = 0;
                (m.counter_hz, m.cntfrq) = (0, 0);
                m.empty = Histogram::new();
            }),
        ),
        board(
            "a machine of two redistributor regions",
            with(|m| {
                m.gicr_regions = 2;
                (m.counter_hz, m.cntfrq) = (1_234_567, 19_200_000);
                m.psci_version = None;
            }),
        ),
        board("one socket of one core", topology(&["0"], &["0"])),
        board(
            "one socket, two clusters",
            topology(&["0-7"], &["0-3", "4-7"]),
        ),
        board("cores that are unlike", of_cores(unlike(), |_| {})),
        section(
            "two machines that are alike",
            machine::section,
            &[with(|_| {}), with(|_| {})],
        ),
        there("cores", of_cores(vec![group("0-7", Some(6))], |_| {})),
        there(
            "a core held up once",
            of_cores(vec![group("0-1", None)], |run| {
                run.blocks = vec![block(|_| {})];
            }),
        ),
        there(
            "a core held up twice",
            of_cores(vec![group("0-1", None)], |run| {
                run.blocks = vec![block(|_| {}), block(|_| {})];
            }),
        ),
        there(
            "two initiators",
            of_cores(vec![group("0-7", None)], initiators(2)),
        ),
        there(
            "too many initiators",
            of_cores(vec![group("0-19", None)], initiators(20)),
        ),
    ]
}
