//! The records that the image writes and the host reads: one schema, the same
//! Rust types on both sides. On the console each is one diagnostic line of
//! KTAP: `# `, the record as JSON (an object with one key, the record's kind)
//! and its [`Seal`].

mod block;
mod kept;
mod late;
mod maker;
mod seal;
mod slowdown;

use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

pub use crate::hex::Hex;
pub use block::{
    Absent, BASELINE_BLOCKED, BisectRecord, Block, CoreState, Fault, INHERITED_SDEI, INHERITED_SGI,
    MOMENT, Release, Rung, RungRecord, Starved, WAITED,
};
pub use kept::{Kept, KeptBlock, KeptCase};
pub use late::Late;
pub use maker::Maker;
pub use seal::{Seal, Sealing};

use crate::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState, Subject, Verdict},
    histogram::Histogram,
    kdump::KdumpRecord,
    mark::Marks,
    options::Milli,
    plan::Case,
    rounds::Rounds,
    topology::Topology,
    witness::Reading,
};

/// The version of the records; a change that an older reader would misread
/// makes it one more. Every version up to this one is read; what changed in
/// each stands in docs/report-format.md.
pub const SCHEMA: u32 = 4;

/// From this version on each record's line ends with a [`Seal`], and the plan and
/// each case say whether there was a fabric.
pub const SEALED: u32 = 3;

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The machine, first of all.
    Machine(Box<Machine>),
    /// Where in memory the marks are.
    Marks(Marks),
    /// Cores with the same registers.
    Cores(Cores),
    /// Which cores share a package or a cluster, where firmware says so.
    Topology(Topology),
    /// What will be done.
    Plan(PlanRecord),
    /// An earlier boot began the plan; this one goes on with it.
    Resume(Resume),
    /// Something a person should know.
    Note(Note),
    /// A group of cases begins: the stale cores are about to be put into
    /// their state.
    Group(GroupRecord),
    /// A case has ended. (Boxed: its histograms are large.)
    Case(Box<CaseRecord>),
    /// Cores that are described and are not to be had.
    Absent(Absent),
    /// An operation had not returned when its deadline passed.
    Block(Block),
    /// A rung of the release ladder under the last block of its case.
    Rung(RungRecord),
    /// What counters in the interconnect stood at beside the last block of its case.
    Witness(Reading),
    /// An operation took an exception.
    Fault(Fault),
    /// Which stale cores a block takes.
    Bisect(BisectRecord),
    /// What the timed block costs in instructions, under `icount`.
    Icount(Icount),
    /// A step of the crash path was reached.
    Kdump(KdumpRecord),
    /// The image holds still for a while, so that a debugger can look at it.
    Hold(Hold),
    /// The run has ended; without this record it did not end in order.
    End(End),
}

/// What the image found out about the machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Machine {
    /// The version of the image's records.
    pub schema: u32,
    /// The image's version.
    pub version: String,
    /// The board's name from the device tree or ACPI.
    pub model: String,
    /// Where that came from: `device-tree` or `acpi`; of a Linux `device-tree`, `dmi` or,
    /// where that does not say, `linux`.
    pub source: String,
    /// Exception level at which the image was entered, 1 to 3; 0 of threads under Linux.
    pub entry_el: u8,
    /// PSCI conduit: `hvc`, `smc`, or none.
    pub psci: Option<String>,
    /// PSCI version as the firmware states it, like `1.1`.
    pub psci_version: Option<String>,
    /// `gicv2` or `gicv3`, or Linux's own.
    pub gic: String,
    /// Redistributor regions (GICv3).
    pub gicr_regions: u32,
    /// How many cores.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// What writes the console: `pl011` or `16550`; of threads under Linux a pipe.
    pub console: String,
    /// The counter of the samples: `pmccntr` or `cntvct`.
    pub counter: String,
    /// Its frequency in Hz as measured against CNTVCT_EL0.
    pub counter_hz: u64,
    /// CNTFRQ_EL0 in Hz.
    pub cntfrq: u64,
    /// The sentinel core, or none.
    pub sentinel: Option<u32>,
    /// The empty timed block, in ticks of the counter.
    pub empty: Histogram,
}

/// Cores whose identification registers are the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cores {
    /// Which.
    pub cpus: CpuSet,
    /// MPIDR_EL1 of each, in the order of `cpus`; none where EL0 does not see it.
    pub mpidr: Vec<Hex>,
    /// MIDR_EL1.
    pub midr: Hex,
    /// REVIDR_EL1.
    pub revidr: Hex,
    /// CTR_EL0.
    pub ctr: Hex,
    /// CLIDR_EL1.
    pub clidr: Hex,
    /// CCSIDR_EL1 of each cache, level 1 data first, instruction after data.
    pub ccsidr: Vec<Hex>,
    /// DCZID_EL0.
    pub dczid: Hex,
    /// CNTFRQ_EL0 in Hz.
    pub cntfrq: u64,
    /// Event counters of the PMU, if there is one.
    pub pmu: Option<u32>,
}

/// What the run will do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlanRecord {
    /// How many cases.
    pub cases: u32,
    /// The initiators.
    pub initiators: CpuSet,
    /// The stale cores.
    pub stale: CpuSet,
    /// Samples per case and class.
    pub samples: u32,
    /// Deadline of one operation in milliseconds.
    pub deadline_ms: u32,
    /// The slow-down above which a case is `slowed`, in thousandths.
    pub threshold: Milli,
    /// Does a slowed case count against the exit code?
    pub strict: bool,
    /// The options that the image was given, as boot arguments, where they are
    /// not the defaults; `None` where an older image did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// The physical addresses of the memory that is under test: where it begins, and
    /// where it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_test: Option<[Hex; 2]>,
}

/// How the boot argument that asks for a fabric begins; it is not there where
/// none is asked for.
const FABRIC: &str = "stalecore.fabric=";

impl PlanRecord {
    /// Was there a fabric? `None` where the record does not tell.
    pub fn has_fabric(&self) -> Option<bool> {
        let mut words = self.options.as_ref()?.split_ascii_whitespace();
        Some(words.any(|word| word.starts_with(FABRIC)))
    }
}

/// What the flight recorder kept of a plan that an earlier boot began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Resume {
    /// How many boots there have been, with this one.
    pub boots: u32,
    /// How many cases had been finished.
    pub finished: u32,
    /// The case that was in flight: it did not return, and is not run again.
    pub unfinished: Option<u32>,
}

/// Something a person should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// One line.
    pub text: String,
}

/// The beginning of a group of cases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupRecord {
    /// The stale state.
    pub state: StaleState,
    /// The line state.
    pub line: LineState,
    /// The number of its first case.
    pub first: u32,
    /// How many cases it has.
    pub cases: u32,
}

/// What came of a case. Histograms are in ticks of the machine's counter,
/// per timed block of `batch` operations; empty where there was nothing to time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CaseRecord {
    /// Number in the plan, from 1.
    pub n: u32,
    /// What ran.
    pub op: Subject,
    /// How the stale cores were stuck.
    pub state: StaleState,
    /// What the caches held; left out where it is `dirty-here`, as it is in
    /// nearly every case and a serial line is slow.
    #[serde(default = "usual", skip_serializing_if = "is_usual")]
    pub line: LineState,
    /// What was found.
    pub verdict: Verdict,
    /// Why it was skipped, inconclusive or incoherent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who made it, where it was not the machine's own cores and caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Maker>,
    /// Operations per timed block, where one is too short for the counter.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub batch: u32,
    /// Issue class (no DSB) with stale cores.
    #[serde(rename = "i", default, skip_serializing_if = "no_samples")]
    pub issue: Histogram,
    /// Complete class (with the DSB) with stale cores.
    #[serde(rename = "c", default, skip_serializing_if = "no_samples")]
    pub complete: Histogram,
    /// Issue class of the baseline.
    #[serde(rename = "bi", default, skip_serializing_if = "no_samples")]
    pub base_issue: Histogram,
    /// Complete class of the baseline.
    #[serde(rename = "bc", default, skip_serializing_if = "no_samples")]
    pub base_complete: Histogram,
    /// The rounds that the verdict rests on, left out where they show neither a difference
    /// nor that one may be hidden: of the class that decides, and where there
    /// are more than [`ROUNDS`](crate::rounds::ROUNDS), those that were to confirm what
    /// the first showed. The histograms are of the first alone.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Rounds>,
    /// A single sample that was late, where no quantile shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// The depth sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Depth>,
    /// One operation alone, after nobody had done anything for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dwell: Vec<Dwell>,
    /// Each initiator's own figures, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initiators: Vec<InitiatorRecord>,
}

const fn one() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_one(batch: &u32) -> bool {
    *batch == 1
}

const fn usual() -> LineState {
    LineState::DirtyHere
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_usual(line: &LineState) -> bool {
    *line == usual()
}

const fn no_samples(histogram: &Histogram) -> bool {
    histogram.count() == 0
}

impl CaseRecord {
    /// What it is compared with, issue and complete class. With every other core
    /// parked it is its own baseline, and does not go over the line twice.
    pub fn baseline(&self) -> (&Histogram, &Histogram) {
        let none = self.base_issue.count() == 0 && self.base_complete.count() == 0;
        if none && self.state == StaleState::Parked {
            (&self.issue, &self.complete)
        } else {
            (&self.base_issue, &self.base_complete)
        }
    }

    /// The record of a case of which nothing was timed.
    pub fn blank(case: &Case, verdict: Verdict, why: Option<String>) -> Self {
        Self {
            n: case.number as u32,
            op: case.subject,
            state: case.state,
            line: case.line,
            verdict,
            why,
            by: None,
            batch: 1,
            issue: Histogram::new(),
            complete: Histogram::new(),
            base_issue: Histogram::new(),
            base_complete: Histogram::new(),
            rounds: None,
            late: None,
            sweep: Vec::new(),
            dwell: Vec::new(),
            initiators: Vec::new(),
        }
    }
}

/// One operation with its DSB, timed alone each time that nobody had done anything for
/// so long; `issue` class for what has no DSB.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dwell {
    /// How long, in milliseconds.
    pub ms: u32,
    /// With stale cores.
    #[serde(rename = "s", default, skip_serializing_if = "no_samples")]
    pub samples: Histogram,
    /// With every other core parked, and as long.
    #[serde(rename = "b", default, skip_serializing_if = "no_samples")]
    pub baseline: Histogram,
}

/// The depths of the sweep.
pub const DEPTHS: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// One depth of the sweep: operations back to back without a DSB, then the DSB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Depth {
    /// How many operations: 1, 2, 4 … 512.
    #[serde(rename = "d")]
    pub depth: u32,
    /// Median ticks to issue all of them.
    #[serde(rename = "i")]
    pub issue: u64,
    /// Median ticks of the DSB behind them.
    #[serde(rename = "b")]
    pub barrier: u64,
}

/// One initiator's part of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InitiatorRecord {
    /// Which core.
    pub cpu: u32,
    /// Samples of the complete class.
    pub count: u64,
    /// Median in ticks.
    pub p50: u64,
    /// 99th percentile in ticks.
    pub p99: u64,
    /// Maximum in ticks.
    pub max: u64,
}
/// What the timed block costs, counted in instructions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Icount {
    /// Between the two counter reads of the empty block.
    pub empty: u64,
    /// How many instructions are written there.
    pub written: u64,
    /// Each operation, and how many more it costs than the empty block.
    pub more: Vec<(Subject, i64)>,
}

/// The image does nothing for a while.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// How long, in milliseconds of its own clock.
    pub ms: u64,
    /// What a debugger can see.
    pub why: String,
}

/// The run has ended in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct End {
    /// The exit code.
    pub exit: u8,
    /// How many cases ended with each verdict, in the glossary's order,
    /// verdicts without cases left out.
    pub verdicts: Vec<(Verdict, u32)>,
    /// From entry to here by CNTVCT_EL0, in milliseconds.
    pub elapsed_ms: u64,
}

/// What nearly every case has, and how a line says it. (In a string the quotes would be
/// escaped.)
const COMPLETED: (&str, &str) = ("\"verdict\":\"completed\"", "\"v\":\"ok\"");

impl Record {
    /// The record as one line of JSON, as short as a slow line wants it: that a case is
    /// `completed` is `"v":"ok"`.
    ///
    /// # Errors
    /// None in practice: the records hold nothing that JSON cannot.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        if let Self::Case(case) = self
            && case.verdict == Verdict::Completed
        {
            let (whole, short) = COMPLETED;
            let mut places = text.as_bytes().windows(whole.len());
            // (`find` would be 4 KiB of the image.)
            if let Some(at) = places.position(|place| place == whole.as_bytes()) {
                text.replace_range(at..at + whole.len(), short);
            }
        }
        Ok(text)
    }

    /// Must a line with this record have a [`Seal`]? Images of older schemas
    /// wrote none.
    pub fn must_be_sealed(&self) -> bool {
        matches!(self, Self::Machine(machine) if machine.schema >= SEALED)
    }

    /// Reads one line of JSON.
    ///
    /// # Errors
    /// What is not JSON, no known record, or lacks a field.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let (whole, short) = COMPLETED;
        serde_json::from_str(&text.replacen(short, whole, 1))
    }
}

#[cfg(test)]
mod tests;
