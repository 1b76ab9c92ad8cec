//! Operations after a dwell.

use alloc::vec::Vec;

use super::Group;
use crate::{
    glossary::{Kind, Subject},
    maintenance::MessageClass,
    options::Options,
};

/// Which operations are timed once more, each by itself, after nobody has done anything for
/// a while.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dwelling {
    /// How long nobody does anything, in milliseconds, one length after the other.
    lengths_ms: Vec<u32>,
    /// Samples of each length.
    samples: u32,
    /// The only such operation, if not all.
    only: Option<Subject>,
}

impl Dwelling {
    /// Samples of each length that was asked for.
    const SAMPLES: u32 = 5;
    /// If none was asked for: one sample of a short one.
    const SHORT_MS: u32 = 50;

    pub(super) fn of(options: &Options) -> Self {
        match &options.dwell_ms {
            Some(lengths_ms) => Self {
                lengths_ms: lengths_ms.clone(),
                samples: Self::SAMPLES.min(options.samples),
                only: None,
            },
            None if Subject::default_set().eq(options.ops.iter().copied()) => Self {
                lengths_ms: [Self::SHORT_MS].into(),
                samples: 1,
                only: Some(Subject::IcIvau),
            },
            None => Self::default(),
        }
    }

    /// The lengths before an operation, in milliseconds.
    pub fn before(&self, subject: Subject) -> &[u32] {
        let one = subject.kind() == Kind::Operation
            && matches!(
                subject.sends(),
                Some(class) if !matches!(class, MessageClass::Firmware | MessageClass::Interrupt)
            );
        match self.only {
            Some(only) if only != subject => &[],
            _ if !one => &[],
            _ => &self.lengths_ms,
        }
    }

    /// Samples of each length.
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// How long all of it takes for these cases and their baselines, in milliseconds.
    pub fn all_ms(&self, groups: &[Group]) -> u64 {
        let cases = groups.iter().flat_map(|group| &group.cases);
        let lengths = cases.flat_map(|case| self.before(case.subject));
        2 * u64::from(self.samples) * lengths.map(|ms| u64::from(*ms)).sum::<u64>()
    }

    /// The longest length, in milliseconds.
    pub fn longest_ms(&self) -> u32 {
        self.lengths_ms.iter().copied().max().unwrap_or(0)
    }
}
