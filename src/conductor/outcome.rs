//! What came of the cases, and the end of the run.

use alloc::format;

use stalecore_model::{
    plan::Case,
    record::{CaseRecord, End, Maker, Record},
    words,
};

use super::{leave, run::Run};
use crate::{
    fabric,
    hal::{clock, console},
    report::{self, screen},
};

impl Run<'_> {
    /// Writes a case's record and remembers its verdict.
    pub fn finish(&mut self, case: &Case, mut record: CaseRecord) {
        record.by = made_by(case);
        self.outcomes
            .add(case.number, record.verdict, record.why.clone());
        if record.late.is_some() {
            self.outcomes.late(case.number);
        }
        report::boxed(Record::Case, record);
    }

    /// The tree, the closing record, the end.
    pub fn close(&self, broken: bool) -> ! {
        let plan = &self.conductor.plan;
        let exit = self.outcomes.exit(broken);
        self.outcomes.notes().for_each(report::note);
        if let Some(lost) = console::not_kept().filter(|lost| *lost > 0) {
            report::note(format!(
                "ramoops: too small for this log: no room for {} so far",
                words::count(lost as usize, "byte of it", "bytes of it")
            ));
        }
        console::with(|out| {
            // Writing to a console cannot fail: a dead line swallows what is written.
            let _ = self.outcomes.write_tree(out, plan, made_by);
        });
        if broken {
            // If nothing has said more.
            screen::fail(|| "harness error: the run did not end in order".into());
        } else {
            report::record(&Record::End(End {
                exit: exit as u8,
                verdicts: self.outcomes.counts(plan),
                elapsed_ms: clock::ms_since(self.conductor.started),
            }));
            report::again::offer();
        }
        leave::end(exit, &self.present)
    }
}

/// What makes the outcome of a case, where it is not the machine's own cores.
fn made_by(case: &Case) -> Option<Maker> {
    Maker::of(case.subject, fabric::is_on())
}
