//! Made-up runs for the tests of everything that reads a run: as large and as
//! varied as asked for, the same for the same seed, and with each verdict in
//! them. Nothing here claims anything about a machine.

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{Kind, LineState, StaleState, Subject, Verdict},
    histogram::Histogram,
    mark::Marks,
    record::{
        BisectRecord, Block, CaseRecord, CoreState, Cores, Depth, End, Fault, GroupRecord, Hex,
        Icount, InitiatorRecord, Machine, PlanRecord, Record, Rung, SCHEMA,
    },
    run::Run,
};

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
    /// Where the random numbers begin.
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

/// Random numbers: splitmix64.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to but not 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A histogram of `samples` around `middle` ticks: a narrow peak, a second one
/// behind it, and a thin tail that reaches far.
pub fn histogram(random: &mut Random, samples: u32, middle: f64) -> Histogram {
    let mut histogram = Histogram::new();
    let one = |random: &mut Random| -> f64 {
        let peak = (random.unit() + random.unit() + random.unit() - 1.5) * 0.16;
        match random.unit() {
            u if u < 0.82 => middle * (1.0 + peak),
            u if u < 0.995 => middle * 1.35 * (1.0 + peak),
            // Pareto: rare and very late, as interrupted cores are.
            _ => middle * 1.6 / (1.0 - random.unit()).max(1e-6).powf(0.7),
        }
    };
    // Many samples are drawn as lumps, so that a test makes billions of them.
    let draws = samples.min(2000);
    // What a lump would hide: the many values that were seen once.
    let singles = if samples > 10_000 { 100 } else { 0 };
    let lumps = samples - singles;
    for nth in 0..draws {
        let lump = lumps / draws + u32::from(nth < lumps % draws);
        histogram.add_many(one(random) as u64, lump);
    }
    for _ in 0..singles {
        let late = middle * 1.6 / (1.0 - random.unit()).max(1e-4);
        histogram.add(late as u64);
    }
    histogram
}

/// How much later an operation is in a stale state, and its verdict.
fn effect(op: Subject, state: StaleState, line: LineState, random: &mut Random) -> (f64, Verdict) {
    let broadcast = matches!(
        op,
        Subject::IcIvau
            | Subject::IcIalluis
            | Subject::TlbiVaae1is
            | Subject::TlbiVmalle1is
            | Subject::DsbIsh
            | Subject::DsbSy
    ) || op.kind() == Kind::Routine;
    let wobble = 1.0 + (random.unit() - 0.5) * 0.06;
    match (op, state, line) {
        (Subject::IcIvau, StaleState::DmbLoop, LineState::DirtyHere)
        | (Subject::SelftestHang, ..) => (1.0, Verdict::Blocked),
        (Subject::SelftestFault, ..) => (1.0, Verdict::Faulted),
        (Subject::SelftestStale, ..) => (1.0, Verdict::Incoherent),
        (Subject::SelftestUnseen, ..) => (1.0, Verdict::Inconclusive),
        (_, StaleState::NeverStarted, l) if l.needs_stale_core() => (1.0, Verdict::Skipped),
        (Subject::None, StaleState::CpuSuspend, _) => (1.0, Verdict::Inconclusive),
        (_, StaleState::IcStorm | StaleState::TlbiStorm, _) if broadcast => {
            (3.0 + 60.0 * random.unit().powi(3), Verdict::Slowed)
        }
        (_, StaleState::DcStorm, _) if broadcast => (2.4 * wobble, Verdict::Slowed),
        (_, StaleState::StoreStorm | StaleState::LoadStorm, _) => {
            (1.5 * wobble, Verdict::Completed)
        }
        (_, StaleState::CpuOffInflight, _) if broadcast => (240.0 * wobble, Verdict::Slowed),
        _ => (wobble, Verdict::Completed),
    }
}

fn case(
    n: u32,
    key: (StaleState, LineState, Subject),
    shape: &Shape,
    r: &mut Random,
) -> CaseRecord {
    let (state, line, op) = key;
    let (factor, verdict) = effect(op, state, line, r);
    let middle = 90.0 + 40.0 * (op as u8 as f64);
    let tested = !matches!(verdict, Verdict::Skipped | Verdict::Blocked);
    let samples = |wanted: bool| if wanted { shape.samples } else { 0 };
    let factor = factor
        * if verdict == Verdict::Completed {
            1.0
        } else {
            shape.late
        };
    let late = if state == StaleState::Parked {
        factor
    } else {
        factor * shape.late
    };
    let operation = op.kind() == Kind::Operation;
    CaseRecord {
        n,
        op,
        state,
        line,
        verdict,
        why: match verdict {
            Verdict::Skipped => Some("the line state needs a core that was never started".into()),
            Verdict::Inconclusive => Some("the baseline itself was interrupted".into()),
            Verdict::Incoherent => Some("the older code ran after the flush".into()),
            _ => None,
        },
        batch: 1,
        issue: histogram(r, samples(tested && operation), middle * 0.4 * late.sqrt()),
        complete: histogram(r, samples(tested), middle * late),
        base_issue: histogram(r, samples(tested && operation), middle * 0.4),
        base_complete: histogram(r, samples(verdict != Verdict::Skipped), middle),
        sweep: if shape.sweep && operation && tested {
            (0..7).map(|p| depth(1 << p, middle, late)).collect()
        } else {
            Vec::new()
        },
        initiators: if shape.initiators > 1 && tested {
            (0..shape.initiators)
                .map(|cpu| initiator(cpu, shape, middle * late, r))
                .collect()
        } else {
            Vec::new()
        },
    }
}

/// Four operations are posted; each further one waits for an answer.
fn depth(depth: u32, middle: f64, late: f64) -> Depth {
    let waiting = f64::from(depth.saturating_sub(4)) * middle * late;
    Depth {
        depth,
        issue: (f64::from(depth) * middle * 0.1 + waiting) as u64,
        barrier: (middle * late * f64::from(depth.min(4))) as u64,
    }
}

fn initiator(cpu: usize, shape: &Shape, middle: f64, random: &mut Random) -> InitiatorRecord {
    let own = middle * (1.0 + 0.04 * cpu as f64 + 0.02 * random.unit());
    InitiatorRecord {
        cpu: cpu as u32,
        count: u64::from(shape.samples) / shape.initiators as u64,
        p50: own as u64,
        p99: (own * 1.5) as u64,
        max: (own * 40.0) as u64,
    }
}

fn cores(cpus: std::ops::Range<usize>, midr: u64) -> Cores {
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

fn block(case: &CaseRecord, shape: &Shape, stale: CpuSet, released: bool) -> Block {
    let state = |cpus: CpuSet, role: &str, doing: &str, proof: &str| CoreState {
        cpus,
        role: role.into(),
        doing: doing.into(),
        proof: proof.into(),
        at: (role == "stale").then(|| "wait_dmb_loop+4".into()),
    };
    let rung = |rung: &str, us, released| Rung {
        rung: rung.into(),
        us,
        released,
    };
    Block {
        n: case.n,
        op: case.op,
        initiator: 0,
        instruction: "ic ivau".into(),
        at: "flush_icache_range+92".into(),
        address: Some(Hex(0x4012_3440)),
        waited_ms: 2400,
        returned: 3,
        seen_by: "sentinel".into(),
        cores: vec![
            state(
                stale,
                "stale",
                case.state.name(),
                "heartbeat 3, 2400 ms ago",
            ),
            state(
                CpuSet::one(shape.cpus - 1),
                "sentinel",
                "watching",
                "wrote this",
            ),
        ],
        ladder: vec![
            rung("sev", 500, false),
            rung("unlock", 500, false),
            rung("sgi", 1000, false),
            rung("el2", 38, released),
        ],
    }
}

/// A machine of so many cores, whose empty timed block takes `empty` ticks.
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

/// A whole run of that shape.
pub fn run(shape: &Shape) -> Run {
    let mut random = Random(shape.seed);
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
        emulated: true,
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

fn add_cases(run: &mut Run, shape: &Shape, stale: CpuSet, random: &mut Random) {
    let keys = LineState::ALL.iter().flat_map(|line| {
        StaleState::ALL
            .iter()
            .flat_map(move |state| Subject::ALL.iter().map(move |op| (*state, *line, *op)))
    });
    // A small run is of what people ask for first, not of the first few words.
    let first = (StaleState::DmbLoop, LineState::DirtyHere, Subject::IcIvau);
    let usual = |(_, line, op): &(StaleState, LineState, Subject)| {
        shape.cases > 432
            || (*line == LineState::DirtyHere && op.kind() != Kind::Selftest)
                && (*op as u8) <= Subject::MachineKexec as u8
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
            run.faults.push(Fault {
                n,
                op: key.2,
                initiator: 0,
                esr: Hex(0x9600_0147),
                syndrome: "data abort, cache maintenance, translation fault level 3".into(),
                far: Hex(0x0000_7fff_0000),
                elr: Hex(0x4008_1234),
                at: "selftest_fault+8".into(),
                returned: -14,
            });
        }
        run.take(Record::Case(Box::new(case)));
    }
}
