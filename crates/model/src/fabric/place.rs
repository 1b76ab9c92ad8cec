//! One place of the node: a transaction from its acceptance to its last answer.
//!
//! Any core may move any transaction on, at any moment, and may stop for ever
//! between two steps. So every step is one atomic operation that is harmless
//! when done twice, late, or on a transaction that is long over: what changes
//! answers carries the transaction's generation, and `due` only grows.

use crate::sync::{AtomicU64, Ordering};

use super::CORES;

/// Cores per word of `pending`; the other half is the generation.
const PER_WORD: usize = 32;
const WORDS: usize = CORES.div_ceil(PER_WORD);

/// The low half of `tag`: nobody, or the owner's number plus one …
const OWNER: u64 = 0xffff;
/// … and this bit while the owner writes the other fields.
const FILLING: u64 = 1 << 16;

const fn generation_of(word: u64) -> u32 {
    (word >> 32) as u32
}

const fn of_generation(generation: u32) -> u64 {
    (generation as u64) << 32
}

/// A place for one transaction.
#[derive(Debug)]
pub(super) struct Place {
    /// Generation, and the owner if a transaction is open.
    tag: AtomicU64,
    /// When all answers that are on their way will be in, in ticks.
    due: AtomicU64,
    /// Generation, and the cores that have not heard yet.
    pending: [AtomicU64; WORDS],
}

/// What a place needs to know about the node to move its transaction on.
pub(super) struct Rules<'a> {
    /// The highest core of the domain, plus one.
    pub cores: usize,
    /// The present tick.
    pub now: u64,
    /// When this many late answers are in if they all begin at `now`, in ticks.
    pub answered: &'a dyn Fn(u32) -> u64,
    /// Does an answer of this core take time at present?
    pub late: &'a dyn Fn(usize) -> bool,
    /// Does this core answer at present?
    pub hears: &'a dyn Fn(usize) -> bool,
}

impl Rules<'_> {
    const fn words(&self) -> usize {
        self.cores.div_ceil(PER_WORD)
    }
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            tag: AtomicU64::new(0),
            due: AtomicU64::new(0),
            pending: core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The open transaction's generation and owner.
    pub(super) fn open(&self) -> Option<(u32, usize)> {
        let tag = self.tag.load(Ordering::Acquire);
        let owner = (tag & OWNER).checked_sub(1)?;
        (tag & FILLING == 0).then_some((generation_of(tag), owner as usize))
    }

    /// Opens a transaction that snoops `targets`, if the place is free; returns its
    /// generation.
    pub(super) fn accept(
        &self,
        owner: usize,
        targets: impl Fn(usize) -> bool,
        rules: &Rules<'_>,
    ) -> Option<u32> {
        let tag = self.tag.load(Ordering::Acquire);
        if tag & (OWNER | FILLING) != 0 {
            return None;
        }
        let generation = generation_of(tag).wrapping_add(1);
        let open = of_generation(generation) | (owner as u64 + 1);
        self.tag
            .compare_exchange(tag, open | FILLING, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        // A core that is deaf now will be late when it answers.
        let mut answers = 0;
        for (i, word) in self.pending[..rules.words()].iter().enumerate() {
            let mut deaf = 0;
            for bit in 0..PER_WORD {
                let core = i * PER_WORD + bit;
                if targets(core) {
                    let hears = (rules.hears)(core);
                    answers += u32::from(!hears || (rules.late)(core));
                    deaf |= u64::from(!hears) << bit;
                }
            }
            word.store(of_generation(generation) | deaf, Ordering::Relaxed);
        }
        self.due.store((rules.answered)(answers), Ordering::Relaxed);
        self.tag.store(open, Ordering::Release);
        Some(generation)
    }

    /// Takes the answers that have come; frees the place and returns `true` when the
    /// transaction of that generation is finished, now or before.
    pub(super) fn settle(&self, generation: u32, rules: &Rules<'_>) -> bool {
        let pending = &self.pending[..rules.words()];
        let mut missing = 0;
        for word in pending {
            let word = word.load(Ordering::Acquire);
            if generation_of(word) != generation {
                return true;
            }
            missing += (word as u32).count_ones();
        }
        if missing != 0 {
            for (i, word) in pending.iter().enumerate() {
                let Some(heard) = take_answers(word, i, generation, rules, || {
                    // The remaining answers are taken one after the other. First the
                    // time, then the answers: a core that sees none missing sees this
                    // time too. If another transaction has the place by now, it began
                    // later and is due no earlier.
                    self.due
                        .fetch_max((rules.answered)(missing), Ordering::AcqRel);
                }) else {
                    return true;
                };
                missing -= heard.min(missing);
            }
            if missing != 0 {
                return false;
            }
        }
        if rules.now < self.due.load(Ordering::Acquire) {
            return false;
        }
        let tag = self.tag.load(Ordering::Acquire);
        if generation_of(tag) == generation && tag & OWNER != 0 {
            // Fails only if another core found the same.
            let _ = self.tag.compare_exchange(
                tag,
                of_generation(generation),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
        true
    }

    /// The cores that have not heard the transaction of that generation.
    pub(super) fn missing(&self, generation: u32, cores: usize) -> impl Iterator<Item = usize> {
        self.pending[..cores.div_ceil(PER_WORD)]
            .iter()
            .enumerate()
            .flat_map(move |(i, word)| {
                let word = word.load(Ordering::Acquire);
                let bits = if generation_of(word) == generation {
                    word as u32
                } else {
                    0
                };
                (0..PER_WORD)
                    .filter(move |bit| bits & (1 << bit) != 0)
                    .map(move |bit| i * PER_WORD + bit)
            })
    }
}

/// Takes the answers of one word's cores, calling `before` first if there are any, and
/// counts them; `None` if the transaction is over. Answers that another core takes at the
/// same moment are not counted: the next look finds them gone.
fn take_answers(
    word: &AtomicU64,
    index: usize,
    generation: u32,
    rules: &Rules<'_>,
    before: impl FnOnce(),
) -> Option<u32> {
    let seen = word.load(Ordering::Acquire);
    if generation_of(seen) != generation {
        return None;
    }
    let heard = (0..PER_WORD)
        .filter(|bit| seen & (1 << bit) != 0 && (rules.hears)(index * PER_WORD + bit))
        .fold(0, |heard, bit| heard | 1_u64 << bit);
    if heard == 0 {
        return Some(0);
    }
    before();
    let taken = word.compare_exchange(seen, seen & !heard, Ordering::AcqRel, Ordering::Relaxed);
    Some(taken.map_or(0, |_| heard.count_ones()))
}
