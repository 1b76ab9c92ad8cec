//! How QEMU ran the emulated cores.

use serde::{Deserialize, Serialize};

/// The threads of the host that an emulator runs its cores in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TcgThread {
    /// One for all, which run in turn: a core that waits gives its turn away at once, one
    /// that does not keeps it for a tenth of a second.
    Single,
    /// One for each.
    Multi,
    /// Two boots: one thread for all in that of the states that wait, and one for each in
    /// that of the others.
    Split,
}

impl TcgThread {
    /// How it ran.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Single => "all CPUs in one thread, in turn",
            Self::Multi => "each CPU in a thread of its own",
            Self::Split => {
                "all CPUs in one thread where the stale state waits, else each in its own"
            }
        }
    }
}
