//! What came of the cases, and the end of the run.

use std::time::Instant;

use stalecore_model::{
    exit::ExitCode,
    glossary::Verdict,
    plan::Case,
    record::{CaseRecord, End, Maker, Record},
};

use crate::{flight::Flight, report, run::Run};

impl Run<'_> {
    pub(crate) fn skip(&mut self, cases: &[Case], why: &str) {
        for case in cases {
            let record = CaseRecord::blank(case, Verdict::Skipped, Some(why.into()));
            self.finish(case, record);
        }
    }

    /// Writes a case's record and remembers its verdict.
    pub(crate) fn finish(&mut self, case: &Case, mut record: CaseRecord) {
        record.by = made_by(case);
        self.outcomes
            .add(case.number, record.verdict, record.why.clone());
        if record.late.is_some() {
            self.outcomes.late(case.number);
        }
        report::record(&Record::Case(Box::new(record)));
    }

    /// The tree, the closing record.
    pub(crate) fn close(&self, broken: bool) -> ExitCode {
        let exit = self.outcomes.exit(broken);
        report::note(format!(
            "samples dropped: {} of {}, as the initiator's thread was taken off its CPU meanwhile \
             (getrusage); what interrupts take is in the rest",
            self.dropped, self.taken
        ));
        self.outcomes.notes().for_each(report::note);
        let mut tree = String::new();
        // Writing to a string cannot fail.
        let _ = self.outcomes.write_tree(&mut tree, self.plan, made_by);
        report::text(format_args!("{tree}"));
        if !broken {
            report::record(&Record::End(End {
                exit: exit as u8,
                verdicts: self.outcomes.counts(self.plan),
                elapsed_ms: self.ms_until(Instant::now()),
            }));
        }
        // A block is kept on the disk: who comes next is to know of it.
        if !self.ended
            && let Err(error) = Flight::end(&self.dir)
        {
            report::note(format!("{}: {error}", self.dir.display()));
        }
        exit
    }
}

fn made_by(case: &Case) -> Option<Maker> {
    Maker::of(case.subject, false)
}
