//! The project's words, each meaning one thing: operations, routines, stale
//! states, line states, verdicts. The command line, the image's tables, the
//! records and the documentation all use the names given here. Everything that can be
//! known about a word without a machine is in its row.

/// Defines an enum whose variants have a kebab-case name, a one-line
/// explanation and facts, with `ALL`, `name`, `about`, `facts`, `from_name` and
/// serde by name.
macro_rules! words {
    ($(#[$meta:meta])* $kind:ident: $what:literal, $facts:ty {
        $($(#[$vmeta:meta])* $variant:ident = $name:literal, $about:literal, $fact:expr;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[repr(u8)]
        pub enum $kind {
            $(
                #[doc = $about]
                #[serde(rename = $name)]
                $(#[$vmeta])*
                $variant,
            )*
        }

        impl $kind {
            /// Every value, in the order of the glossary.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the command line and in records.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it is, in one line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),* }
            }

            /// What else is known about it.
            const fn facts(self) -> &'static $facts {
                match self { $(Self::$variant => const { &$fact }),* }
            }

            /// Finds the value of that name.
            ///
            /// # Errors
            /// Names the unknown word and lists the allowed ones.
            pub fn from_name(name: &str) -> Result<Self, alloc::string::String> {
                Self::ALL.iter().copied().find(|v| v.name() == name).ok_or_else(|| {
                    let allowed: alloc::vec::Vec<_> =
                        Self::ALL.iter().map(|v| v.name()).collect();
                    alloc::format!(
                        "'{name}' is no {}; allowed: {}", $what, allowed.join(", ")
                    )
                })
            }
        }

        impl core::fmt::Display for $kind {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

mod state;
mod subject;

pub use state::{Activity, StaleState};
pub use subject::{DIC, IDC, Kind, Need, Operand, Subject};

use crate::exit::ExitCode;

/// The stale state that is found, never staged: a core as a kernel left it behind.
pub const INHERITED: &str = "inherited";

/// What [`INHERITED`] is, in one line.
pub const ABOUT_INHERITED: &str = "stuck since before this boot, as a crashed kernel leaves a core";

/// Who brings the lines into a state.
enum Who {
    /// The initiator.
    Here,
    /// The stale cores, before they get stuck.
    There,
}

words! {
    /// What the caches hold before the operation.
    LineState: "line state", Who {
        Cold = "cold", "in no cache: cleaned and invalidated to the point of coherency", Who::Here;
        DirtyHere = "dirty-here", "modified by the initiator", Who::Here;
        DirtyThere = "dirty-there", "modified by a stale core before it got stuck", Who::There;
        Shared = "shared", "read by the initiator and the stale cores", Who::There;
        ExecutedThere = "executed-there", "in the stale cores' instruction caches", Who::There;
    }
}

impl LineState {
    /// Do the stale cores have to touch the lines before they get stuck?
    pub const fn needs_stale_core(self) -> bool {
        matches!(self.facts(), Who::There)
    }
}

words! {
    /// What was found about a case, least serious first.
    Verdict: "verdict", ExitCode {
        Completed = "completed", "returned, within the slow-down threshold of its baseline", ExitCode::Expected;
        Skipped = "skipped", "not run, for the reason given", ExitCode::Expected;
        Inconclusive = "inconclusive", "ran, but a control shows that it proves nothing", ExitCode::Inconclusive;
        Slowed = "slowed", "returned, later than the threshold allows against its baseline", ExitCode::Expected;
        Faulted = "faulted", "took an exception and returned through its fixup", ExitCode::Faulted;
        Blocked = "blocked", "had not returned when the deadline passed", ExitCode::Blocked;
        Incoherent = "incoherent", "returned, and stale data or instructions were seen", ExitCode::Incoherent;
    }
}

impl Verdict {
    /// The exit code that it asks for. `slowed` and `skipped` ask for nothing by
    /// themselves: the limit and the other cases decide.
    pub const fn exit_code(self) -> ExitCode {
        *self.facts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_are_unique_kebab_case_and_found_again() {
        let kebab = |name: &str| {
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let mut names = BTreeSet::new();
        for subject in Subject::ALL {
            assert_eq!(Subject::from_name(subject.name()), Ok(*subject));
            assert!(kebab(subject.name()) && names.insert(subject.name()));
        }
        for state in StaleState::ALL {
            assert_eq!(StaleState::from_name(state.name()), Ok(*state));
            assert!(kebab(state.name()) && names.insert(state.name()));
        }
    }

    #[test]
    fn unknown_word_is_named_with_the_allowed_ones() {
        let error = LineState::from_name("warm").unwrap_err();
        assert!(
            error.contains("'warm'") && error.contains("dirty-there"),
            "{error}"
        );
    }

    #[test]
    fn lines_that_stale_cores_touch_need_one() {
        let need: BTreeSet<_> = LineState::ALL
            .iter()
            .filter(|line| line.needs_stale_core())
            .map(|line| line.name())
            .collect();
        let expected = ["dirty-there", "shared", "executed-there"];
        assert_eq!(need, BTreeSet::from(expected));
    }

    #[test]
    fn a_core_that_is_off_is_asked_for_by_affinity_info() {
        let off: BTreeSet<_> = StaleState::ALL
            .iter()
            .filter(|state| state.powered_off())
            .map(|state| state.name())
            .collect();
        let expected = [
            "cpu-off",
            "cpu-off-inflight",
            "cpu-off-abandoned",
            "cpu-on-inflight",
            "crash-stopped",
            "never-started",
        ];
        assert_eq!(off, BTreeSet::from(expected));
    }
}
