//! The flight recorder: a region of memory outside the image that a warm reset
//! leaves as it is. It holds the plan, what has been finished, and the mark of
//! the operation in flight, so that the next boot can say which case never
//! returned, and go on behind it.
//!
//! ```text
//! offset  bytes
//!      0     32  header: magic, version, length and checksum of the plan, its own checksum
//!     64  2 x 96 flight: two slots, written in turn
//!    256   3840  plan: text
//!   4096    ...  journal: entries, each length, checksum, kind and text; a length of 0 ends it
//! ```
//!
//! All words are little endian; checksums are CRC-32 (ISO-HDLC), but that of a flight, which
//! stands beside each sample where nobody watches the mark: see [`check`]. A reset may hit
//! between any two stores, so what makes a piece valid is written last, behind
//! a barrier: the length of an entry, the checksum of a flight.

mod log;

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::{Ordering, compiler_fence};

pub use log::{Entries, Log};

use crc::{CRC_32_ISO_HDLC, Crc};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    clock,
    cpuset::CpuSet,
    mark::{Seen, Site},
    platform::{Platform, Region},
};

/// Bytes of the region: a default run takes a tenth of it.
pub const SIZE: usize = 1 << 20;
/// Its address is a multiple of this.
pub const ALIGN: u64 = 2 << 20;
/// A plan is given up after this many starts in a row that finish nothing.
pub const MOST_IDLE_BOOTS: u32 = 3;

const MAGIC: u64 = u64::from_le_bytes(*b"stalerec");
const VERSION: u32 = 3;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const HEADER: usize = 28;
const FLIGHTS: [usize; 2] = [64, 160];
/// A flight is written by whole words, each in one piece.
const WORD: usize = size_of::<u64>();
const _: () = assert!(FLIGHTS[0].is_multiple_of(WORD) && FLIGHTS[1].is_multiple_of(WORD));
const PLAN: usize = 256;
const JOURNAL: usize = 4096;
/// Length and checksum.
const ENTRY_HEAD: usize = 8;

/// What an entry of the journal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The plan was begun, or continued. The text is CNTVCT_EL0 at entry.
    Boot,
    /// A record of what is measured on what, as the console has it, without the
    /// `# `; with its seal where all records are kept.
    Context,
    /// A record of what was found, likewise.
    Record,
    /// A trial of a search for culprits: see [`Trial`].
    Trial,
    /// What is about to be done, and may not return. In words.
    Step,
    /// The run has ended in order. No text, unless all records are kept.
    End,
    /// What is before this has been written to a file. No text.
    Saved,
}

impl Kind {
    const fn letter(self) -> u8 {
        match self {
            Self::Boot => b'b',
            Self::Context => b'c',
            Self::Record => b'r',
            Self::Trial => b't',
            Self::Step => b'a',
            Self::End => b'e',
            Self::Saved => b's',
        }
    }

    fn of(letter: u8) -> Option<Self> {
        [
            Self::Boot,
            Self::Context,
            Self::Record,
            Self::Trial,
            Self::Step,
            Self::End,
            Self::Saved,
        ]
        .into_iter()
        .find(|kind| kind.letter() == letter)
    }
}

/// A trial of a search for culprits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trial {
    /// The case.
    pub case: u32,
    /// The cores that were left stale.
    pub tried: CpuSet,
    /// Did it block? `None` where it was begun and its end is not known.
    pub blocked: Option<bool>,
}

impl Trial {
    /// As the text of an entry: `26 1-3,5 blocked`.
    pub fn to_text(&self) -> String {
        let end = match self.blocked {
            None => "begun",
            Some(true) => "blocked",
            Some(false) => "returned",
        };
        format!("{} {} {end}", self.case, self.tried)
    }

    /// Reads the text of an entry.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let case = words.next()?.parse().ok()?;
        let tried = CpuSet::parse(words.next()?).ok()?;
        let blocked = match words.next()? {
            "begun" => None,
            "blocked" => Some(true),
            "returned" => Some(false),
            _ => return None,
        };
        words.next().is_none().then_some(Self {
            case,
            tried,
            blocked,
        })
    }
}

/// The operation in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flight {
    /// The case, from 1.
    pub case: u32,
    /// Its initiator.
    pub cpu: u32,
    /// Its mark, as far as it was seen.
    pub seen: Seen,
    /// How long the mark was seen to stand still, in milliseconds: 0 until the
    /// operation's deadline had passed. Without it a reset proves nothing about the
    /// operation: a person, a baseboard controller or firmware may reset a machine.
    pub still_ms: u64,
    /// CNTVCT_EL0 when this was written.
    pub at: u64,
}

impl Flight {
    /// Number of a case, and of words in a slot: what is checked, and the check.
    const WORDS: usize = 8;

    const fn who(case: u32, cpu: u32) -> u64 {
        case as u64 | (cpu as u64) << 32
    }

    /// All but the first word, which counts flights.
    fn words(&self) -> [u64; Self::WORDS - 1] {
        [
            Self::who(self.case, self.cpu),
            self.seen.sequence,
            self.seen.site.map_or(u64::MAX, Site::pack),
            self.seen.address,
            self.seen.returned,
            self.still_ms,
            self.at,
        ]
    }

    fn from_words(
        [_, who, sequence, site, address, returned, still_ms, at]: [u64; Self::WORDS],
    ) -> Option<Self> {
        let case = who as u32;
        (case != 0).then_some(Self {
            case,
            cpu: (who >> 32) as u32,
            seen: Seen {
                sequence,
                site: Site::unpack(site),
                address,
                returned,
            },
            still_ms,
            at,
        })
    }

    /// What this says about the operation, after `reset`.
    pub fn after(&self, reset: &Reset) -> AfterReset {
        let place = self.seen.site.filter(|_| self.seen.in_flight());
        let place = place.map_or_else(String::new, |site| format!(" at {}", site.place()));
        if self.still_ms > 0 {
            return AfterReset::Blocked(format!(
                "its mark{place} had stood still for {} ms when the machine was reset",
                self.still_ms
            ));
        }
        if reset.by_watchdog {
            return AfterReset::Blocked(format!(
                "its mark{place} was the last when the watchdog reset the machine"
            ));
        }
        match reset.still_ms(self.at) {
            Some(ms) if self.seen.in_flight() && ms >= reset.deadline_ms => {
                AfterReset::Blocked(format!(
                    "its mark{place} had stood still for {ms} ms at least when the machine was \
                     reset, by the counter that went on"
                ))
            }
            _ => AfterReset::Inconclusive(format!(
                "reset while running: nobody saw its mark{place} stand still for the deadline"
            )),
        }
    }
}

/// A reset, as far as the boot after it knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// Does the watchdog say that it reset the machine? If so, the core that
    /// refreshes it had stopped.
    pub by_watchdog: bool,
    /// CNTVCT_EL0 at entry of the image in this boot.
    pub entered: u64,
    /// The same in the boot that began the plan: where the counter started with the
    /// machine, this is how long the machine takes to boot.
    pub first_entered: Option<u64>,
    /// The counter's frequency.
    pub hz: u64,
    /// The operation's deadline.
    pub deadline_ms: u64,
}

impl Reset {
    /// How long, at least, nothing had been written after a mark that was written at
    /// `at`, before the machine was reset. Many machines' counters go on over a
    /// reset. How much of the time since then this boot took is not known, so twice
    /// what the first boot took is subtracted.
    fn still_ms(&self, at: u64) -> Option<u64> {
        let boot = self.first_entered?.checked_mul(2)?;
        let still = self.entered.checked_sub(at)?.checked_sub(boot)?;
        Some(clock::microseconds(still, self.hz) / 1000)
    }
}

/// What is known about a case that was in flight when the machine was reset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AfterReset {
    /// It had not returned, for this reason.
    Blocked(String),
    /// It may have been on its way, or not.
    Inconclusive(String),
}

/// A flight in memory.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Slot {
    words: [u64; Flight::WORDS],
    check: u64,
}

const _: () = assert!(FLIGHTS[0] + size_of::<Slot>() <= FLIGHTS[1]);
const _: () = assert!(FLIGHTS[1] + size_of::<Slot>() <= PLAN);

/// A region in use.
#[derive(Debug)]
pub struct Recorder<'a> {
    bytes: &'a mut [u8],
    /// Where the next entry goes.
    end: usize,
    /// Where the entries of this boot begin.
    boot: usize,
    /// How many flights were written.
    flights: u64,
    full: bool,
    /// Orders the stores before against those after, for whoever reads memory
    /// after a reset.
    barrier: fn(),
}

impl<'a> Recorder<'a> {
    /// Begins a new log in `bytes`; what was there is lost.
    ///
    /// # Errors
    /// The plan is longer than there is room for, or no word lies where words do.
    pub fn create(bytes: &'a mut [u8], plan: &str, barrier: fn()) -> Result<Self, String> {
        check_alignment(bytes)?;
        let (room, least) = (JOURNAL - PLAN, 2 * JOURNAL);
        if plan.len() > room || bytes.len() < least {
            return Err(format!(
                "the flight recorder has room for a plan of {room} bytes in {least} or more; this \
                 plan has {}, and there are {}",
                plan.len(),
                bytes.len()
            ));
        }
        let mut new = Self {
            bytes,
            end: JOURNAL,
            boot: JOURNAL,
            flights: 0,
            full: false,
            barrier,
        };
        // From here it is no log, until the magic makes it one.
        new.put(0, &[0; 8]);
        new.order();
        new.put(8, &[0; JOURNAL - 8]);
        new.put(JOURNAL, &[0; ENTRY_HEAD]);
        new.put(PLAN, plan.as_bytes());
        new.put(8, &VERSION.to_le_bytes());
        new.put(12, &(plan.len() as u32).to_le_bytes());
        new.put(16, &CRC.checksum(plan.as_bytes()).to_le_bytes());
        let mut head = [0; HEADER - 4];
        head.copy_from_slice(&new.bytes[..HEADER - 4]);
        head[..8].copy_from_slice(&MAGIC.to_le_bytes());
        new.put(HEADER - 4, &CRC.checksum(&head).to_le_bytes());
        new.order();
        new.put(0, &MAGIC.to_le_bytes());
        new.order();
        Ok(new)
    }

    /// Goes on with the log in `bytes`, behind its last whole entry. `None`
    /// where there is none.
    ///
    /// # Errors
    /// As [`Log::read`], or no word lies where words do.
    pub fn resume(bytes: &'a mut [u8], barrier: fn()) -> Result<Option<Self>, String> {
        check_alignment(bytes)?;
        let Some(log) = Log::read(bytes)? else {
            return Ok(None);
        };
        let mut entries = log.entries();
        entries.by_ref().for_each(drop);
        let end = entries.at;
        let flights = log.newest_flight().map_or(0, |words| words[0]);
        Ok(Some(Self {
            bytes,
            end,
            boot: end,
            flights,
            full: false,
            barrier,
        }))
    }

    /// What it holds.
    pub fn log(&self) -> Log<'_> {
        // Made by `create` or read by `resume`, so it can be read.
        let length = half(self.bytes, 12).unwrap_or(0) as usize;
        let plan = self.bytes.get(PLAN..PLAN + length).unwrap_or_default();
        Log {
            bytes: self.bytes,
            plan: core::str::from_utf8(plan).unwrap_or_default(),
        }
    }

    /// The entries of this boot.
    pub const fn this_boot(&self) -> Entries<'_> {
        Entries {
            bytes: self.bytes,
            at: self.boot,
        }
    }

    /// Adds an entry; `false` if there is no room, from then on for any.
    pub fn append(&mut self, kind: Kind, text: &str) -> bool {
        let length = text.len() + 1;
        let next = (self.end + ENTRY_HEAD + length).next_multiple_of(8);
        self.full |= next + ENTRY_HEAD > self.bytes.len();
        if self.full {
            return false;
        }
        let mut digest = CRC.digest();
        digest.update(&[kind.letter()]);
        digest.update(text.as_bytes());
        // The old end stays one until everything behind it is there.
        self.put(next, &[0; ENTRY_HEAD]);
        self.put(self.end + 4, &digest.finalize().to_le_bytes());
        self.put(self.end + ENTRY_HEAD, &[kind.letter()]);
        self.put(self.end + ENTRY_HEAD + 1, text.as_bytes());
        self.order();
        self.put(self.end, &(length as u32).to_le_bytes());
        self.order();
        self.end = next;
        true
    }

    /// Writes what is in flight, or that nothing is.
    pub fn set_in_flight(&mut self, flight: Option<&Flight>) {
        self.put_flight(flight.map_or([0; Flight::WORDS - 1], Flight::words));
    }

    /// Writes that an operation of `cpu` is in flight as the words of its mark say
    /// (sequence, site, address, returned), at `at` by CNTVCT_EL0. This stands beside each
    /// sample where nobody watches the mark.
    #[inline(always)]
    pub fn follow(&mut self, case: u32, cpu: u32, mark: [u64; 4], at: u64) {
        let [sequence, site, address, returned] = mark;
        let who = Flight::who(case, cpu);
        self.put_flight([who, sequence, site, address, returned, 0, at]);
    }

    #[inline(always)]
    fn put_flight(&mut self, [a, b, c, d, e, f, g]: [u64; Flight::WORDS - 1]) {
        // The count comes from memory, which may hold anything.
        self.flights = self.flights.wrapping_add(1);
        let words = [self.flights, a, b, c, d, e, f, g];
        let slot = match self.flights % 2 {
            0 => FLIGHTS[0],
            _ => FLIGHTS[1],
        };
        let barrier = self.barrier;
        let place = self.bytes.get_mut(slot..slot + size_of::<Slot>());
        // There is room, and it is aligned: whoever made this has seen to it.
        if let Some(Ok(slot)) = place.map(Slot::mut_from_bytes) {
            let sum = check(&words);
            slot.words = match cfg!(target_endian = "little") {
                true => words,
                false => words.map(u64::to_le),
            };
            order(barrier);
            slot.check = sum.to_le();
            order(barrier);
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn order(&self) {
        order(self.barrier);
    }
}

/// Orders the stores before against those after: of the compiler, then of the core.
#[inline(always)]
fn order(barrier: fn()) {
    compiler_fence(Ordering::SeqCst);
    barrier();
}

/// Flights are written by words.
fn check_alignment(bytes: &[u8]) -> Result<(), String> {
    match bytes.as_ptr().addr() % WORD {
        0 => Ok(()),
        _ => Err(format!(
            "the flight recorder is at {:p}, between two words",
            bytes.as_ptr()
        )),
    }
}

/// Where a machine's recorder is: where the loader says, otherwise in the middle of
/// its largest piece of memory, which neither firmware nor boot loaders use, and
/// which is the same in each boot.
pub fn place(platform: &Platform, taken: &[Region]) -> Option<Region> {
    let size = SIZE as u64;
    if let Some(base) = platform.recorder {
        return Some(Region { base, size });
    }
    let largest = platform.memory.iter().max_by_key(|memory| memory.size)?;
    let mut taken = taken.to_vec();
    taken.extend(platform.memory.iter().filter(|memory| *memory != largest));
    taken.push(Region {
        base: largest.base,
        size: largest.size / 2,
    });
    platform.find_free(size, ALIGN, &taken)
}

/// Where a loader looks for a recorder, and puts a new one: the multiples of 32
/// MiB that lie in free memory and not in what is kept for others, those in the middle
/// first.
pub fn candidates(free: &[Region], kept: Option<Region>) -> Vec<u64> {
    const STRIDE: u64 = 32 << 20;
    let mut found: Vec<u64> = free
        .iter()
        .flat_map(|region| {
            // Where RAM begins at 0, what lies there has no address that a reference can have.
            let first = region.base.div_ceil(STRIDE).max(1);
            let last = region.end().saturating_sub(SIZE as u64) / STRIDE;
            (first..=last).map(|n| n * STRIDE)
        })
        .filter(|base| {
            let (base, size) = (*base, SIZE as u64);
            !kept.is_some_and(|kept| kept.overlaps(&Region { base, size }))
        })
        .collect();
    found.sort_unstable();
    let middle = found.get(found.len() / 2).copied().unwrap_or(0);
    found.sort_by_key(|at| at.abs_diff(middle));
    found
}

/// The checksum of a flight, in a few instructions for each word: whatever changes in one
/// word changes it, as each step can be undone.
#[inline(always)]
fn check(words: &[u64; Flight::WORDS]) -> u64 {
    let step =
        |sum: u64, word: u64| (sum.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // One after the other, as a loop costs as much again.
    let [a, b, c, d, e, f, g, h] = *words;
    step(
        step(
            step(step(step(step(step(step(MAGIC, a), b), c), d), e), f),
            g,
        ),
        h,
    )
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
