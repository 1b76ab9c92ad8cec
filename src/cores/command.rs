//! What cores are asked, and how it is packed into words.

use stalecore_model::glossary::{LineState, StaleState};

/// What a core can be asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Command {
    /// Get stuck: [`StaleOrder`].
    Stale = 1,
    /// Run the order in the core's job.
    Measure,
    /// Execute the newest code of an initiator; the argument is its number
    /// and, above 16 bits, the generation.
    Check,
    /// Wait until what this core has posted is answered.
    Drain,
    /// Conduct the run.
    Conduct,
    /// Play this core's part in the scenario `kdump`.
    Kdump,
    /// Start the next kernel.
    Leave,
}

impl Command {
    const ALL: [Self; 7] = [
        Self::Stale,
        Self::Measure,
        Self::Check,
        Self::Drain,
        Self::Conduct,
        Self::Kdump,
        Self::Leave,
    ];

    /// The command of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|c| *c as u32 == number)
    }
}

/// How to get stuck, packed into one argument.
#[derive(Clone, Copy)]
pub struct StaleOrder {
    /// Where to.
    pub state: StaleState,
    /// What to touch before.
    pub line: LineState,
    /// The core's place among the stale cores.
    pub nth: usize,
    /// How many they are.
    pub of: usize,
}

impl StaleOrder {
    /// As an argument.
    pub const fn pack(self) -> usize {
        self.state as usize | (self.line as usize) << 8 | self.nth << 16 | self.of << 32
    }

    /// From an argument; `None` if it names no state or line.
    pub fn unpack(argument: usize) -> Option<Self> {
        Some(Self {
            state: StaleState::from_number((argument & 0xff) as u8)?,
            line: *LineState::ALL.get(argument >> 8 & 0xff)?,
            nth: argument >> 16 & 0xffff,
            of: argument >> 32,
        })
    }
}
