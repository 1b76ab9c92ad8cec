//! What the counters said beside a block, and what that means.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::hex::Hex;

/// How many counters each has.
pub const COUNTERS: usize = 4;

/// What the DVM counters of one interconnect stood at beside a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reading {
    /// Number of the case.
    pub n: u32,
    /// Which product: `cmn-600`, `cmn-650`, `cmn-700`, `ci-700`, `cmn-s3` or `hisi-mn`.
    pub of: String,
    /// Where its registers are.
    pub at: Hex,
    /// How long the operation had not returned, in milliseconds; 0 before the
    /// operations of the case began.
    pub waited_ms: u64,
    /// Had it returned when they were read?
    #[serde(default, skip_serializing_if = "is_false")]
    pub returned: bool,
    /// The four counters, since they were started; docs/report-format.md says of what.
    pub counts: Vec<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What is counted: the names of `of`'s four counters.
pub fn told(of: &str) -> [&'static str; COUNTERS] {
    match of {
        "cmn-600" => ["operations", "syncs", "retried", "occupancy"],
        "hisi-mn" => ["operations", "syncs", "sync snoops", "sync latency"],
        _ => ["syncs", "snoops", "snoop stalls", "occupancy"],
    }
}

impl Reading {
    /// Its counters, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        told(&self.of).into_iter().zip(self.counts.iter().copied())
    }

    /// The first and the last reading of each interconnect while the operation had not returned:
    /// between them something moved, or not.
    pub fn spans(readings: &[Self]) -> Vec<(&Self, &Self)> {
        let held = || readings.iter().filter(|r| r.waited_ms > 0 && !r.returned);
        held()
            .filter_map(|first| {
                let same = |r: &&Self| r.at == first.at;
                let is_first = held().find(same) == Some(first);
                let last = held().rfind(same)?;
                (is_first && last.waited_ms > first.waited_ms).then_some((first, last))
            })
            .collect()
    }

    /// From this reading to a later one, in words: `cmn-600 at 0x50000000, from 2400 to
    /// 2700 ms: syncs and occupancy stood still at 12 and 3, operations +4`.
    pub fn until(&self, last: &Self) -> String {
        let mut still: Vec<String> = Vec::new();
        let mut moved: Vec<String> = Vec::new();
        for ((name, from), to) in self.named().zip(&last.counts) {
            match to.wrapping_sub(from) {
                0 => still.push(format!("{name} stood still at {from}")),
                more => moved.push(format!("{name} +{more}")),
            }
        }
        still.append(&mut moved);
        format!(
            "{} at {}, from {} to {} ms: {}",
            self.of,
            self.at,
            self.waited_ms,
            last.waited_ms,
            still.join(", ")
        )
    }
}
