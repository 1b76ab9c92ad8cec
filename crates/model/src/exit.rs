//! Exit codes: the one number that a script reads.

/// How a run ended, for scripts. The discriminant is the process's exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Every case ended as expected.
    Expected = 0,
    /// Slowed beyond the limit asked for, or an expectation was not met.
    Slowed = 1,
    /// Wrong arguments or harness error; no end record.
    Harness = 2,
    /// A case faulted.
    Faulted = 3,
    /// A case blocked.
    Blocked = 4,
    /// An operation returned, and stale data or instructions were seen.
    Incoherent = 5,
    /// Nothing was decisively tested.
    Inconclusive = 6,
    /// The host's deadline passed in silence and nothing more could be learned.
    Silence = 124,
}

impl ExitCode {
    /// Every code and its meaning, most serious first: of several that apply, the first in
    /// this list is the exit code.
    pub const BY_SERIOUSNESS: [(Self, &'static str); 8] = [
        (
            Self::Silence,
            "the host's deadline passed in silence, and nothing more could be learned",
        ),
        (
            Self::Harness,
            "wrong arguments or harness error; no end record",
        ),
        (Self::Blocked, "blocked"),
        (
            Self::Incoherent,
            "incoherent: the operation returned, and stale data or instructions were seen",
        ),
        (Self::Faulted, "faulted"),
        (
            Self::Slowed,
            "slowed beyond the limit asked for, or --expect not met",
        ),
        (
            Self::Inconclusive,
            "inconclusive: a case proves nothing, or no core was stale",
        ),
        (Self::Expected, "every case ended as expected"),
    ];

    /// The more serious of two codes.
    pub fn worse(self, other: Self) -> Self {
        if other.rank() < self.rank() {
            other
        } else {
            self
        }
    }

    /// Its place in [`Self::BY_SERIOUSNESS`]: the most serious is 0.
    pub fn rank(self) -> usize {
        Self::BY_SERIOUSNESS
            .iter()
            .position(|(code, _)| *code == self)
            .unwrap_or(usize::MAX)
    }

    /// The code of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::BY_SERIOUSNESS
            .iter()
            .map(|(code, _)| *code)
            .find(|code| u32::from(*code as u8) == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_serious_wins() {
        let order = [124, 2, 4, 5, 3, 1, 6, 0];
        for (i, high) in order.iter().enumerate() {
            for low in &order[i..] {
                let (high, low) = (
                    ExitCode::from_number(*high).unwrap(),
                    ExitCode::from_number(*low).unwrap(),
                );
                assert_eq!(high.worse(low), high);
                assert_eq!(low.worse(high), high);
            }
        }
    }
}
