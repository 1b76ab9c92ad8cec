//! A whole run as the host keeps it: `run.json`.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::record::{
    BisectRecord, Block, CaseRecord, Cores, End, Fault, GroupRecord, Icount, Machine, Note,
    PlanRecord, Record,
};
use crate::{kdump::KdumpRecord, mark::Marks};

/// Everything known of one run. Empty or `None` where the run did not get
/// that far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// [`crate::record::SCHEMA`] of the host command that wrote it.
    pub schema: u32,
    /// The host command's version.
    pub version: String,
    /// The `stalecore` command, word by word.
    pub command: Vec<String>,
    /// What was run: the QEMU command, word by word, or the serial line.
    pub machine_command: Vec<String>,
    /// What runs the image: `qemu 7.2.22 (tcg)`, `serial /dev/ttyUSB0`.
    pub host: String,
    /// Is the machine emulated, so that the run is about the harness only?
    pub emulated: bool,
    /// The exit code that the host gave.
    pub exit: u8,
    /// Why, in one sentence.
    pub answer: String,
    /// From the start of the machine to its end, in milliseconds.
    pub elapsed_ms: u64,
    /// What came over the console, in bytes.
    pub console_bytes: u64,
    /// Lines that looked like records and could not be read.
    pub garbled: u64,
    /// The machine.
    pub machine: Option<Machine>,
    /// Where in memory the marks were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// The cores, equal ones together.
    pub cores: Vec<Cores>,
    /// The plan.
    pub plan: Option<PlanRecord>,
    /// What a person should know, the host's own notes too.
    pub notes: Vec<String>,
    /// The groups that were begun.
    pub groups: Vec<GroupRecord>,
    /// The cases that ended, in order.
    pub cases: Vec<CaseRecord>,
    /// Blocks, in order.
    pub blocks: Vec<Block>,
    /// Faults, in order.
    pub faults: Vec<Fault>,
    /// Bisections, in order.
    #[serde(default)]
    pub bisections: Vec<BisectRecord>,
    /// The cost of the timed block, if it was counted.
    pub icount: Option<Icount>,
    /// The steps of the crash path that were reached, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kdump: Vec<KdumpRecord>,
    /// The image's closing record.
    pub end: Option<End>,
}

/// Who saw a block that the host read out of a silent machine.
pub const HOST: &str = "host";

impl Run {
    /// Does the host's word stand for a closing record? The image could not
    /// write one, as an operation did not return and nobody in the machine saw
    /// that.
    pub fn closed_by_host(&self) -> bool {
        self.end.is_none() && self.blocks.iter().any(|block| block.seen_by == HOST)
    }

    /// Takes in one record. A second record of a kind that comes once, or of
    /// a case that is already there, replaces nothing: it is counted as
    /// garbled and `false` is returned.
    pub fn take(&mut self, record: Record) -> bool {
        fn once<T>(slot: &mut Option<T>, value: T) -> bool {
            let free = slot.is_none();
            if free {
                *slot = Some(value);
            }
            free
        }
        let taken = match record {
            Record::Machine(machine) => once(&mut self.machine, *machine),
            Record::Marks(marks) => once(&mut self.marks, marks),
            // Of use while the machine runs, and never after.
            Record::Hold(_) => true,
            Record::Plan(plan) => once(&mut self.plan, plan),
            Record::Icount(icount) => once(&mut self.icount, icount),
            Record::End(end) => once(&mut self.end, end),
            Record::Case(case) => {
                // So there are never more than the glossary has combinations,
                // whatever a console claims.
                let what = |c: &CaseRecord| (c.op, c.state, c.line);
                let same = |c: &CaseRecord| c.n == case.n || what(c) == what(&case);
                let new = !self.cases.iter().any(same);
                if new {
                    self.cases.push(*case);
                }
                new
            }
            Record::Cores(cores) => push(&mut self.cores, cores),
            Record::Note(Note { text }) => push(&mut self.notes, text),
            Record::Group(group) => push(&mut self.groups, group),
            Record::Block(block) => push(&mut self.blocks, block),
            Record::Bisect(bisection) => push(&mut self.bisections, bisection),
            Record::Fault(fault) => push(&mut self.faults, fault),
            Record::Kdump(step) => push(&mut self.kdump, step),
        };
        if !taken {
            self.garbled += 1;
        }
        taken
    }
}

fn push<T>(list: &mut Vec<T>, value: T) -> bool {
    list.push(value);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closing_record_counts() {
        let mut run = Run::default();
        let end = |exit| {
            Record::End(End {
                exit,
                verdicts: Vec::new(),
                elapsed_ms: 1,
            })
        };
        assert!(run.take(end(4)));
        assert!(!run.take(end(0)));
        assert_eq!((run.end.map(|e| e.exit), run.garbled), (Some(4), 1));
    }
}
