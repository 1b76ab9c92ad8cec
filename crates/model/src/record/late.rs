//! A single sample that was late.

use alloc::{format, string::String};

use serde::{Deserialize, Serialize};

use super::{CaseRecord, Hex, Starved};

/// A sample over 100 µs, a hundred times what is usual and four times the longest of the
/// controls: no quantile shows it. It changes no verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Late {
    /// The initiator.
    pub cpu: u32,
    /// In which round, from 1; above 5 in those that were to confirm the first.
    pub round: u32,
    /// With the DSB?
    pub complete: bool,
    /// Its number among the samples of its class in that round, from 1.
    pub nth: u32,
    /// What the operation's register held: an address, or what it takes instead.
    pub operand: Hex,
    /// How long it took, in ticks.
    pub ticks: u64,
    /// The longest of the baseline and the empty blocks, in ticks.
    pub control: u64,
    /// When it ended, in milliseconds since entry.
    pub at_ms: u64,
    /// How long before this record was made.
    pub ago_ms: u64,
    /// The host did not run the core meanwhile: then it is not late after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved: Option<Starved>,
}

impl Late {
    /// Where and when: `CPU 0, sample 14 with its DSB of round 3, on 0x4000, 3.214 s into
    /// the run`.
    pub fn place(&self) -> String {
        let with = match self.complete {
            true => " with its DSB",
            false => "",
        };
        let on = match self.operand.0 {
            0 => String::new(),
            _ => format!(", on {}", self.operand),
        };
        format!(
            "CPU {}, sample {}{with} of round {}{on}, {}.{:03} s into the run",
            self.cpu,
            self.nth,
            self.round,
            self.at_ms / 1000,
            self.at_ms % 1000
        )
    }
}

impl CaseRecord {
    /// The sample that was late, unless the host did not run the core meanwhile.
    pub fn was_late(&self) -> Option<&Late> {
        self.late.as_ref().filter(|late| late.starved.is_none())
    }
}
