//! Consoles as an image would write them, from the model's own types.

use stalecore_model::{
    exit::ExitCode,
    glossary::Verdict,
    histogram::Histogram,
    ktap::{self, Outcome},
    options::Options,
    plan::{Case, Plan},
    record::{CaseRecord, End, Machine, PlanRecord, Record, Seal},
};

use crate::synthetic::machine;

/// The plan of these consoles: two operations under two states, four cores.
pub const PLAN: &str = "--ops ic-ivau,dc-civac --stale spin,wfe --cpus 4";

/// The same as boot arguments.
const OPTIONS: &str = "stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe";

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
        Self::of(OPTIONS, 4, found)
    }

    /// The same for the plan of these options on a machine with this many cores.
    pub fn of(options: &str, cpus: usize, found: impl Fn(&Case) -> Verdict) -> Self {
        let options = Options::from_bootargs(options).unwrap();
        let strict = options.max_slowdown.is_some();
        let plan = Plan::new(&options, cpus).unwrap();
        let all: Vec<_> = plan.groups.iter().flat_map(|g| &g.cases).collect();
        let (mut head, mut tree, mut exit) = (String::new(), String::new(), String::new());
        ktap::write_head(&mut head, &plan).unwrap();
        ktap::write_tree(&mut tree, &plan, strict, |case| {
            let verdict = found(case);
            Some(Outcome {
                verdict,
                why: None,
                by: None,
                late: false,
            })
        })
        .unwrap();
        let code = all.iter().fold(ExitCode::Expected, |code, case| {
            let slow = strict && found(case) == Verdict::Slowed;
            let slow = if slow { ExitCode::Slowed } else { code };
            code.worse(slow).worse(found(case).exit_code())
        });
        ktap::write_exit(&mut exit, code).unwrap();
        let count = |v| all.iter().filter(|c| found(c) == v).count() as u32;
        let verdicts = Verdict::ALL.iter().map(|v| (*v, count(*v)));
        Self {
            head,
            begin: line(&Record::Machine(Box::new(Machine {
                // None of QEMU's.
                model: "a board".into(),
                ..machine(cpus, histogram(12))
            }))) + &line(&plan_record(&plan, &options)),
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

    /// All of it, each record with its number and checksum.
    pub fn text(&self) -> String {
        let Self {
            head,
            begin,
            cases,
            tree,
            end,
            exit,
        } = self;
        sealed(&format!("{head}{begin}{}{tree}{end}{exit}", cases.concat()))
    }
}

/// A console of one boot with number and checksum behind each record.
pub fn sealed(text: &str) -> String {
    let mut number = 0;
    let seal = |line: &str| match line.strip_prefix("# ").filter(|l| l.starts_with('{')) {
        Some(record) => {
            number += 1;
            let json = record.trim_end();
            format!("# {json}{}\n", Seal::new(json.as_bytes(), number))
        }
        None => line.to_string(),
    };
    text.split_inclusive('\n').map(seal).collect()
}

/// Everything completed.
pub fn fine() -> Console {
    Console::new(|_| Verdict::Completed)
}

/// The first case blocked.
pub fn blocked() -> Console {
    first(Verdict::Blocked)
}

/// The first case ended with this verdict, the others completed.
pub fn first(verdict: Verdict) -> Console {
    Console::new(|case| match case.number {
        1 => verdict,
        _ => Verdict::Completed,
    })
}

/// A record as a line, without number and checksum.
pub fn line(record: &Record) -> String {
    format!("# {}\n", record.to_json().unwrap())
}

fn histogram(value: u64) -> Histogram {
    let mut histogram = Histogram::new();
    histogram.add_many(value, 64);
    histogram
}

fn case(case: &Case, verdict: Verdict) -> Record {
    let timed = matches!(verdict, Verdict::Completed | Verdict::Slowed);
    let mut record = CaseRecord::blank(case, verdict, None);
    if timed {
        let late = if verdict == Verdict::Slowed { 700 } else { 150 };
        record.complete = histogram(late);
        record.base_complete = histogram(100);
    }
    Record::Case(Box::new(record))
}

fn plan_record(plan: &Plan, options: &Options) -> Record {
    Record::Plan(PlanRecord {
        cases: plan.len() as u32,
        initiators: plan.roles.initiators,
        stale: plan.roles.stale,
        samples: 64,
        deadline_ms: plan.deadline_ms,
        threshold: 2000,
        strict: options.max_slowdown.is_some(),
        options: Some(options.to_bootargs()),
        under_test: None,
    })
}
