//! Consoles as an image would write them, from the model's own types.

use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::Verdict,
    histogram::Histogram,
    ktap::{self, Outcome},
    options::Options,
    plan::{Case, Plan},
    record::{CaseRecord, End, Machine, PlanRecord, Record},
};

use crate::synthetic::machine;

/// The plan of these consoles: two operations under two states, four cores.
pub const PLAN: &str = "--ops ic-ivau,dc-civac --stale spin,wfe --cpus 4";

/// A console cut into its parts, so that a test can break one.
pub struct Console {
    /// The version and the count.
    pub head: String,
    /// Machine and plan.
    pub begin: String,
    /// One line for each case.
    pub cases: Vec<String>,
    /// The KTAP tree.
    pub tree: String,
    /// The closing record.
    pub end: String,
    /// The last line.
    pub exit: String,
}

impl Console {
    /// A run in which each case ends as `found` says.
    pub fn new(found: impl Fn(&Case) -> Verdict) -> Self {
        let text = "stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe";
        let plan = Plan::new(&Options::from_bootargs(text).unwrap(), 4).unwrap();
        let all: Vec<_> = plan.groups.iter().flat_map(|g| &g.cases).collect();
        let (mut head, mut tree, mut exit) = (String::new(), String::new(), String::new());
        ktap::write_head(&mut head, &plan).unwrap();
        ktap::write_tree(&mut tree, &plan, false, |case| {
            let verdict = found(case);
            Some(Outcome { verdict, why: None })
        })
        .unwrap();
        let code = all.iter().fold(ExitCode::Expected, |code, case| {
            code.worse(ExitCode::of_verdict(found(case)))
        });
        ktap::write_exit(&mut exit, code).unwrap();
        let count = |v| all.iter().filter(|c| found(c) == v).count() as u32;
        let verdicts = Verdict::ALL.iter().map(|v| (*v, count(*v)));
        Self {
            head,
            begin: line(&Record::Machine(Box::new(Machine {
                // None of QEMU's.
                model: "a board".into(),
                ..machine(4, histogram(12))
            }))) + &line(&plan_record(&plan)),
            cases: all.iter().map(|c| line(&case(c, found(c)))).collect(),
            tree,
            end: line(&Record::End(End {
                exit: code as u8,
                verdicts: verdicts.filter(|(_, n)| *n > 0).collect(),
                elapsed_ms: 12,
            })),
            exit,
        }
    }

    /// All of it.
    pub fn text(&self) -> String {
        let Self {
            head,
            begin,
            cases,
            tree,
            end,
            exit,
        } = self;
        format!("{head}{begin}{}{tree}{end}{exit}", cases.concat())
    }
}

/// Everything completed.
pub fn fine() -> Console {
    Console::new(|_| Verdict::Completed)
}

/// The first case blocked.
pub fn blocked() -> Console {
    Console::new(|case| match case.number {
        1 => Verdict::Blocked,
        _ => Verdict::Completed,
    })
}

fn line(record: &Record) -> String {
    format!("# {}\n", record.to_json().unwrap())
}

fn histogram(value: u64) -> Histogram {
    let mut histogram = Histogram::new();
    histogram.add_many(value, 64);
    histogram
}

fn case(case: &Case, verdict: Verdict) -> Record {
    Record::Case(Box::new(CaseRecord {
        n: case.number as u32,
        op: case.subject,
        state: case.state,
        line: case.line,
        verdict,
        why: None,
        batch: 1,
        issue: Histogram::new(),
        complete: histogram(150),
        base_issue: Histogram::new(),
        base_complete: histogram(100),
        sweep: vec![],
        initiators: vec![],
    }))
}

fn plan_record(plan: &Plan) -> Record {
    Record::Plan(PlanRecord {
        cases: plan.len() as u32,
        initiators: CpuSet::one(0),
        stale: plan.roles.stale,
        samples: 64,
        deadline_ms: plan.deadline_ms,
        threshold: 2000,
        strict: false,
    })
}
