//! The node against a plain reference: the same events in the same order, every answer
//! compared, and what must always hold.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use proptest::prelude::*;

use super::*;
use crate::{cpuset::CpuSet, glossary::StaleState};

const CORES_USED: usize = 40;
const STATES: [StaleState; 3] = [StaleState::Spin, StaleState::Wfe, StaleState::Parked];

/// A transaction of the reference: how long each core's answer takes, and when it set
/// out, if it did.
#[derive(Clone)]
struct Snooped {
    owner: usize,
    posted: u64,
    set_out: BTreeMap<usize, (u64, Option<u64>)>,
}

impl Snooped {
    /// Serves the answers one by one in the order in which they set out.
    fn finished(&self) -> Option<u64> {
        let answer =
            |(takes, set_out): &(u64, Option<u64>)| Some((set_out.as_ref().copied()?, *takes));
        let mut answers: Vec<_> = self.set_out.values().map(answer).collect::<Option<_>>()?;
        answers.sort_unstable();
        Some(
            answers
                .iter()
                .fold(self.posted, |free, (t, takes)| free.max(*t) + takes),
        )
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Asked {
    Nothing,
    Post(usize),
    Dsb,
    Open { posted: u64 },
    Syncing { posted: u64 },
}

/// The node, written down as the module's documentation describes it.
struct Reference {
    options: FabricOptions,
    cores: usize,
    open: Vec<Snooped>,
    sync: Option<Snooped>,
    unsynced: Vec<bool>,
    asked: Vec<Asked>,
}

impl Reference {
    fn new(options: FabricOptions, cores: usize) -> Self {
        Self {
            options,
            cores,
            open: vec![],
            sync: None,
            unsynced: vec![false; cores],
            asked: vec![Asked::Nothing; cores],
        }
    }

    fn deaf(&self, core: usize, presence: &Presence) -> bool {
        let (state, healed) = presence.read(core);
        self.options.deaf.is_some_and(|deaf| {
            !healed
                && state.is_some_and(|state| deaf.states.contains(state))
                && deaf.cpus.is_none_or(|cpus| cpus.contains(core))
        })
    }

    fn look(&mut self, now: u64, presence: &Presence) {
        let deaf: Vec<_> = (0..self.cores).map(|c| self.deaf(c, presence)).collect();
        for snooped in self.open.iter_mut().chain(&mut self.sync) {
            for (core, (_, time)) in &mut snooped.set_out {
                if time.is_none() && !deaf[*core] {
                    *time = Some(now);
                }
            }
        }
        let running = |s: &Snooped| s.finished().is_none_or(|end| end > now);
        self.open.retain(running);
        self.sync = self.sync.take().filter(running);
    }

    fn snoop(&self, owner: usize, now: u64, presence: &Presence) -> Snooped {
        Snooped {
            owner,
            posted: now,
            set_out: (0..self.cores)
                .filter(|core| *core != owner)
                .map(|core| {
                    let deaf = self.deaf(core, presence);
                    let (state, healed) = presence.read(core);
                    let stuck = matches!(state, Some(StaleState::Spin | StaleState::Wfe));
                    let late = deaf || (stuck && !healed);
                    let takes = if late { self.options.delay_ns } else { 0 };
                    (core, (takes, (!deaf).then_some(now)))
                })
                .collect(),
        }
    }

    /// Is what the core asked for complete?
    fn poll(&mut self, core: usize, now: u64, presence: &Presence) -> bool {
        self.look(now, presence);
        if matches!(self.asked[core], Asked::Post(_))
            && self.open.len() < usize::from(self.options.depth)
        {
            let snooped = self.snoop(core, now, presence);
            self.open.push(snooped);
            self.unsynced[core] = true;
            self.asked[core] = if self.options.early_comp {
                Asked::Nothing
            } else {
                Asked::Open { posted: now }
            };
        }
        let earlier = self.open.iter().any(|s| s.owner == core);
        if self.asked[core] == Asked::Dsb && !earlier && self.sync.is_none() {
            self.sync = Some(self.snoop(core, now, presence));
            self.asked[core] = Asked::Syncing { posted: now };
        }
        self.look(now, presence);
        let still = match self.asked[core] {
            Asked::Nothing => false,
            Asked::Post(_) | Asked::Dsb => true,
            Asked::Open { posted } => self
                .open
                .iter()
                .any(|s| s.owner == core && s.posted == posted),
            Asked::Syncing { posted } => self
                .sync
                .as_ref()
                .is_some_and(|s| s.owner == core && s.posted == posted),
        };
        if !still {
            if matches!(self.asked[core], Asked::Syncing { .. }) {
                self.unsynced[core] = false;
            }
            self.asked[core] = Asked::Nothing;
        }
        !still
    }
}

#[derive(Clone, Debug)]
enum Event {
    Post(usize, Maintenance),
    Dsb(usize),
    Poll(usize),
    Wait(u64),
    Enter(usize, StaleState),
    Leave(usize),
    Climb(Rung, usize),
}

fn events(cores: usize) -> impl Strategy<Value = Vec<Event>> {
    let core = 0..cores;
    let dvm: Vec<_> = Maintenance::ALL
        .iter()
        .copied()
        .filter(|what| what.class() == MessageClass::Dvm)
        .collect();
    let event = prop_oneof![
        4 => (core.clone(), prop::sample::select(dvm)).prop_map(|(c, w)| Event::Post(c, w)),
        2 => core.clone().prop_map(Event::Dsb),
        4 => core.clone().prop_map(Event::Poll),
        3 => (0..60_u64).prop_map(Event::Wait),
        1 => (core.clone(), prop::sample::select(&STATES[..])).prop_map(|(c, s)| Event::Enter(c, s)),
        1 => core.clone().prop_map(Event::Leave),
        1 => (prop::sample::select(Rung::ALL), core).prop_map(|(r, c)| Event::Climb(r, c)),
    ];
    prop::collection::vec(event, 0..80)
}

/// Options, number of cores, and what happens.
fn scenario() -> impl Strategy<Value = (FabricOptions, usize, Vec<Event>)> {
    let options = (
        prop::option::of("(spin|wfe|spin\\+wfe)(@0|@1-2)?"),
        1..=5_u8,
        any::<bool>(),
        0..20_u64,
    )
        .prop_map(|(deaf, depth, early, delay)| {
            let early = if early { "on" } else { "off" };
            let mut text =
                alloc::format!("depth={depth},early-comp={early},delay={delay}ns,heal=sgi");
            if let Some(deaf) = deaf {
                text.push_str(",deaf=");
                text.push_str(&deaf);
            }
            FabricOptions::parse(&text).unwrap()
        });
    (options, prop_oneof![9 => 1..6_usize, 1 => Just(CORES_USED)])
        .prop_flat_map(|(options, cores)| (Just(options), Just(cores), events(cores)))
}

struct Run {
    fabric: Fabric,
    presence: Presence,
    reference: Reference,
    tickets: Vec<Option<Ticket>>,
    now: u64,
}

impl Run {
    fn new(options: FabricOptions, cores: usize) -> Self {
        Self {
            fabric: Fabric::new(&options, CpuSet::first(cores), 1_000_000_000),
            presence: Presence::new(),
            reference: Reference::new(options, cores),
            tickets: (0..cores).map(|_| None).collect(),
            now: 0,
        }
    }

    fn poll(&mut self, core: usize) -> Result<(), TestCaseError> {
        let Some(ticket) = &mut self.tickets[core] else {
            return Ok(());
        };
        let held = matches!(self.reference.asked[core], Asked::Dsb);
        let earlier = self
            .reference
            .open
            .iter()
            .any(|s| s.owner == core && s.finished().is_none_or(|end| end > self.now));
        let done = self.fabric.poll(ticket, self.now, &self.presence) == Progress::Done;
        let expected = self.reference.poll(core, self.now, &self.presence);
        prop_assert_eq!(done, expected, "core {} at {}", core, self.now);
        prop_assert!(self.reference.open.len() <= usize::from(self.reference.options.depth));
        // Nobody looks between a heal and this poll, so the poll may finish what was
        // unfinished because a core was deaf, but only if answers take no time.
        if held && earlier && self.reference.options.delay_ns > 0 {
            prop_assert!(!done, "a Sync overtook its requester's messages");
        }
        if done {
            self.tickets[core] = None;
        }
        Ok(())
    }

    fn step(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Post(core, what) if self.tickets[core].is_none() => {
                self.reference.asked[core] = Asked::Post(core);
                let ticket = self.fabric.post(core, what, 0, self.now, &self.presence);
                self.tickets[core] = Some(ticket);
                self.poll(core)?;
            }
            Event::Dsb(core) if self.tickets[core].is_none() => {
                if self.reference.unsynced[core] {
                    self.reference.asked[core] = Asked::Dsb;
                }
                self.tickets[core] = Some(self.fabric.sync(core, self.now, &self.presence));
                self.poll(core)?;
            }
            Event::Post(..) | Event::Dsb(_) => {}
            Event::Poll(core) => self.poll(core)?,
            // Each step has an instant of its own, by which the reference tells
            // transactions apart.
            Event::Wait(ticks) => self.now += ticks,
            Event::Enter(core, state) => self.presence.enter(core, state),
            Event::Leave(core) => self.presence.leave(core),
            Event::Climb(rung, core) => {
                let cores = CpuSet::one(core);
                let heals = self.fabric.release(rung, &cores, self.now, &self.presence);
                prop_assert_eq!(heals, rung == Rung::Sgi);
            }
        }
        self.fabric.advance(self.now, &self.presence);
        self.reference.look(self.now, &self.presence);
        self.now += 1;
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_node_does_what_the_reference_does((options, cores, events) in scenario()) {
        let mut run = Run::new(options, cores);
        for event in &events {
            run.step(event)?;
        }
    }

    #[test]
    fn with_nobody_deaf_everything_completes_in_bounded_time(
        (mut options, cores, events) in scenario()
    ) {
        options.deaf = None;
        let mut run = Run::new(options, cores);
        let mut posted = 0;
        for event in &events {
            posted += u64::from(matches!(event, Event::Post(..) | Event::Dsb(_)));
            run.step(event)?;
        }
        // At worst each waits for all that was posted before it, one by one, and notices
        // its turn a round of polls late each time.
        let round = options.delay_ns * cores as u64 + cores as u64 + 1;
        let end = run.now + (posted + 1) * 2 * round;
        while run.tickets.iter().any(Option::is_some) {
            prop_assert!(run.now <= end, "still waiting at {}", run.now);
            for core in 0..cores {
                run.step(&Event::Poll(core))?;
            }
        }
    }

    #[test]
    fn the_same_events_give_the_same_answers((options, cores, events) in scenario()) {
        let trace = || {
            let mut run = Run::new(options, cores);
            let mut trace = Vec::new();
            for event in &events {
                run.step(event).unwrap();
                let waiting: Vec<_> = run.tickets.iter().map(|ticket| {
                    ticket.as_ref().map(|ticket| run.fabric.awaited(ticket))
                }).collect();
                trace.push(waiting);
            }
            trace
        };
        prop_assert_eq!(trace(), trace());
    }

    #[test]
    fn who_is_awaited_is_deaf((options, cores, events) in scenario()) {
        let mut run = Run::new(options, cores);
        for event in &events {
            run.step(event)?;
            for ticket in run.tickets.iter().flatten() {
                for core in run.fabric.awaited(ticket).iter() {
                    prop_assert!(run.reference.deaf(core, &run.presence), "core {}", core);
                }
            }
        }
    }
}
