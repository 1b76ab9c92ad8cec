//! The mark: what a core is about to execute, on a line of its own, written
//! before the operation and after it. The sentinel reads it with plain loads,
//! so it is there when nothing else of the core answers any more.

use core::sync::atomic::Ordering;

use stalecore_model::glossary::Subject;

use crate::core_local::{Core, Mark};

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
    /// The barrier behind them.
    Barrier,
    /// A routine, whole.
    Routine,
    /// A routine, step by step: the offset is known.
    Step,
    /// The functional check.
    Check,
}

impl Phase {
    const ALL: [Self; 8] = [
        Self::Prepare,
        Self::Issue,
        Self::Complete,
        Self::Depth,
        Self::Barrier,
        Self::Routine,
        Self::Step,
        Self::Check,
    ];

    /// The phase in words, for where no routine and offset is known.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Prepare => "while the lines were prepared",
            Self::Issue => "timed block, issue class",
            Self::Complete => "timed block, complete class",
            Self::Depth => "depth sweep",
            Self::Barrier => "depth sweep, the barrier",
            Self::Routine => "routine",
            Self::Step => "routine, step by step",
            Self::Check => "functional check",
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
    pub const fn of(subject: Subject, phase: Phase) -> Self {
        Self {
            subject,
            phase,
            offset: 0,
            instruction: subject,
        }
    }

    const fn pack(self) -> u64 {
        self.subject as u64
            | (self.phase as u64) << 8
            | (self.instruction as u64) << 16
            | (self.offset as u64) << 32
    }

    fn unpack(word: u64) -> Option<Self> {
        let [subject, phase, instruction, _, low, high, ..] = word.to_le_bytes();
        Some(Self {
            subject: *Subject::ALL.get(usize::from(subject))?,
            phase: *Phase::ALL.get(usize::from(phase))?,
            instruction: *Subject::ALL.get(usize::from(instruction))?,
            offset: u16::from_le_bytes([low, high]),
        })
    }
}

impl Mark {
    /// Writes what comes next.
    #[inline(always)]
    pub fn before(&self, site: Site, address: usize) {
        self.site.store(site.pack(), Ordering::Relaxed);
        self.address.store(address as u64, Ordering::Relaxed);
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
    }

    /// A class of operations begins: none of them has returned.
    pub fn begin(&self) {
        self.returned.store(0, Ordering::Relaxed);
    }

    /// Writes that it has returned.
    #[inline(always)]
    pub fn after(&self) {
        // Byte 1 of the site is the phase; lines being prepared do not count.
        if self.site.load(Ordering::Relaxed).to_le_bytes()[1] != Phase::Prepare as u8 {
            let returned = self.returned.load(Ordering::Relaxed) + 1;
            self.returned.store(returned, Ordering::Relaxed);
        }
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
    }

    /// EL2 has trapped an instruction while an operation was in flight: names
    /// it, and where it is if that is in a routine.
    pub fn trapped(&self, offset: Option<u16>, instruction: Subject, address: u64) {
        if self.sequence.load(Ordering::Relaxed).is_multiple_of(2) {
            return; // not an operation under test
        }
        if let Some(offset) = offset {
            self.step(offset, instruction, address);
        } else if let Some(site) = Site::unpack(self.site.load(Ordering::Relaxed)) {
            self.site.store(
                Site {
                    instruction,
                    ..site
                }
                .pack(),
                Ordering::Relaxed,
            );
            if address != 0 {
                self.address.store(address, Ordering::Relaxed);
            }
            let next = self.sequence.load(Ordering::Relaxed) + 2;
            self.sequence.store(next, Ordering::Release);
        }
    }

    /// Moves the mark within a routine: the step before has returned.
    pub fn step(&self, offset: u16, instruction: Subject, address: u64) {
        if let Some(site) = Site::unpack(self.site.load(Ordering::Relaxed)) {
            let site = Site {
                phase: Phase::Step,
                offset,
                instruction,
                ..site
            };
            self.site.store(site.pack(), Ordering::Relaxed);
            self.address.store(address, Ordering::Relaxed);
            let next = self.sequence.load(Ordering::Relaxed) + 2;
            self.sequence.store(next, Ordering::Release);
        }
    }
}

/// What a mark says, as another core reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// How many marks were written.
    pub sequence: u64,
    /// What it is about to execute, or has executed last.
    pub site: Option<Site>,
    /// The address operated on.
    pub address: u64,
    /// Operations of the same class that have returned.
    pub returned: u64,
}

/// Reads the mark of a core: plain loads.
pub fn read(core: &Core) -> Seen {
    let mark = &core.mark.0;
    Seen {
        sequence: mark.sequence.load(Ordering::Acquire),
        site: Site::unpack(mark.site.load(Ordering::Relaxed)),
        address: mark.address.load(Ordering::Relaxed),
        returned: mark.returned.load(Ordering::Relaxed),
    }
}

impl Seen {
    /// Is an operation in flight?
    pub const fn in_flight(&self) -> bool {
        self.sequence % 2 == 1
    }
}
