//! The node itself: what a requester posts, and how far it has come.

use crate::{
    cpuset::CpuSet,
    glossary::StaleState,
    maintenance::{Maintenance, MessageClass},
    sync::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    CORES, PLACES,
    lines::Lines,
    options::{DeafTo, FabricOptions, Heal, Rung},
    place::{Place, Rules},
    presence::Presence,
    ticket::{Progress, State, Ticket},
};

/// The node, shared by all cores. Ticks are those of any counter that all
/// cores see alike, such as CNTPCT_EL0.
#[derive(Debug)]
pub struct Fabric {
    options: FabricOptions,
    domain: CpuSet,
    /// The highest core of the domain, plus one.
    cores: usize,
    counter_hz: u64,
    places: [Place; PLACES],
    sync: Place,
    /// Has the core posted a DVM message since its last Sync? Written by that
    /// core alone.
    unsynced: [AtomicBool; CORES],
    lines: Lines,
    /// How many operations have been posted of those that `hold` may hold.
    holdable: AtomicU64,
}

impl Fabric {
    /// A node in which nothing is open, for the cores of `domain` and a counter
    /// of `counter_hz` ticks a second. About 10 KiB: make it once, at boot.
    pub fn new(options: &FabricOptions, domain: CpuSet, counter_hz: u64) -> Self {
        Self {
            options: *options,
            domain,
            cores: domain.highest().map_or(0, |core| core + 1).min(CORES),
            counter_hz,
            places: core::array::from_fn(|_| Place::new()),
            sync: Place::new(),
            unsynced: core::array::from_fn(|_| AtomicBool::new(false)),
            lines: Lines::new(),
            holdable: AtomicU64::new(0),
        }
    }

    /// From now on `cores` may hold the lines of this range of virtual addresses (see
    /// [`super::holders`]), and nobody but its user holds any other line. Call it between
    /// cases, with no operation in flight.
    pub fn set_lines(&self, range: core::ops::Range<u64>, cores: &CpuSet) {
        self.lines.set(range, cores);
    }

    /// Posts a maintenance instruction of `core` at tick `now`. `address` is
    /// the value of its register, and matters only for data lines.
    ///
    /// # Panics
    /// If `core` is not below [`crate::cpuset::MAX_CPUS`].
    pub fn post(
        &self,
        core: usize,
        what: Maintenance,
        address: u64,
        now: u64,
        presence: &Presence,
    ) -> Ticket {
        let state = if self.options.fault == Some(what) {
            State::Faulted
        } else {
            match what.class() {
                MessageClass::Dvm => State::Posting,
                MessageClass::Snoop => {
                    let holders = self.lines.holders(address).intersection(&self.domain);
                    self.snoop(core, holders, now, presence)
                }
                _ => State::Done,
            }
        };
        let held_until = now.saturating_add(self.held(core, what, presence));
        self.begin_held(core, state, now, held_until, presence)
    }

    /// Is this operation to return without having done anything?
    pub fn loses(&self, what: Maintenance) -> bool {
        self.options.lose == Some(what)
    }

    /// For how many ticks this operation is held by itself.
    fn held(&self, core: usize, what: Maintenance, presence: &Presence) -> u64 {
        let Some(hold) = &self.options.hold else {
            return 0;
        };
        let sends = matches!(what.class(), MessageClass::Dvm | MessageClass::Snoop);
        let which = hold.only.map_or(sends, |only| only == what);
        let staged = presence.read(core).0.is_none()
            && presence.stale().iter().any(|core| is_late(core, presence));
        if !which || !staged {
            return 0;
        }
        let nth = self
            .holdable
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1);
        match nth.is_multiple_of(hold.every.max(1).into()) {
            true => self.ticks(hold.ns.into()),
            false => 0,
        }
    }

    /// Posts a DSB of `core` at tick `now` that waits for maintenance (see
    /// [`super::trap::Barrier::waits_for_maintenance`]).
    ///
    /// # Panics
    /// If `core` is not below [`crate::cpuset::MAX_CPUS`].
    pub fn sync(&self, core: usize, now: u64, presence: &Presence) -> Ticket {
        let state = if self.unsynced[core].load(Ordering::Relaxed) {
            State::Held
        } else {
            State::Done
        };
        self.begin(core, state, now, presence)
    }

    /// Posts a load, a fetch or a store that leaves `core`, at tick `now`. It waits for deaf
    /// cores if they answer nothing at all: then the node serves nobody.
    ///
    /// # Panics
    /// If `core` is not below [`crate::cpuset::MAX_CPUS`].
    pub fn access(&self, core: usize, now: u64, presence: &Presence) -> Ticket {
        let state = if self.holds_accesses() {
            self.snoop(core, self.domain, now, presence)
        } else {
            State::Done
        };
        self.begin(core, state, now, presence)
    }

    /// Can an access be held up?
    pub fn holds_accesses(&self) -> bool {
        self.options.to == DeafTo::All
    }

    fn begin(&self, core: usize, state: State, now: u64, presence: &Presence) -> Ticket {
        self.begin_held(core, state, now, now, presence)
    }

    fn begin_held(
        &self,
        core: usize,
        state: State,
        now: u64,
        held_until: u64,
        presence: &Presence,
    ) -> Ticket {
        let mut ticket = Ticket {
            core,
            posted: now,
            held_until,
            state,
        };
        self.poll(&mut ticket, now, presence);
        ticket
    }

    /// Moves the ticket's operation on, at tick `now`. Call it until it no longer says
    /// [`Progress::Waiting`]; the time between calls adds at most itself to the latency.
    pub fn poll(&self, ticket: &mut Ticket, now: u64, presence: &Presence) -> Progress {
        let core = ticket.core;
        if let Some(Heal::After(ns)) = self.options.heal
            && !matches!(ticket.state, State::Done | State::Faulted)
            && now.saturating_sub(ticket.posted) >= self.ticks(ns.into())
        {
            heal_all(presence);
        }
        if now < ticket.held_until {
            return Progress::Waiting;
        }
        self.with_rules(now, presence, |rules| {
            loop {
                ticket.state = match &mut ticket.state {
                    State::Done => return Progress::Done,
                    State::Faulted => return Progress::Faulted,
                    State::Posting => match self.accept(core, rules) {
                        None => return Progress::Waiting,
                        Some(_) if self.options.early_comp => State::Done,
                        Some((place, generation)) => State::Open { place, generation },
                    },
                    State::Open { place, generation } => {
                        if !self.places[*place].settle(*generation, rules) {
                            return Progress::Waiting;
                        }
                        State::Done
                    }
                    State::Held => match self.accept_sync(core, rules) {
                        None => return Progress::Waiting,
                        Some(generation) => State::Syncing { generation },
                    },
                    State::Syncing { generation } => {
                        if !self.sync.settle(*generation, rules) {
                            return Progress::Waiting;
                        }
                        self.unsynced[core].store(false, Ordering::Relaxed);
                        State::Done
                    }
                    State::Snooping { missing, due } => {
                        *due = (*due).max(self.take_snoop_answers(missing, now, presence));
                        if !missing.is_empty() || now < *due {
                            return Progress::Waiting;
                        }
                        State::Done
                    }
                };
            }
        })
    }

    /// Takes the answers that have come, in every place. Without this call a heal is only
    /// noticed when somebody next looks at the transaction.
    pub fn advance(&self, now: u64, presence: &Presence) {
        self.with_rules(now, presence, |rules| {
            for place in self.places().iter().chain([&self.sync]) {
                settle_open(place, rules);
            }
        });
    }

    /// A rung of the release ladder was climbed for `cores` at tick `now`. If it is the one
    /// that heals, they answer from now on, until they enter a stale state again. Returns
    /// whether it is.
    pub fn release(&self, rung: Rung, cores: &CpuSet, now: u64, presence: &Presence) -> bool {
        let heals = self.options.heal == Some(Heal::By(rung));
        if heals {
            cores.iter().for_each(|core| presence.heal(core));
            self.advance(now, presence);
        }
        heals
    }

    /// The cores whose answers the ticket's operation lacks: the truth against which a
    /// finding is checked, never a source of findings.
    pub fn awaited(&self, ticket: &Ticket) -> CpuSet {
        let cores = self.cores;
        let of = |place: &Place| -> CpuSet {
            place
                .open()
                .map(|(generation, _)| place.missing(generation, cores).collect())
                .unwrap_or_default()
        };
        match &ticket.state {
            State::Done | State::Faulted => CpuSet::EMPTY,
            State::Open { place, generation } => {
                self.places[*place].missing(*generation, cores).collect()
            }
            State::Syncing { generation } => self.sync.missing(*generation, cores).collect(),
            State::Snooping { missing, .. } => *missing,
            State::Posting => self
                .places()
                .iter()
                .fold(CpuSet::EMPTY, |all, place| all.union(&of(place))),
            State::Held => self
                .places()
                .iter()
                .filter(|place| place.open().is_some_and(|(_, owner)| owner == ticket.core))
                .chain([&self.sync])
                .fold(CpuSet::EMPTY, |all, place| all.union(&of(place))),
        }
    }

    /// Accepts a DVM message into the first place that is free now.
    fn accept(&self, core: usize, rules: &Rules<'_>) -> Option<(usize, u32)> {
        for (index, place) in self.places().iter().enumerate() {
            if !settle_open(place, rules) {
                continue;
            }
            if let Some(generation) = place.accept(core, |to| self.reaches(core, to), rules) {
                self.unsynced[core].store(true, Ordering::Relaxed);
                return Some((index, generation));
            }
        }
        None
    }

    /// Accepts a Sync once the core's messages are finished and no other Sync
    /// is open.
    fn accept_sync(&self, core: usize, rules: &Rules<'_>) -> Option<u32> {
        for place in self.places() {
            let own = place.open().filter(|(_, owner)| *owner == core);
            if own.is_some_and(|(generation, _)| !place.settle(generation, rules)) {
                return None;
            }
        }
        settle_open(&self.sync, rules)
            .then(|| self.sync.accept(core, |to| self.reaches(core, to), rules))
            .flatten()
    }

    fn snoop(&self, core: usize, mut holders: CpuSet, now: u64, presence: &Presence) -> State {
        holders.remove(core);
        let missing: CpuSet = holders
            .iter()
            .filter(|core| !self.hears(*core, DeafTo::Snoop, presence))
            .collect();
        let late = holders
            .iter()
            .filter(|core| missing.contains(*core) || is_late(*core, presence))
            .count();
        State::Snooping {
            missing,
            due: self.answered(now, late as u32),
        }
    }

    /// Takes the answers of cores that hear again; returns when they are in.
    fn take_snoop_answers(&self, missing: &mut CpuSet, now: u64, presence: &Presence) -> u64 {
        if missing.is_empty() {
            return now;
        }
        let deaf: CpuSet = missing
            .iter()
            .filter(|core| !self.hears(*core, DeafTo::Snoop, presence))
            .collect();
        if deaf == *missing {
            return now;
        }
        let due = self.answered(now, missing.len() as u32);
        *missing = deaf;
        due
    }

    fn places(&self) -> &[Place] {
        &self.places[..usize::from(self.options.depth).clamp(1, PLACES)]
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        to != from && self.domain.contains(to)
    }

    fn with_rules<T>(&self, now: u64, presence: &Presence, run: impl FnOnce(&Rules<'_>) -> T) -> T {
        run(&Rules {
            cores: self.cores,
            now,
            answered: &|answers| self.answered(now, answers),
            late: &|core| is_late(core, presence),
            hears: &|core| self.hears(core, DeafTo::Dvm, presence),
        })
    }

    /// When this many late answers are in, taken one at a time from `now` on; rounded up to
    /// a tick once, not for each answer.
    fn answered(&self, now: u64, answers: u32) -> u64 {
        let ns = u128::from(self.options.delay_ns) * u128::from(answers);
        now.saturating_add(self.ticks(ns))
    }

    /// Nanoseconds in ticks, rounded up.
    fn ticks(&self, ns: u128) -> u64 {
        let ticks = ns
            .saturating_mul(self.counter_hz.into())
            .div_ceil(1_000_000_000);
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Does the core answer messages of this kind at present?
    fn hears(&self, core: usize, kind: DeafTo, presence: &Presence) -> bool {
        let Some(deaf) = &self.options.deaf else {
            return true;
        };
        if self.options.to != kind && !matches!(self.options.to, DeafTo::Both | DeafTo::All) {
            return true;
        }
        if deaf.cpus.is_some_and(|cpus| !cpus.contains(core)) {
            return true;
        }
        let (state, healed) = presence.read(core);
        let stuck = state.is_some_and(|state| deaf.states.contains(state))
            || deaf.inherited && presence.is_inherited(core);
        healed || !stuck
    }
}

/// Every stale core answers from now on, until it enters a state again.
#[cold]
#[inline(never)]
fn heal_all(presence: &Presence) {
    presence.stale().iter().for_each(|core| presence.heal(core));
}

/// Does an answer of the core take time, because it is stuck and not healed? A parked core
/// is the control, and answers at once.
fn is_late(core: usize, presence: &Presence) -> bool {
    let (state, healed) = presence.read(core);
    let stuck = state.is_some_and(|state| state != StaleState::Parked);
    !healed && (stuck || presence.is_inherited(core))
}

/// Moves on what is in the place; `true` if the place is free now.
fn settle_open(place: &Place, rules: &Rules<'_>) -> bool {
    place
        .open()
        .is_none_or(|(generation, _)| place.settle(generation, rules))
}
