//! What is written of an operation that did not return or faulted.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::{
    cpuset::CpuSet,
    glossary::Subject,
    hex::Hex,
    mark::{Seen, Site},
    plan::Case,
    witness::Reading,
};

/// An operation had not returned when its deadline passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// How long it had not returned when this was written; 0 where a reset ended
    /// it and nobody knows.
    pub waited_ms: u64,
    /// Operations of the case that had returned before it.
    pub returned: u64,
    /// Who saw it: `sentinel`, `host` or `flight recorder`.
    pub seen_by: String,
    /// The other cores.
    pub cores: Vec<CoreState>,
    /// Did this happen in the baseline, with every other core parked?
    #[serde(default, skip_serializing_if = "is_false")]
    pub baseline: bool,
    /// Had the operation returned, and its core stopped before the next? What it
    /// had posted may be what holds the core up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub behind: bool,
    /// The rungs of the release ladder that were tried, in order. On the console
    /// they follow, as a record each: see [`RungRecord`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
    /// What counters in the interconnect stood at before, while it had not returned, and
    /// after each rung. On the console a record each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<Reading>,
    /// The host did not run a core that the operation needed: what it saw of that.
    /// Such a block is none, and its case is inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved: Option<Starved>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Why a case blocked that blocked in its baseline.
pub const BASELINE_BLOCKED: &str = "blocked with every other core parked";

impl Case {
    /// Where an operation of this case is: `flush_icache_range+92`.
    pub fn place(&self, seen: &Seen) -> String {
        seen.site
            .map_or_else(|| self.subject.symbol().into(), Site::place)
    }

    /// The report of an operation of this case that is held up on `cpu`, as its
    /// mark tells it; the other cores are yet to be told.
    pub fn block(&self, cpu: usize, seen: &Seen, waited_ms: u64, seen_by: &str) -> Block {
        let instruction = seen.site.map_or(self.subject, |site| site.instruction);
        Block {
            n: self.number as u32,
            op: self.subject,
            initiator: cpu as u32,
            instruction: instruction.symbol().into(),
            at: self.place(seen),
            address: seen.named_address(instruction),
            waited_ms,
            returned: seen.returned,
            seen_by: seen_by.into(),
            cores: Vec::new(),
            baseline: false,
            behind: false,
            ladder: Vec::new(),
            witness: Vec::new(),
            starved: None,
        }
    }
}

impl Block {
    /// What the operation had not done, in words: `had not returned from
    /// flush_icache_range+92 (ic ivau)`.
    pub fn had_not(&self) -> String {
        let place = self.place();
        if self.behind {
            format!("had not gone on behind {place}, which had returned,")
        } else {
            format!("had not returned from {place}")
        }
    }

    /// Where it is, and the instruction there: `flush_icache_range+92 (ic ivau)`; of a
    /// timed block `ic ivau (timed block, issue class)`, or what was posted before: `ic
    /// ivau in dsb ish (timed block, issue class)`.
    pub fn place(&self) -> String {
        let (at, instruction) = (&self.at, &self.instruction);
        if at.starts_with(instruction.as_str()) {
            at.clone()
        } else if at.ends_with(')') {
            format!("{instruction} in {at}")
        } else {
            format!("{at} ({instruction})")
        }
    }

    /// How long it had not returned, in words: `after 2400 ms`.
    pub fn waited(&self) -> String {
        if self.waited_ms == 0 {
            "when the machine was reset".into()
        } else {
            format!("after {} ms", self.waited_ms)
        }
    }

    /// What made the operation return, as far as the ladder tells.
    pub fn release(&self) -> Release<'_> {
        self.last().0
    }

    /// Where a rung has the credit: of how many operations that return by themselves, at
    /// any time, one would return as soon after it and get it the credit.
    pub fn one_in(&self) -> Option<u64> {
        match self.last() {
            (Release::By(_), stood_us, us) => Some(stood_us / us.max(1)),
            _ => None,
        }
    }

    /// What made it return, how long the mark had stood still before that was tried, and
    /// how soon after it the mark moved, in microseconds.
    fn last(&self) -> (Release<'_>, u64, u64) {
        let mut stood_us = self.waited_us();
        for rung in &self.ladder {
            if !rung.released {
                stood_us = stood_us.saturating_add(rung.us);
                continue;
            }
            let by = rung.rung != WAITED && rung.us <= self.moment(stood_us);
            let release = match by {
                true => Release::By(&rung.rung),
                false => Release::Unknown(&rung.rung),
            };
            return (release, stood_us, rung.us);
        }
        (Release::None, stood_us, 0)
    }

    const fn waited_us(&self) -> u64 {
        self.waited_ms.saturating_mul(1000)
    }

    /// How soon after a rung the mark must have moved, in microseconds, where it had
    /// stood still for so long: what comes later may come by itself.
    fn moment(&self, stood_us: u64) -> u64 {
        let part = stood_us / MOMENT;
        let cores: usize = self.cores.iter().map(|state| state.cpus.len()).sum();
        match u64::try_from(cores) {
            // Nothing is known of them.
            Ok(0) | Err(_) => part,
            Ok(cores) => part.min(TURN_US.0 + TURN_US.1 * cores),
        }
    }

    /// The same in words that follow a name: `released by sev`.
    pub fn released(&self) -> Option<String> {
        match self.release() {
            Release::By(rung) => Some(format!("released by: {rung}{}", self.or_chance())),
            Release::Unknown(WAITED) => {
                let us = self.ladder.iter().find(|r| r.released).map_or(0, |r| r.us);
                let tenths = (self.waited_us() + us + 50_000) / 100_000;
                Some(format!(
                    "returned by itself after {}.{} s",
                    tenths / 10,
                    tenths % 10
                ))
            }
            Release::Unknown(rung) => {
                Some(format!("returned while {rung} was tried, cause not known"))
            }
            Release::None => None,
        }
    }
}

impl Block {
    /// Behind the rung that has the credit, where that is not plain: `, or by chance (1
    /// in 11)`.
    pub fn or_chance(&self) -> String {
        match self.one_in() {
            Some(one_in @ ..PLAIN) => format!(", or by chance (1 in {one_in})"),
            _ => String::new(),
        }
    }
}

/// A rung that gets the credit by chance less than once in so many times is told as
/// what released the operation, without more.
const PLAIN: u64 = 100;

/// The rung that does nothing: what returns under it was let go by nobody.
pub const WAITED: &str = "wait";

/// The rungs for cores that an earlier kernel left stuck, with `disturb-inherited`: an
/// interrupt, and an event that firmware delivers.
pub const INHERITED_SGI: &str = "inherited-sgi";
/// The second.
pub const INHERITED_SDEI: &str = "inherited-sdei";

/// A rung is the cause if the mark moved within this part of the time that it had
/// stood still.
pub const MOMENT: u64 = 8;

/// And within so many microseconds, with so many more for each core: what an emulated
/// core that was let go waits for its turn on a host of few cores.
const TURN_US: (u64, u64) = (100_000, 20_000);

/// What made a blocked operation return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release<'a> {
    /// Nothing that was tried, or nothing was tried.
    None,
    /// This rung: the mark moved within a moment of it.
    By(&'a str),
    /// It returned during this rung, and so late, or while nothing was done, that the
    /// rung need not be why.
    Unknown(&'a str),
}

/// A core that the host did not run, though it was ready to; or that waited for others that
/// the host did not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Starved {
    /// Which: the initiator, or one that the operation had to wait for.
    pub cpu: u32,
    /// How long its thread stood in the host's run queue, in milliseconds.
    pub queued_ms: u64,
    /// How long it ran.
    pub ran_ms: u64,
    /// Of how long: of what is known of the time that the mark stood still, or around the
    /// sample.
    pub of_ms: u64,
    /// It is the initiator, and the times are sums over all CPUs, of which an emulator's wait
    /// for each other.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all: bool,
}

impl Starved {
    /// In words: `starved: CPU 3 was run for 2 ms of 2400 ms, 2391 ms it stood in the
    /// host's run queue`.
    pub fn why(&self) -> String {
        let Self {
            cpu,
            queued_ms,
            ran_ms,
            of_ms,
            all,
        } = self;
        match all {
            false => format!(
                "starved: CPU {cpu} was run for {ran_ms} ms of {of_ms} ms, {queued_ms} ms it stood in \
                 the host's run queue"
            ),
            true => format!(
                "starved: all CPUs, which wait for each other in an emulator, were run for {ran_ms} ms \
                 together of {of_ms} ms, {queued_ms} ms they stood in the host's run queue"
            ),
        }
    }
}

/// What cores of a block report were doing; equal ones are one entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CoreState {
    /// Which.
    pub cpus: CpuSet,
    /// `initiator`, `stale`, `inherited` or `sentinel`.
    pub role: String,
    /// The stale state or what else it was doing.
    pub doing: String,
    /// The last proof of life: `heartbeat 3, 12 ms ago`.
    pub proof: String,
    /// Where it is, if known: `wait_spin+8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl CoreState {
    /// Adds the state of one more core to a list in which equal ones are one.
    pub fn join(self, states: &mut Vec<Self>) {
        let same = |known: &&mut Self| {
            (&known.role, &known.doing, &known.proof, &known.at)
                == (&self.role, &self.doing, &self.proof, &self.at)
        };
        match states.iter_mut().find(same) {
            Some(known) => known.cpus = known.cpus.union(&self.cpus),
            None => states.push(self),
        }
    }
}

/// One rung of the release ladder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rung {
    /// `sev`, `unlock`, `sgi`, `el2` or `psci`.
    pub rung: String,
    /// From the rung to the mark's move, or to giving up, in microseconds.
    pub us: u64,
    /// Did the mark move?
    pub released: bool,
}

/// A rung of the ladder under a block that was reported before: the ladder is
/// climbed only once that report is out, and what a rung did is written before
/// the next is tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RungRecord {
    /// Number of the case.
    pub n: u32,
    /// The rung.
    pub rung: String,
    /// As [`Rung::us`].
    pub us: u64,
    /// As [`Rung::released`].
    pub released: bool,
}

impl RungRecord {
    /// The record of a rung under the block of case `n`.
    pub fn new(n: usize, rung: Rung) -> Self {
        let Rung { rung, us, released } = rung;
        Self {
            n: n as u32,
            rung,
            us,
            released,
        }
    }
}

impl From<RungRecord> for Rung {
    fn from(
        RungRecord {
            rung, us, released, ..
        }: RungRecord,
    ) -> Self {
        Self { rung, us, released }
    }
}

/// A core that the description promises and that is not to be had: it has no role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Absent {
    /// Which; several with the same reason are one record.
    pub cpus: CpuSet,
    /// What firmware answered, or what did not happen.
    pub why: String,
    /// Stuck since before this boot, and a stale core of every case?
    #[serde(default, skip_serializing_if = "is_false")]
    pub inherited: bool,
}

/// An operation took an exception.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
