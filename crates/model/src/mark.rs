//! The mark: what a core says it is about to execute, and its layout in memory, where
//! others find it: the sentinel by plain loads, the host through a debugger when no core
//! answers any more.

use alloc::{
    format,
    string::{String, ToString},
};
use serde::{Deserialize, Serialize};

use crate::{
    cpuset::MAX_CPUS,
    glossary::{Operand, StaleState, Subject},
    hex::Hex,
};

/// Which part of a case a core is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Bringing lines into their state.
    Prepare,
    /// A timed block of the issue class.
    Issue,
    /// A timed block of the complete class.
    Complete,
    /// Operations back to back in the depth sweep.
    Depth,
    /// A routine, whole.
    Routine,
    /// A routine, step by step: the offset is known.
    Step,
    /// The functional check.
    Check,
    /// A single operation, after nobody has done anything for a while.
    Dwell,
    /// The DSB in front of a timed block: none of what was posted before is in it.
    Drain,
}

impl Phase {
    /// Every phase, by number.
    pub const ALL: [Self; 9] = [
        Self::Prepare,
        Self::Issue,
        Self::Complete,
        Self::Depth,
        Self::Routine,
        Self::Step,
        Self::Check,
        Self::Dwell,
        Self::Drain,
    ];

    /// Is it no operation under test, so that none of these has returned behind it?
    #[inline(always)]
    pub const fn is_between(self) -> bool {
        matches!(self, Self::Prepare | Self::Drain)
    }

    /// The phase in words, for where no routine and offset is known.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Prepare => "while the lines were prepared",
            Self::Issue => "timed block, issue class",
            Self::Complete => "timed block, complete class",
            Self::Depth => "depth sweep",
            Self::Routine => "routine",
            Self::Step => "routine, step by step",
            Self::Check => "functional check",
            Self::Dwell => "timed block, after a dwell",
            Self::Drain => "the DSB behind what was posted before, in front of a timed block",
        }
    }
}

/// An instruction about to be executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site {
    /// The operation or routine.
    pub subject: Subject,
    /// In which part of the case.
    pub phase: Phase,
    /// Byte offset in the routine.
    pub offset: u16,
    /// The operation at that offset.
    pub instruction: Subject,
}

impl Site {
    /// One instruction of a timed block.
    #[inline]
    pub const fn of(subject: Subject, phase: Phase) -> Self {
        Self {
            subject,
            phase,
            offset: 0,
            instruction: match phase {
                Phase::Drain => Subject::DsbSy,
                _ => subject,
            },
        }
    }

    /// As one word: subject, phase, instruction, 0, offset.
    #[inline]
    pub const fn pack(self) -> u64 {
        self.subject as u64
            | (self.phase as u64) << 8
            | (self.instruction as u64) << 16
            | (self.offset as u64) << 32
    }

    /// Reads a word; `None` if it names something that does not exist.
    #[inline]
    pub fn unpack(word: u64) -> Option<Self> {
        let [subject, phase, instruction, _, low, high, ..] = word.to_le_bytes();
        Some(Self {
            subject: *Subject::ALL.get(usize::from(subject))?,
            phase: *Phase::ALL.get(usize::from(phase))?,
            instruction: *Subject::ALL.get(usize::from(instruction))?,
            offset: u16::from_le_bytes([low, high]),
        })
    }

    /// Where it is, for a reader: `flush_icache_range+92`.
    pub fn place(self) -> String {
        match self.phase {
            Phase::Step => format!("{}+{}", self.routine(), self.offset),
            Phase::Routine => self.subject.symbol().to_string(),
            phase => format!("{} ({})", self.subject.symbol(), phase.about()),
        }
    }

    /// The routine that a step is in: composed routines are made of others.
    fn routine(self) -> &'static str {
        // What goes to the point of coherency is data.
        let on_data = matches!(self.instruction, Subject::DcCivac | Subject::DsbSy);
        let parts = self.subject.parts();
        parts
            .iter()
            .find(|part| (part.operand() == Operand::Data) == on_data)
            .or(parts.first())
            .map_or(self.subject.symbol(), |part| part.symbol())
    }
}

/// What a mark says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// How many marks were written; odd while an operation is in flight.
    pub sequence: u64,
    /// What it is about to execute, or has executed last.
    pub site: Option<Site>,
    /// The address operated on.
    pub address: u64,
    /// Operations of the same class that have returned.
    pub returned: u64,
}

impl Seen {
    /// Is an operation in flight?
    #[inline]
    pub const fn in_flight(&self) -> bool {
        self.sequence % 2 == 1
    }

    /// The address that a report names, if the instruction takes one.
    pub fn named_address(&self, instruction: Subject) -> Option<Hex> {
        let hang = self
            .site
            .is_some_and(|site| site.subject == Subject::SelftestHang);
        (instruction.takes_address() || hang).then_some(Hex(self.address))
    }

    /// Which of the orders in turn, of these subjects, it belongs to, if now so many are done:
    /// what was seen in flight may have returned since, and its core have begun the next.
    pub fn order(
        &self,
        subjects: impl ExactSizeIterator<Item = Subject> + DoubleEndedIterator,
        done: usize,
    ) -> usize {
        let last = done.min(subjects.len().saturating_sub(1));
        let site = self.site.filter(|_| self.in_flight());
        let mut begun = subjects.take(last + 1);
        begun
            .rposition(|subject| site.is_some_and(|site| site.subject == subject))
            .unwrap_or(last)
    }
}

/// Bytes of a mark: sequence, site, address and operations returned, 64 bits
/// each, little endian.
pub const MARK_SIZE: usize = 32;

/// No core takes more memory.
const LARGEST_CORE: u64 = 64 << 10;

/// Where all this is in memory: physical addresses, for a debugger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Marks {
    /// The first byte of the image.
    pub image: Hex,
    /// The image's symbol table.
    pub symbols: Hex,
    /// The number of the case under way, 32 bits; 0 before the first.
    pub case: Hex,
    /// The mark of CPU 0: sequence (odd while an operation is in flight), site,
    /// address and operations returned, 64 bits each.
    pub mark: Hex,
    /// The stale state that CPU 0 has entered: 1 + its number as one byte, 0 for
    /// none.
    pub state: Hex,
    /// Bytes from one CPU's to the next one's.
    pub stride: u64,
}

impl Marks {
    /// The address and length of the memory that holds the marks and states of `cpus`
    /// cores; `None` if the addresses are impossible.
    pub fn window(&self, cpus: usize) -> Option<(u64, usize)> {
        let cores = u64::try_from(cpus.checked_sub(1)?).ok()?;
        let start = self.mark.0.min(self.state.0);
        let apart = self.mark.0.max(self.state.0) - start;
        if cpus > MAX_CPUS || self.stride > LARGEST_CORE || apart > LARGEST_CORE {
            return None;
        }
        let length = apart + cores * self.stride + MARK_SIZE as u64;
        start.checked_add(length)?;
        Some((start, usize::try_from(length).ok()?))
    }

    /// What the memory of [`Self::window`] says about one core: its mark, and the stale
    /// state that it is in.
    pub fn read(&self, window: &[u8], cpu: usize) -> Option<(Seen, Option<StaleState>)> {
        let start = self.mark.0.min(self.state.0);
        let at = |base: Hex| -> Option<&[u8]> {
            let skip = u64::try_from(cpu).ok()?.checked_mul(self.stride)?;
            let skip = (base.0 - start).checked_add(skip)?;
            window.get(usize::try_from(skip).ok()?..)
        };
        let (mark, state) = (at(self.mark)?, at(self.state)?);
        let seen = Seen {
            sequence: word(mark, 0)?,
            site: Site::unpack(word(mark, 8)?),
            address: word(mark, 16)?,
            returned: word(mark, 24)?,
        };
        let number = state.first()?.checked_sub(1);
        Some((seen, number.and_then(StaleState::from_number)))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
