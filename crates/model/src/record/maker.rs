//! Who made a result, where it was not the machine's own cores and caches.

use serde::{Deserialize, Serialize};

use crate::glossary::{Kind, Subject};

/// What proves that the harness would see something, by making it happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Maker {
    /// The fabric at EL2 (`--fabric`): it traps the operations and answers
    /// them as its model does.
    Fabric,
    /// A self-test, which brings its verdict about by itself.
    SelfTest,
    /// A plugin of QEMU's, which sees every instruction and may change what
    /// comes of it.
    Plugin,
}

impl Maker {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Fabric, Self::SelfTest, Self::Plugin];

    /// Who that is, in words that fit behind `made by`.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Fabric => "the fabric, a model",
            Self::SelfTest => "a self-test",
            Self::Plugin => "a plugin of QEMU's",
        }
    }

    /// Who makes what comes of this subject; `fabric` if there is one.
    pub fn of(subject: Subject, fabric: bool) -> Option<Self> {
        match subject.kind() {
            Kind::Selftest => Some(Self::SelfTest),
            _ => fabric.then_some(Self::Fabric),
        }
    }
}
