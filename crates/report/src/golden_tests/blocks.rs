//! Blocks, what released them and which cores they take; hazards; the crash path.

use stalecore_model::{
    glossary::{Subject, Verdict},
    hazard::{Hazard, Kind, Side},
    kdump::{KdumpRecord, Step},
    record::{BisectRecord, Block, CoreState, Hex, Rung},
    run::Run,
};

use super::{Drawn, case, cpus, run, section};
use crate::{blocks, crash, hazards};

pub fn block(change: impl FnOnce(&mut Block)) -> Block {
    let core = |of: &str, at: Option<&str>| CoreState {
        cpus: cpus(of),
        role: "stale".into(),
        doing: "spin".into(),
        proof: "heartbeat 3, 12 ms ago".into(),
        at: at.map(Into::into),
    };
    let mut block = Block {
        n: 1,
        op: Subject::IcIvau,
        initiator: 0,
        instruction: "ic ivau".into(),
        at: "flush_icache_range+92".into(),
        address: None,
        waited_ms: 2420,
        returned: 7,
        seen_by: "sentinel".into(),
        cores: vec![core("1", Some("stale_spin+8")), core("2-6", None)],
        baseline: false,
        behind: false,
        witness: Vec::new(),
        starved: None,
        ladder: vec![],
    };
    change(&mut block);
    block
}

fn rung(rung: &str, us: u64, released: bool) -> Rung {
    let rung = rung.into();
    Rung { rung, us, released }
}

fn blocked(blocks: Vec<Block>, bisections: Vec<BisectRecord>) -> Run {
    Run {
        blocks,
        bisections,
        ..run(8, vec![case(1, Verdict::Blocked)])
    }
}

fn culprits(of: &[&str], trials: u32, complete: bool, why: Option<&str>) -> Run {
    let found = BisectRecord {
        n: 1,
        stale: cpus("1-6"),
        culprits: of.iter().map(|of| cpus(of)).collect(),
        complete,
        trials,
        why: why.map(Into::into),
    };
    blocked(vec![block(|_| {})], vec![found])
}

fn hazard(meant: &[Subject]) -> Hazard {
    let side = |at: &str| Side {
        cpu: 3,
        at: at.into(),
        pc: Hex(0),
        what: "load".into(),
    };
    Hazard {
        kind: Kind::ReadStale,
        by: side("mmu_on+8"),
        with: side("memcpy+4"),
        line: Hex(0x4020_0040),
        meant: meant.into(),
    }
}

fn step(step: Step, on: Option<&str>, detail: Option<&str>) -> KdumpRecord {
    KdumpRecord {
        step,
        at_ms: 1200,
        cpu: 2,
        cpus: on.map(cpus),
        detail: detail.map(Into::into),
    }
}

pub fn drawn() -> Vec<Drawn> {
    let card = |name, change: fn(&mut Block)| {
        let runs = [blocked(vec![block(change)], vec![])];
        section(name, blocks::section, &runs)
    };
    let many = |name, n| {
        let runs = [blocked(vec![block(|_| {}); n], vec![])];
        let mut drawn = section(name, blocks::section, &runs);
        // The cards are all alike.
        let from = drawn.page.find("<details").unwrap_or(drawn.page.len());
        drawn.page.drain(..from);
        drawn
    };
    let search = |name, run: Run| section(name, blocks::section, &[run]);
    let found = |name, hazards: Vec<Hazard>| {
        let run = Run {
            hazards,
            ..Run::default()
        };
        section(name, hazards::section, &[run])
    };
    let walked = |name, kdump: Vec<KdumpRecord>| {
        let run = Run {
            kdump,
            ..Run::default()
        };
        section(name, crash::section, &[run])
    };
    let two = [Subject::DcIvac, Subject::DcZva];
    vec![
        card("a block", |_| {}),
        card("a block, nothing before it", |b| b.returned = 0),
        card("a block, one before it", |b| b.returned = 1),
        card("a block in the baseline", |b| b.baseline = true),
        card("a block behind what had returned", |b| b.behind = true),
        card("a block that a reset ended", |b| b.waited_ms = 0),
        card("a block on an address", |b| b.address = Some(Hex(0x4000))),
        card("a block, released", |b| {
            b.ladder = vec![rung("wait", 300_000, false), rung("sev", 40, true)];
        }),
        card("a block, released or by chance", |b| {
            b.ladder = vec![rung("wait", 300_000, false), rung("sgi", 200_000, true)];
        }),
        card("a block, returned by itself", |b| {
            b.ladder = vec![rung("wait", 900_000, true)]
        }),
        card("a block, cause not known", |b| {
            b.ladder = vec![rung("psci", 900_000, true)]
        }),
        card("a block, nothing helped", |b| {
            let tried = ["wait", "sev", "unlock", "sgi", "el2", "psci"];
            b.ladder = tried.map(|what| rung(what, 600_000, false)).into();
        }),
        many("one block too many", 41),
        many("two blocks too many", 42),
        search("a search that was not made", culprits(&[], 0, true, None)),
        search("a search: none, one trial", culprits(&[], 1, true, None)),
        search("a search: one core", culprits(&["3"], 2, true, None)),
        search(
            "a search: one core or two, and maybe others",
            culprits(&["3", "1,5"], 12, false, Some("the run was to end")),
        ),
        found("a hazard", vec![hazard(&[])]),
        found("a hazard that is meant", vec![hazard(&two[..1])]),
        found("a hazard that two may mean", vec![hazard(&two)]),
        walked(
            "a crash path of one step",
            vec![step(Step::Panic, None, None)],
        ),
        walked(
            "a crash path",
            vec![
                step(Step::Panic, Some("0"), None),
                step(Step::FlushIcache, Some("0-1"), Some("4096 bytes")),
            ],
        ),
    ]
}
