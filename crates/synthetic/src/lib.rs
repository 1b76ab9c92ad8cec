//! Made-up runs for the tests of everything that reads a run: as large and as
//! varied as asked for, the same for the same seed, and with every verdict.
//! Nothing here claims anything about a machine.

#![forbid(unsafe_code)]

mod case;
mod machine;
mod poisoned;
pub mod plain;
mod samples;

pub use machine::machine;
pub use poisoned::{MARKUP, poisoned};
pub use samples::{histogram, random};

use rand::Rng;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState, Subject, Verdict},
    mark::Marks,
    record::{BisectRecord, End, GroupRecord, Hex, Icount, PlanRecord, Record, SCHEMA},
    run::Run,
};

use case::{block, case};
use machine::cores;

/// What to make up.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How many cases; the combinations of the glossary are the limit.
    pub cases: usize,
    /// Samples in each histogram.
    pub samples: u32,
    /// How many cores.
    pub cpus: usize,
    /// How many of them are stale.
    pub stale: usize,
    /// How many of them run the operations.
    pub initiators: usize,
    /// How many times later than normal a case with stale cores is.
    pub late: f64,
    /// With the depth sweep in each case?
    pub sweep: bool,
    /// The seed of the random numbers.
    pub seed: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            cases: 432,
            samples: 1000,
            cpus: 8,
            stale: 6,
            initiators: 1,
            late: 1.0,
            sweep: false,
            seed: 1,
        }
    }
}

/// A whole run of that shape.
pub fn run(shape: &Shape) -> Run {
    let mut random = random(shape.seed);
    let stale: CpuSet =
        (shape.initiators..(shape.initiators + shape.stale).min(shape.cpus - 1)).collect();
    let mut run = Run {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        command: ["stalecore", "run", "--stale-cpus", "1-6", "--out", "my run"]
            .map(Into::into)
            .into(),
        machine_command: [
            "qemu-system-aarch64",
            "-machine",
            "virt,gic-version=3",
            "-cpu",
            "cortex-a72",
        ]
        .map(Into::into)
        .into(),
        host: "qemu 7.2.22 (tcg)".into(),
        emulated: Some(true),
        exit: 4,
        answer: "ic ivau is blocked by cores stuck in dmb-loop; 1 of 432 cases blocked, 31 slowed."
            .into(),
        elapsed_ms: 41_230,
        console_bytes: 94_310,
        ..Run::default()
    };
    run.take(Record::Marks(Marks {
        image: Hex(0x4020_0000),
        symbols: Hex(0x4030_0000),
        case: Hex(0x4031_0000),
        mark: Hex(0x4040_0500),
        state: Hex(0x4040_0600),
        stride: 0x900,
    }));
    let empty = histogram(&mut random, 1000, 24.0);
    run.take(Record::Machine(Box::new(machine(shape.cpus, empty))));
    let split = if shape.cpus > 32 {
        shape.cpus / 2
    } else {
        shape.cpus
    };
    run.cores.push(cores(0..split, 0x410f_d083));
    if split < shape.cpus {
        run.cores.push(cores(split..shape.cpus, 0x701f_6633));
    }
    run.notes
        .push("TCG treats ic ivau and dc civac as no-ops.".into());
    add_cases(&mut run, shape, stale, &mut random);
    run.icount = Some(Icount {
        empty: 3,
        written: 3,
        more: vec![
            (Subject::IcIvau, 1),
            (Subject::DsbSy, 2),
            (Subject::DcCivac, 1),
        ],
    });
    run.plan = Some(PlanRecord {
        cases: run.cases.len() as u32,
        initiators: CpuSet::first(shape.initiators),
        stale,
        samples: shape.samples,
        deadline_ms: 2400,
        threshold: 2000,
        strict: false,
        options: Some(String::new()),
        under_test: Some([Hex(0x4800_0000), Hex(0x4802_4000)]),
    });
    run.end = Some(End {
        exit: 4,
        verdicts: Verdict::ALL
            .iter()
            .map(|v| {
                (
                    *v,
                    run.cases.iter().filter(|c| c.verdict == *v).count() as u32,
                )
            })
            .filter(|(_, n)| *n > 0)
            .collect(),
        elapsed_ms: 40_990,
    });
    run
}

fn add_cases(run: &mut Run, shape: &Shape, stale: CpuSet, random: &mut impl Rng) {
    let keys = LineState::ALL.iter().flat_map(|line| {
        StaleState::ALL
            .iter()
            .flat_map(move |state| Subject::ALL.iter().map(move |op| (*state, *line, *op)))
    });
    // A small run has what people ask for first, not the first words of the glossary.
    let first = (StaleState::DmbLoop, LineState::DirtyHere, Subject::IcIvau);
    let usual = |(state, line, op): &(StaleState, LineState, Subject)| {
        let maintenance = op.is_default() && !op.is_no_maintenance();
        shape.cases > 432 || *line == LineState::DirtyHere && maintenance && state.is_default()
    };
    let keys = std::iter::once(first).chain(keys.filter(move |k| *k != first).filter(usual));
    for (nth, key) in keys.take(shape.cases).enumerate() {
        let n = nth as u32 + 1;
        let case = case(n, key, shape, random);
        if run
            .groups
            .last()
            .is_none_or(|g| (g.state, g.line) != (key.0, key.1))
        {
            run.groups.push(GroupRecord {
                state: key.0,
                line: key.1,
                first: n,
                cases: 1,
            });
        }
        if case.verdict == Verdict::Blocked {
            if run.bisections.is_empty() {
                run.bisections.push(BisectRecord {
                    n,
                    stale,
                    culprits: vec![CpuSet::one(3), [1, 5].into_iter().collect()],
                    complete: false,
                    trials: 9,
                    why: Some("the time for it was over".into()),
                });
            }
            run.blocks
                .push(block(&case, shape, stale, key.2 == Subject::IcIvau));
        }
        if case.verdict == Verdict::Faulted && run.faults.len() < 3 {
            run.faults.push(plain::fault(n, key.2));
        }
        run.take(Record::Case(Box::new(case)));
    }
}
