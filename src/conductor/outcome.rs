//! What came of the cases, and the end of the run.

use alloc::{format, string::String, vec::Vec};

use stalecore_model::{
    exit::ExitCode,
    glossary::Verdict,
    ktap,
    plan::Case,
    record::{CaseRecord, End, Maker, Record},
    words,
};

use super::run::Run;
use crate::{
    fabric,
    hal::{clock, console, exit},
    report,
};

impl Run<'_> {
    /// Writes a case's record and remembers its verdict.
    pub fn finish(&mut self, case: &Case, mut record: CaseRecord) {
        record.by = made_by(case);
        self.count(case.number, record.verdict, record.why.clone());
        report::boxed(Record::Case, record);
    }

    /// Remembers the verdict of a case, and what it means for the exit code.
    pub(super) fn count(&mut self, number: usize, verdict: Verdict, why: Option<String>) {
        let strict = self.conductor.max_slowdown.is_some();
        let mut code = verdict.exit_code();
        if strict && verdict == Verdict::Slowed {
            code = code.worse(ExitCode::Slowed);
        }
        self.exit = self.exit.worse(code);
        self.outcomes.insert(number, (verdict, why));
    }

    /// The tree, the closing record, the end.
    pub fn close(&self, broken: bool) -> ! {
        let mut counts: Vec<(Verdict, u32)> = Vec::new();
        for verdict in Verdict::ALL {
            let count = self.outcomes.values().filter(|(v, _)| v == verdict).count();
            let missing = if *verdict == Verdict::Skipped {
                self.conductor.plan.len() - self.outcomes.len()
            } else {
                0
            };
            if count + missing > 0 {
                counts.push((*verdict, (count + missing) as u32));
            }
        }
        let decided = |v: Verdict| !matches!(v, Verdict::Skipped | Verdict::Inconclusive);
        let mut exit = self.exit;
        if !self.outcomes.values().any(|(v, _)| decided(*v)) {
            exit = exit.worse(ExitCode::Inconclusive);
        }
        if broken {
            exit = ExitCode::Harness;
        }
        let which = match self.cut[..] {
            [] => None,
            [only] => Some(format!("case {only}")),
            [first, ..] => Some(format!("{} cases, case {first} the first,", self.cut.len())),
        };
        if let Some(which) = which {
            report::note(format!(
                "{which} took so long that there are fewer samples, or depths of the sweep, than \
                 were asked for"
            ));
        }
        self.tell_unconfirmed();
        if let Some(lost) = console::not_kept().filter(|lost| *lost > 0) {
            report::note(format!(
                "ramoops: too small for this log: no room for {} so far",
                words::count(lost as usize, "byte of it", "bytes of it")
            ));
        }
        let strict = self.conductor.max_slowdown.is_some();
        console::with(|out| {
            // Writing to a console cannot fail: a dead line swallows what is written.
            let _ = ktap::write_tree(out, &self.conductor.plan, strict, |case| {
                self.outcomes
                    .get(&case.number)
                    .map(|(verdict, why)| ktap::Outcome {
                        verdict: *verdict,
                        why: why.as_deref(),
                        by: made_by(case),
                    })
            });
        });
        if !broken {
            report::record(&Record::End(End {
                exit: exit as u8,
                verdicts: counts,
                elapsed_ms: clock::ms_since(self.conductor.started),
            }));
            report::again::offer();
        }
        exit::end(exit)
    }
}

/// What makes the outcome of a case, where it is not the machine's own cores.
fn made_by(case: &Case) -> Option<Maker> {
    Maker::of(case.subject, fabric::is_on())
}
