//! What times the samples.

use crate::instructions;

/// Which counter times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Counter {
    /// PMCCNTR_EL0.
    Pmccntr,
    /// CNTVCT_EL0.
    Cntvct,
}

impl Counter {
    /// Ticks now, read after all that precedes.
    #[inline(always)]
    pub fn now(self) -> u64 {
        match self {
            Self::Pmccntr => instructions::pmccntr(),
            Self::Cntvct => instructions::cntvct(),
        }
    }

    /// Its name in the record of the machine.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pmccntr => "pmccntr",
            Self::Cntvct => "cntvct",
        }
    }
}
