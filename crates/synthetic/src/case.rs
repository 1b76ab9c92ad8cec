//! One case: how late it is, its verdict, its histograms, its block.

use rand::Rng;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{Kind, LineState, StaleState, Subject, Verdict},
    maintenance::MessageClass,
    record::{Block, CaseRecord, CoreState, Depth, Hex, InitiatorRecord, Rung},
};

use crate::{Shape, samples::histogram};

/// How much later an operation is in a stale state, and its verdict.
fn effect(
    op: Subject,
    state: StaleState,
    line: LineState,
    random: &mut impl Rng,
) -> (f64, Verdict) {
    let broadcast = matches!(op.sends(), Some(MessageClass::Dvm | MessageClass::Sync))
        || op.kind() == Kind::Routine;
    let wobble = 1.0 + (random.random::<f64>() - 0.5) * 0.06;
    match (op, state, line) {
        (Subject::IcIvau, StaleState::DmbLoop, LineState::DirtyHere)
        | (Subject::SelftestHang, ..) => (1.0, Verdict::Blocked),
        (Subject::SelftestFault, ..) => (1.0, Verdict::Faulted),
        (Subject::SelftestStale, ..) => (1.0, Verdict::Incoherent),
        (Subject::SelftestUnseen, ..) => (1.0, Verdict::Inconclusive),
        (_, StaleState::NeverStarted, l) if l.needs_stale_core() => (1.0, Verdict::Skipped),
        (Subject::None, StaleState::CpuSuspend, _) => (1.0, Verdict::Inconclusive),
        (_, StaleState::IcStorm | StaleState::TlbiStorm, _) if broadcast => {
            (3.0 + 60.0 * random.random::<f64>().powi(3), Verdict::Slowed)
        }
        (_, StaleState::DcStorm, _) if broadcast => (2.4 * wobble, Verdict::Slowed),
        (_, StaleState::StoreStorm | StaleState::LoadStorm, _) => {
            (1.5 * wobble, Verdict::Completed)
        }
        (_, StaleState::CpuOffInflight, _) if broadcast => (240.0 * wobble, Verdict::Slowed),
        _ => (wobble, Verdict::Completed),
    }
}

/// The case of that number: (stale state, line state, operation).
pub fn case(
    n: u32,
    key: (StaleState, LineState, Subject),
    shape: &Shape,
    r: &mut impl Rng,
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
        by: None,
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
        rounds: None,
        late: None,
        sweep: if shape.sweep && operation && tested {
            (0..7).map(|p| depth(1 << p, middle, late)).collect()
        } else {
            Vec::new()
        },
        dwell: Vec::new(),
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

fn initiator(cpu: usize, shape: &Shape, middle: f64, random: &mut impl Rng) -> InitiatorRecord {
    let own = middle * (1.0 + 0.04 * cpu as f64 + 0.02 * random.random::<f64>());
    InitiatorRecord {
        cpu: cpu as u32,
        count: u64::from(shape.samples) / shape.initiators as u64,
        p50: own as u64,
        p99: (own * 1.5) as u64,
        max: (own * 40.0) as u64,
    }
}

/// The block report of a case; `released`: did the last rung bring it back?
pub fn block(case: &CaseRecord, shape: &Shape, stale: CpuSet, released: bool) -> Block {
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
        baseline: false,
        behind: false,
        witness: Vec::new(),
        starved: None,
    }
}
