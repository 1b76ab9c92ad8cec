//! Known errata in which another core's state affects maintenance: which cores have each,
//! and the cases that stage it. Only what a case here can stage, at least nearly, has a
//! row; what a stale core does wrong without anybody seeing it has none.

mod table;

use alloc::vec::Vec;

pub use table::{ABOUT, ERRATA};

use crate::{
    glossary::{LineState, StaleState, Subject},
    registers::part_name,
};

/// A core and its revisions that have an erratum, by MIDR_EL1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Core {
    /// MIDR_EL1.Implementer.
    implementer: u8,
    /// MIDR_EL1.PartNum.
    part: u16,
    /// The first and the last revision: variant and revision, `(1, 3)` for r1p3.
    revisions: [(u8, u8); 2],
}

impl Core {
    /// One of Arm's, from r0p0 up to this revision.
    const fn arm(part: u16, to: (u8, u8)) -> Self {
        Self::of(0x41, part, [(0, 0), to])
    }

    const fn of(implementer: u8, part: u16, revisions: [(u8, u8); 2]) -> Self {
        Self {
            implementer,
            part,
            revisions,
        }
    }

    /// Is it this core, in one of these revisions?
    pub fn is(&self, midr: u64) -> bool {
        let [.., high, middle, low, last] = midr.to_be_bytes();
        let part = u16::from(low) << 4 | u16::from(last >> 4);
        let revision = (middle >> 4, last & 0xf);
        let [first, last] = self.revisions;
        (high, part & 0xfff) == (self.implementer, self.part) && (first..=last).contains(&revision)
    }

    /// Its maker's name for it.
    pub fn name(&self) -> &'static str {
        part_name(self.implementer.into(), self.part.into()).unwrap_or("")
    }

    /// The revisions in words: `r0p0 to r4p1`, or `every revision`.
    pub fn revisions(&self) -> alloc::string::String {
        let name = |(variant, revision): (u8, u8)| alloc::format!("r{variant}p{revision}");
        match self.revisions {
            [(0, 0), EVERY] => "every revision".into(),
            [first, last] if first == last => name(first),
            [first, last] => alloc::format!("{} to {}", name(first), name(last)),
        }
    }
}

/// The last revision that MIDR_EL1 has room for.
const EVERY: (u8, u8) = (15, 15);

/// An erratum, and what stages it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erratum {
    /// Its maker's number, or where none is known, a name.
    pub number: &'static str,
    /// The cores that have it.
    pub cores: &'static [Core],
    /// Only on a board whose name begins like this.
    pub board: Option<&'static str>,
    /// What suffers, a bit for each.
    ops: u64,
    /// What the other cores do, a bit for each.
    states: u64,
    /// What the caches hold.
    pub line: LineState,
}

impl Erratum {
    /// Is this one of the cases that stage it?
    pub fn has(&self, subject: Subject, state: StaleState, line: LineState) -> bool {
        // Where the line state means nothing, any is right.
        let line = self.line == line || !subject.takes_line();
        line && self.suffers(subject) && self.is_by(state)
    }

    /// Is this one of the operations that suffer?
    pub const fn suffers(&self, subject: Subject) -> bool {
        self.ops >> subject as u8 & 1 == 1
    }

    /// Is this what the other cores do?
    pub const fn is_by(&self, state: StaleState) -> bool {
        self.states >> state as u8 & 1 == 1
    }

    /// The cores' names: `Cortex-A710, Cortex-X2`.
    pub fn cores(&self) -> alloc::string::String {
        let names: Vec<_> = self.cores.iter().map(Core::name).collect();
        names.join(", ")
    }
}

/// What is said about an erratum, for people; the image does not need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// What the other core does.
    pub trigger: &'static str,
    /// What happens to the operation.
    pub effect: &'static str,
    /// Who says so.
    pub source: &'static str,
    /// How sure that is.
    pub sure: Sure,
    /// What the erratum needs and the cases do not do, if anything.
    pub lacks: Option<&'static str>,
}

/// How sure the statements of an erratum's row are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sure {
    /// Trigger and effect are in the source.
    Stated,
    /// Only the workaround is public; trigger and effect follow from it.
    Inferred,
    /// A report of one person or one machine; no maker has confirmed it.
    Reported,
}

impl Sure {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stated => "stated there",
            Self::Inferred => "inferred from the workaround",
            Self::Reported => "reported, not confirmed by a maker",
        }
    }
}

/// What is known about a machine's cores and board; nothing, if the machine is not there
/// yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Machine {
    /// MIDR_EL1 of each kind of core that has been up.
    pub midrs: Vec<u64>,
    /// What firmware calls the board.
    pub board: alloc::string::String,
}

impl Machine {
    /// The errata of these cores on this board, in the table's order; all errata while
    /// nothing is known about the cores.
    pub fn errata(&self) -> Vec<&'static Erratum> {
        let has = |erratum: &&Erratum| {
            let core = |midr: &u64| erratum.cores.iter().any(|core| core.is(*midr));
            let board = |name| self.board.starts_with(name);
            self.midrs.is_empty() || self.midrs.iter().any(core) && erratum.board.is_none_or(board)
        };
        ERRATA.iter().filter(has).collect()
    }
}

#[cfg(test)]
mod tests;
