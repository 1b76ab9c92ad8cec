//! The machine is given up: what can still be learned from it.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use stalecore_model::{
    glossary::Verdict,
    options::Scenario,
    record::{CaseRecord, Record},
    run::Run,
};

use super::{Held, Lookout, Names, PATIENCE, Sight, places, registers};
use crate::{
    flatten,
    run::{outdir::REGISTERS, qmp::Qmp, watch::Stop},
    whole_file,
};

/// How often a mark is looked at before the end, and the longest that it must stand
/// still then.
const GLANCE: Duration = Duration::from_millis(200);
const LAST_LOOK: Duration = Duration::from_secs(5);

/// How many bytes of the image in memory say how large it is.
const HEADER: usize = 64;

impl Lookout<'_> {
    /// Adds to the run what can still be learned from a machine that fell silent, and
    /// gives the reason why the watch ended, in the light of that.
    pub fn give_up(&mut self, stop: Stop, run: &mut Run) -> Stop {
        let mut errors = Vec::new();
        let held = match &stop {
            Stop::Held(held) => Some(*held),
            _ => match self.last_look(run) {
                Ok(Sight::Held(held)) => Some(held),
                Ok(_) => None,
                Err(error) => {
                    errors.push(error);
                    None
                }
            },
        };
        let reported = self.report(run, held);
        let stop = match (held, &reported) {
            (Some(held), Ok(true)) => Stop::Held(held),
            (Some(held), _) => Stop::Silent(held.waited),
            (None, _) => stop,
        };
        errors.extend(reported.err());
        // Both fail for the same reason where nobody listens.
        let texts = errors.iter().map(|error| format!("silence: {error:#}"));
        for text in texts {
            if run.notes.last() != Some(&text) {
                run.notes.push(text);
            }
        }
        stop
    }

    /// Looks one last time, for about five seconds at most, before the machine is given
    /// up.
    ///
    /// # Errors
    /// As [`Lookout::look`].
    fn last_look(&mut self, run: &Run) -> anyhow::Result<Sight> {
        let Some(marks) = &run.marks else {
            return Ok(Sight::Nothing);
        };
        let deadline = Duration::from_millis(self.plan.deadline_ms.into()).min(LAST_LOOK);
        let end = Instant::now() + deadline + 2 * GLANCE;
        loop {
            match self.glance(marks, deadline)? {
                Sight::Held(held) => return Ok(Sight::Held(held)),
                other if Instant::now() >= end => return Ok(other),
                _ => thread::sleep(GLANCE),
            }
        }
    }

    /// Stops the machine and adds to the run what is known about it: the block report
    /// (without a held operation, only where each core was), the registers, a core file
    /// if one is wanted. Was a block reported?
    ///
    /// # Errors
    /// The monitor does not answer as it should.
    fn report(&mut self, run: &mut Run, held: Option<Held>) -> anyhow::Result<bool> {
        let mut qmp = Qmp::connect(self.monitor, PATIENCE)?;
        qmp.command("stop", &json!({}))?;
        let dump = qmp.human("info registers -a")?;
        let registers = registers::read(&dump);
        let image = run.marks.as_ref();
        let image = image.map(|marks| self.image(&mut qmp, marks.image.0));
        let image = image.unwrap_or_else(|| Ok(Vec::new()));
        let image = image.unwrap_or_else(|error| {
            run.notes.push(format!("silence: the image: {error:#}"));
            Vec::new()
        });
        let names = Names::new(&image, run.marks.as_ref());
        let found = held.map(|held| self.block(&mut qmp, run, &held, &registers, &names));
        let reported = matches!(found, Some(Ok(_)));
        match found {
            Some(Ok((case, block))) => {
                let place = block.at.clone();
                run.take(Record::Block(block));
                let why = (self.options.scenario == Scenario::Kdump)
                    .then(|| format!("the log ends at: {place}"));
                run.take(Record::Case(Box::new(CaseRecord::blank(
                    &case,
                    Verdict::Blocked,
                    why,
                ))));
            }
            other => {
                if let Some(Err(error)) = other {
                    run.notes.push(format!("silence: {error:#}"));
                }
                run.notes.extend(places(&registers, &names));
            }
        }
        let file = self.out.join(REGISTERS);
        match whole_file::write_here(&file, dump.replace('\r', "").as_bytes()) {
            Ok(()) => run.notes.push(format!(
                "host: the registers of all cores are in {REGISTERS}"
            )),
            Err(error) => run.notes.push(format!("host: {error:#}")),
        }
        if let Some(core) = &mut self.core {
            core.save(&mut qmp);
        }
        Ok(reported)
    }

    /// The image that begins at `base`, as it is in memory: whatever booted it, its
    /// symbol table is in there.
    fn image(&self, qmp: &mut Qmp, base: u64) -> anyhow::Result<Vec<u8>> {
        let header = self.read(qmp, base, HEADER)?;
        flatten::check(&header)?;
        let size = usize::try_from(flatten::image_size(&header))?;
        self.read(qmp, base, size)
    }
}
