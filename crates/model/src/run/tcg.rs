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
}

impl TcgThread {
    /// Its name in QEMU's words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Multi => "multi",
        }
    }

    /// The same in a person's.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Single => "all CPUs in one thread, in turn",
            Self::Multi => "each CPU in a thread of its own",
        }
    }
}
