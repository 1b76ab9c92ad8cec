//! What the model makes an operation take, in closed form.

use super::options::FabricOptions;
use crate::maintenance::MessageClass;

/// Operations of one initiator, back to back, with nobody deaf and nobody else
/// posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// What each operation sends. [`MessageClass::Sync`] stands for just the DSB behind
    /// `batch` DVM messages.
    pub class: MessageClass,
    /// How many of the cores that answer each operation are late, that is, stale and not
    /// parked; for [`MessageClass::Snoop`], how many of the other cores that may hold the
    /// line.
    pub answers: u32,
    /// How many operations, at least one.
    pub batch: u32,
    /// With the DSB behind them?
    pub barrier: bool,
}

impl FabricOptions {
    /// How long this work waits in the fabric, in nanoseconds: how long the timed block
    /// takes beyond the cost of trapping. With `round = answers × delay`:
    ///
    /// | class | issue | the DSB |
    /// |-|-|-|
    /// | dvm, early completion off | `batch × round` | `round` |
    /// | dvm, early completion on | `⌊(batch − 1) ÷ depth⌋ × round` | `2 × round` |
    /// | snoop | `batch × round` | 0 |
    /// | others | 0 | 0 |
    pub fn expected_latency_ns(&self, work: Work) -> u64 {
        let round = self.delay_ns.saturating_mul(u64::from(work.answers));
        let batch = u64::from(work.batch.max(1));
        let (issue, barrier) = match work.class {
            MessageClass::Snoop => (batch, 0),
            MessageClass::Dvm | MessageClass::Sync if self.early_comp => {
                ((batch - 1) / u64::from(self.depth.max(1)), 2)
            }
            MessageClass::Dvm | MessageClass::Sync => (batch, 1),
            _ => (0, 0),
        };
        let rounds = match (work.class, work.barrier) {
            (MessageClass::Sync, _) => barrier,
            (_, true) => issue + barrier,
            (_, false) => issue,
        };
        round.saturating_mul(rounds)
    }
}
