//! The records that the image writes and the host reads: one schema, the same
//! Rust types on both sides. On the console each is one diagnostic line of
//! KTAP: `# ` and the record as JSON, an object with one key, the record's kind.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState, Subject, Verdict},
    histogram::Histogram,
    kdump::KdumpRecord,
    mark::Marks,
    options::Milli,
    plan::Case,
    topology::Topology,
};

/// The version of the records; a change that an older reader would misread
/// makes it one more. Every version up to this one is read; what changed in
/// each stands in docs/report-format.md.
pub const SCHEMA: u32 = 2;

/// A register or an address: `"0x84448004"` in JSON, as 64 bits do not fit a
/// JSON number everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(d)?;
        text.strip_prefix("0x")
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not a hexadecimal number like 0x84448004"))
    }
}

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
    /// An operation had not returned when its deadline passed.
    Block(Block),
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
pub struct Machine {
    /// [`SCHEMA`] of this image.
    pub schema: u32,
    /// The image's version.
    pub version: String,
    /// The board's name from the device tree or ACPI.
    pub model: String,
    /// Where that came from: `device-tree` or `acpi`.
    pub source: String,
    /// Exception level at which the image was entered, 1 to 3.
    pub entry_el: u8,
    /// PSCI conduit: `hvc`, `smc`, or none.
    pub psci: Option<String>,
    /// PSCI version as the firmware states it, like `1.1`.
    pub psci_version: Option<String>,
    /// `gicv2` or `gicv3`.
    pub gic: String,
    /// Redistributor regions (GICv3).
    pub gicr_regions: u32,
    /// How many cores.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// What writes the console: `pl011` or `16550`.
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
pub struct Cores {
    /// Which.
    pub cpus: CpuSet,
    /// MPIDR_EL1 of each, in the order of `cpus`.
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
}

/// What the flight recorder kept of a plan that an earlier boot began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// What came of a case. Histograms are in ticks of [`Machine::counter`], per
/// timed block of `batch` operations; empty where there was nothing to time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// The depth sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Depth>,
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
    /// The record of a case of which nothing was timed.
    pub fn blank(case: &Case, verdict: Verdict, why: Option<String>) -> Self {
        Self {
            n: case.number as u32,
            op: case.subject,
            state: case.state,
            line: case.line,
            verdict,
            why,
            batch: 1,
            issue: Histogram::new(),
            complete: Histogram::new(),
            base_issue: Histogram::new(),
            base_complete: Histogram::new(),
            sweep: Vec::new(),
            initiators: Vec::new(),
        }
    }
}

/// One depth of the sweep: operations back to back without a DSB, then the DSB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Depth {
    /// How many operations: 1, 2, 4 … 64.
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

/// An operation had not returned when its deadline passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// Number of the case.
    pub n: u32,
    /// What ran.
    pub op: Subject,
    /// The initiator that is held up.
    pub initiator: u32,
    /// The instruction: `ic ivau`.
    pub instruction: String,
    /// Where it is: `flush_icache_range+92`.
    pub at: String,
    /// The address operated on, if the instruction takes one.
    pub address: Option<Hex>,
    /// How long it had not returned when this was written.
    pub waited_ms: u64,
    /// Operations of the case that had returned before it.
    pub returned: u64,
    /// Who saw it: `sentinel`, `host` or `flight recorder`.
    pub seen_by: String,
    /// The other cores.
    pub cores: Vec<CoreState>,
    /// The rungs of the release ladder that were tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
}

impl Block {
    /// The rung that released it, if one did.
    pub fn released_by(&self) -> Option<&str> {
        self.ladder
            .iter()
            .find(|r| r.released)
            .map(|r| r.rung.as_str())
    }
}

/// What cores of a block report were doing; equal ones are one entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CoreState {
    /// Which.
    pub cpus: CpuSet,
    /// `initiator`, `stale` or `sentinel`.
    pub role: String,
    /// The stale state or what else it was doing.
    pub doing: String,
    /// The last proof of life: `heartbeat 3, 12 ms ago`.
    pub proof: String,
    /// Where it is, if known: `wait_spin+8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// One rung of the release ladder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// `sev`, `unlock`, `sgi`, `el2` or `psci`.
    pub rung: String,
    /// From the rung to the mark's move, or to giving up, in microseconds.
    pub us: u64,
    /// Did the mark move?
    pub released: bool,
}

/// An operation took an exception.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Number of the case.
    pub n: u32,
    /// What ran.
    pub op: Subject,
    /// The initiator that took it.
    pub initiator: u32,
    /// ESR_EL1.
    pub esr: Hex,
    /// What ESR_EL1 says, decoded.
    pub syndrome: String,
    /// FAR_EL1.
    pub far: Hex,
    /// ELR_EL1.
    pub elr: Hex,
    /// ELR_EL1 as `symbol+offset`.
    pub at: String,
    /// What the routine returned through its fixup: -14 is -EFAULT.
    pub returned: i64,
}

/// Which of the stale cores a block takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BisectRecord {
    /// Number of the case that blocked.
    pub n: u32,
    /// The stale cores that it blocked with.
    pub stale: CpuSet,
    /// The smallest sets of them that still block.
    pub culprits: Vec<CpuSet>,
    /// Are these all?
    pub complete: bool,
    /// How often the case was run again.
    pub trials: u32,
    /// Why the search was broken off, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What the timed block costs, counted in instructions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
pub struct End {
    /// The exit code.
    pub exit: u8,
    /// How many cases ended with each verdict, in the glossary's order,
    /// verdicts without cases left out.
    pub verdicts: Vec<(Verdict, u32)>,
    /// From entry to here by CNTVCT_EL0, in milliseconds.
    pub elapsed_ms: u64,
}

impl Record {
    /// The record as one line of JSON.
    ///
    /// # Errors
    /// None in practice: the records hold nothing that JSON cannot.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads one line of JSON.
    ///
    /// # Errors
    /// What is not JSON, no known record, or lacks a field.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};

    /// A case with everything in it.
    fn case() -> CaseRecord {
        let mut histogram = Histogram::new();
        histogram.add_many(140, 60);
        histogram.add(900);
        CaseRecord {
            n: 12,
            op: Subject::IcIvau,
            state: StaleState::Spin,
            line: LineState::DirtyHere,
            verdict: Verdict::Completed,
            why: None,
            batch: 1,
            issue: histogram.clone(),
            complete: histogram.clone(),
            base_issue: histogram.clone(),
            base_complete: histogram,
            sweep: vec![Depth {
                depth: 4,
                issue: 10,
                barrier: 20,
            }],
            initiators: vec![],
        }
    }

    #[test]
    fn a_case_round_trips_in_one_line() {
        let record = Record::Case(Box::new(case()));
        let text = record.to_json().unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(Record::from_json(&text).unwrap(), record);
    }

    #[test]
    fn a_board_with_a_slow_line_gets_short_records() {
        let mut short = case();
        short.sweep.clear();
        let text = Record::Case(Box::new(short)).to_json().unwrap();
        assert!(text.len() < 160, "{} bytes: {text}", text.len());
    }

    #[test]
    fn the_line_state_is_told_where_it_is_not_the_usual_one() {
        for line in LineState::ALL {
            let record = Record::Case(Box::new(CaseRecord {
                line: *line,
                ..case()
            }));
            let text = record.to_json().unwrap();
            assert_eq!(text.contains("\"line\""), *line != LineState::DirtyHere);
            assert_eq!(Record::from_json(&text).unwrap(), record);
        }
    }

    #[test]
    fn registers_are_hexadecimal() {
        assert_eq!(
            serde_json::to_string(&Hex(0x8444_8004)).unwrap(),
            "\"0x84448004\""
        );
        assert_eq!(
            serde_json::from_str::<Hex>("\"0xffffffffffffffff\"").unwrap(),
            Hex(u64::MAX)
        );
        for wrong in [
            "\"84448004\"",
            "\"0x\"",
            "\"0x+1\"",
            "3",
            "\"0x10000000000000000\"",
        ] {
            assert!(serde_json::from_str::<Hex>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_record_is_an_error() {
        let error = Record::from_json("{\"weather\":{}}").unwrap_err();
        assert!(error.to_string().contains("weather"));
    }
}
