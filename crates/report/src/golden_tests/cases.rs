//! The map, each case, the depth sweep, and latency by the number of stale cores.

use stalecore_model::{
    glossary::{LineState, Verdict},
    record::{CaseRecord, Depth, Dwell, Fault, Hex, InitiatorRecord},
    rounds::{Class, Rounds},
    run::Run,
};

use super::{Drawn, case, cpus, run, samples, section, timed};
use crate::{axis::Axes, case, heat, stale_count, sweep, view::View};

fn alone(name: &'static str, case: CaseRecord) -> Drawn {
    let runs = [run(8, vec![case])];
    let page = case::all(&View::new(&runs), &mut Axes::default());
    Drawn { name, page }
}

fn rounds(base: u64, of: &[u64]) -> Rounds {
    let mut rounds = Rounds::new(Class::Complete);
    for ns in of {
        rounds.push(Some(base), *ns, (24, 24));
    }
    rounds
}

fn over(verdict: Verdict, base: u64, of: &[u64]) -> CaseRecord {
    CaseRecord {
        verdict,
        rounds: Some(rounds(base, of)),
        ..timed(1, 2)
    }
}

fn swept(issues: &[u64]) -> CaseRecord {
    let depth = |(nth, issue): (usize, &u64)| Depth {
        depth: 1 << nth,
        issue: *issue,
        barrier: 100,
    };
    CaseRecord {
        sweep: issues.iter().enumerate().map(depth).collect(),
        ..timed(1, 1)
    }
}

fn initiators(n: u32) -> CaseRecord {
    let one = |cpu| InitiatorRecord {
        cpu,
        count: 64,
        p50: 1000 + 100 * u64::from(cpu),
        p99: 2000,
        max: 3000,
    };
    CaseRecord {
        initiators: (0..n).map(one).collect(),
        ..timed(1, 1)
    }
}

fn of_so_many_stale(stale: &str) -> Run {
    let mut run = run(8, vec![timed(1, 1), timed(2, 2)]);
    run.plan.as_mut().unwrap().stale = cpus(stale);
    run
}

fn fault() -> Fault {
    Fault {
        n: 1,
        op: case(1, Verdict::Faulted).op,
        initiator: 0,
        esr: Hex(0x9600_0004),
        syndrome: "data abort, translation fault, level 0".into(),
        far: Hex(0x1000),
        elr: Hex(0x4020_0000),
        at: "flush_icache_range+92".into(),
        returned: -14,
    }
}

pub fn drawn() -> Vec<Drawn> {
    let map = |name, run: Run| section(name, heat::section, &[run]);
    let depths = |name, issues: &[u64]| {
        let runs = [run(8, vec![swept(issues)])];
        let mut drawn = section(name, sweep::section, &runs);
        drawn.page += &case::all(&View::new(&runs), &mut Axes::default());
        drawn
    };
    let cold = CaseRecord {
        line: LineState::Cold,
        ..timed(2, 1)
    };
    let why = |verdict, why: &str| CaseRecord {
        why: Some(why.into()),
        ..case(1, verdict)
    };
    let dwell = |ms, n: u32| Dwell {
        ms,
        samples: samples(5000, n),
        baseline: samples(1000, n),
    };
    vec![
        map("a map: no case", Run::default()),
        map(
            "a map: nothing timed",
            run(8, vec![case(1, Verdict::Completed)]),
        ),
        map("a map: one line state", run(8, vec![timed(1, 2)])),
        map("a map: two line states", run(8, vec![timed(1, 2), cold])),
        section(
            "two maps",
            heat::section,
            &[run(8, vec![timed(1, 2)]), run(8, vec![timed(2, 9)])],
        ),
        alone("a case: nothing timed", case(1, Verdict::Completed)),
        alone(
            "a case: skipped",
            why(Verdict::Skipped, "the core is the sentinel"),
        ),
        alone("a case: timed", timed(1, 2)),
        alone("a case: of one initiator", initiators(1)),
        alone("a case: of two initiators", initiators(2)),
        alone(
            "a case: several operations a sample",
            CaseRecord {
                batch: 16,
                ..timed(1, 1)
            },
        ),
        alone(
            "a case: over one round",
            over(Verdict::Completed, 1000, &[2000]),
        ),
        alone(
            "a case: over rounds",
            over(Verdict::Slowed, 1000, &[3000; 5]),
        ),
        alone(
            "a case: too noisy",
            over(Verdict::Completed, 1000, &[900, 1000, 4000, 5000, 9000]),
        ),
        alone(
            "a case: earlier",
            over(Verdict::Completed, 10_000, &[1000; 12]),
        ),
        alone(
            "a case: after a dwell",
            CaseRecord {
                dwell: vec![dwell(1000, 1), dwell(10_000, 0)],
                ..timed(1, 1)
            },
        ),
        {
            let runs = [Run {
                faults: vec![fault()],
                ..run(8, vec![case(1, Verdict::Faulted)])
            }];
            let page = case::all(&View::new(&runs), &mut Axes::default());
            let mut drawn = section("a fault", crate::blocks::section, &runs);
            drawn.page += &page;
            drawn
        },
        depths("a sweep of one", &[10]),
        depths("a sweep: waits at once", &[10, 1000, 2000]),
        depths("a sweep: posts four", &[10, 20, 40, 4000]),
        depths("a sweep: posts all", &[10, 20, 40]),
        section(
            "one stale core, and six",
            stale_count::section,
            &[of_so_many_stale("1"), of_so_many_stale("1-6")],
        ),
    ]
}
