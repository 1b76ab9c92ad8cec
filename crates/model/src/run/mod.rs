//! A whole run as the host keeps it: `run.json`.

mod asked;
mod awake;
mod boots;
mod meant;
mod resumed;
mod starved;
mod tcg;
mod unread;

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::glossary::Verdict;
use crate::hazard::{Coverage, Hazard};
use crate::record::{
    Absent, BisectRecord, Block, CaseRecord, Cores, End, Fault, GroupRecord, Icount, Machine,
    Maker, Note, PlanRecord, Record, Resume,
};
use crate::rounds::Found;
use crate::{cpuset::CpuSet, kdump::KdumpRecord, mark::Marks, topology::Topology};
pub use awake::AWAKE;
pub use boots::Boot;
pub use tcg::TcgThread;
pub use unread::Unread;

/// The baud rate of most boards' consoles; a byte takes ten bits there.
pub const BAUD: u32 = 115_200;

/// Everything known about one run. Empty or `None` where the run did not get
/// that far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// The version of this format.
    #[cfg_attr(test, schemars(schema_with = "crate::schema::version"))]
    pub schema: u32,
    /// The host command's version.
    pub version: String,
    /// The `stalecore` command, word by word.
    pub command: Vec<String>,
    /// What was run: the QEMU command, word by word, or the serial line.
    pub machine_command: Vec<String>,
    /// What runs the image: `qemu 7.2.22 (tcg)`, `serial /dev/ttyUSB0`.
    pub host: String,
    /// The image that was booted: length and CRC-64 of its file. Empty where
    /// nobody knows, as on a board.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Is the machine emulated, so that the run is about the harness only?
    /// `None` where that is not known: the machine's record was lost.
    pub emulated: Option<bool>,
    /// Which threads of the host QEMU emulated the cores in. `None` where it did not, or
    /// not always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcg_thread: Option<TcgThread>,
    /// Who made results besides the machine's cores and caches, or could: by the
    /// host's flags and by what the image says about itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_by: Vec<Maker>,
    /// The exit code of the host command.
    #[cfg_attr(test, schemars(schema_with = "crate::schema::exit_code"))]
    pub exit: u8,
    /// Why, in a sentence or two.
    pub answer: String,
    /// From the start of the machine to its end, in milliseconds.
    pub elapsed_ms: u64,
    /// What came over the console, in bytes.
    pub console_bytes: u64,
    /// Lines that looked like records and could not be read, or came twice.
    pub garbled: u64,
    /// The numbers of records that never came, or not as they were written:
    /// first and last of each gap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<[u32; 2]>,
    /// Records without number and checksum, which older images wrote: what is
    /// lost of those, or changed in them, is seen only by what it contradicts.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unchecked: u64,
    /// How many other runs began after this one's end; nothing of them is kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub followed_by: u32,
    /// The machine.
    pub machine: Option<Machine>,
    /// Where in memory the marks were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// The cores, equal ones together.
    pub cores: Vec<Cores>,
    /// Which cores share a package or a cluster, where firmware says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
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
    /// What the image took for blocks, but the host knows not to be: it did not run
    /// the core.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starved: Vec<Block>,
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
    /// Cores that are described but were not available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// The boots that continued what an earlier one began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumes: Vec<Resume>,
    /// How often the machine began again before it had ended: a watchdog or a
    /// person reset it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// The serial line, where the console came over one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialLine>,
    /// Where the image relies on memory that a cache may hide or overwrite, as
    /// the checker of caches found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hazards: Vec<Hazard>,
    /// What the checker of caches saw, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coherence: Option<Coverage>,
    /// The boots, where there were several of the same plan; then a case's rounds are
    /// those, one each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<Boot>,
    /// The image's closing record.
    pub end: Option<End>,
}

/// What happened on a serial line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SerialLine {
    /// Bytes of lines that could not be read.
    pub garbled_bytes: u64,
    /// At least so many bytes never came, by the overruns of the host's UART;
    /// `None` where nobody counts them.
    pub lost_bytes: Option<u64>,
    /// Bytes that came with a wrong stop or parity bit; `None` as above.
    pub damaged_bytes: Option<u64>,
    /// How often the line itself was lost and looked for again.
    pub cuts: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Who saw a block that the host read out of a silent machine.
pub const HOST: &str = "host";

impl Run {
    /// Does the host's word stand for a closing record? The image could not
    /// write one where an operation did not return and no core saw that.
    pub fn closed_by_host(&self) -> bool {
        self.end.is_none() && self.blocks.iter().any(|block| block.seen_by == HOST)
    }

    /// How long the console takes on a serial line of [`BAUD`], in seconds.
    pub fn serial_seconds(&self) -> f64 {
        self.console_bytes as f64 * 10.0 / f64::from(BAUD)
    }

    /// Takes in one record. A second record of a kind that comes once, or of
    /// a case that is already there, replaces nothing: it is counted as
    /// garbled and `false` is returned.
    ///
    /// A second machine before the end is the same one after a reset. What had
    /// ended is kept; a case that runs again counts as it ran last.
    pub fn take(&mut self, record: Record) -> bool {
        fn once<T>(slot: &mut Option<T>, value: T) -> bool {
            let free = slot.is_none();
            if free {
                *slot = Some(value);
            }
            free
        }
        if matches!(record, Record::Machine(_)) && self.machine.is_some() && self.end.is_none() {
            self.begin_again();
        }
        let taken = match record {
            Record::Machine(machine) => once(&mut self.machine, *machine),
            Record::Marks(marks) => once(&mut self.marks, marks),
            // Useful only while the machine runs.
            Record::Hold(_) => true,
            Record::Topology(topology) => once(&mut self.topology, topology),
            Record::Plan(plan) => {
                if plan.has_fabric() == Some(true) {
                    self.made_also_by(Maker::Fabric);
                }
                once(&mut self.plan, plan)
            }
            Record::Icount(icount) => once(&mut self.icount, icount),
            Record::End(end) => once(&mut self.end, end),
            Record::Case(case) => self.take_case(*case),
            Record::Cores(cores) => push(&mut self.cores, cores),
            Record::Resume(resume) => push(&mut self.resumes, resume),
            Record::Note(Note { text }) => push(&mut self.notes, text),
            // After a reset a group may begin once more.
            Record::Group(group) if self.restarts > 0 && self.groups.contains(&group) => true,
            Record::Group(group) => push(&mut self.groups, group),
            Record::Block(block) => push(&mut self.blocks, block),
            Record::Rung(rung) => {
                let block = self.last_block(rung.n);
                block.is_some_and(|block| push(&mut block.ladder, rung.into()))
            }
            Record::Witness(reading) => {
                let block = self.last_block(reading.n);
                block.is_some_and(|block| push(&mut block.witness, reading))
            }
            Record::Absent(absent) => push(&mut self.absent, absent),
            Record::Bisect(bisection) => push(&mut self.bisections, bisection),
            Record::Fault(fault) => push(&mut self.faults, fault),
            Record::Kdump(step) => push(&mut self.kdump, step),
        };
        if !taken {
            self.garbled += 1;
        }
        taken
    }

    fn made_also_by(&mut self, maker: Maker) {
        if !self.made_by.contains(&maker) {
            self.made_by.push(maker);
            self.made_by.sort();
        }
    }

    /// Notes that the records of these numbers are missing.
    pub(crate) fn lose(&mut self, first: u32, last: u32) {
        self.lost.push([first, last]);
    }

    /// How many records are missing.
    pub fn lost_records(&self) -> u64 {
        let count = |[first, last]: &[u32; 2]| u64::from(last.saturating_sub(*first)) + 1;
        self.lost.iter().map(count).sum()
    }

    /// Forgets what the machine is about to say again.
    pub(crate) fn begin_again(&mut self) {
        self.restarts += 1;
        (self.machine, self.marks, self.topology) = (None, None, None);
        (self.plan, self.icount) = (None, None);
        self.cores.clear();
        self.absent.clear();
    }

    /// What a case's rounds show, where it has any: as the image has judged it.
    pub fn found(&self, case: &CaseRecord) -> Option<Found> {
        let (rounds, plan) = (case.rounds.as_ref()?, self.plan.as_ref()?);
        if !self.boots.is_empty() {
            return self.found_over_boots(case, plan.threshold);
        }
        Some(rounds.found(self.resolution(), plan.threshold, plan.cases as usize))
    }

    /// The cases with a single sample that was late, the longest first.
    pub fn late(&self) -> Vec<&CaseRecord> {
        let was = |case: &&CaseRecord| case.was_late().is_some();
        let mut late: Vec<_> = self.cases.iter().filter(was).collect();
        late.sort_by_key(|case| core::cmp::Reverse(case.was_late().map(|late| late.ticks)));
        late
    }

    /// The cores that are described but were not available.
    pub fn absent(&self) -> CpuSet {
        let sets = self.absent.iter();
        sets.fold(CpuSet::EMPTY, |all, absent| all.union(&absent.cpus))
    }

    /// The cores that were stuck before this boot.
    pub fn inherited(&self) -> CpuSet {
        let inherited = self.absent.iter().filter(|absent| absent.inherited);
        inherited.fold(CpuSet::EMPTY, |all, absent| all.union(&absent.cpus))
    }

    /// What follows a block belongs to the last one of its case.
    fn last_block(&mut self, n: u32) -> Option<&mut Block> {
        self.blocks.iter_mut().rfind(|block| block.n == n)
    }

    /// There are never more cases than the glossary has combinations, whatever
    /// a console claims.
    fn take_case(&mut self, mut case: CaseRecord) -> bool {
        if let Some(maker) = case.by {
            self.made_also_by(maker);
        }
        // Readers of the run need not know which baselines were left out.
        let (issue, complete) = case.baseline();
        (case.base_issue, case.base_complete) = (issue.clone(), complete.clone());
        let what = |c: &CaseRecord| (c.op, c.state, c.line);
        let same = |c: &CaseRecord| c.n == case.n || what(c) == what(&case);
        let Some(known) = self.cases.iter_mut().find(|c| same(c)) else {
            return push(&mut self.cases, case);
        };
        // After a reset only: what ran then, and is the same case.
        let again = self.restarts > 0 && known.n == case.n && what(known) == what(&case);
        if again && case.verdict != Verdict::Skipped {
            *known = case;
        }
        again
    }
}

fn push<T>(list: &mut Vec<T>, value: T) -> bool {
    list.push(value);
    true
}

#[cfg(test)]
pub(crate) mod tests;
