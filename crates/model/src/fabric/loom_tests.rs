//! Several cores in the node at once, in every interleaving that loom finds:
//! `RUSTFLAGS="--cfg loom" cargo test -p stalecore-model --release loom_`.
//!
//! In all but two tests answers take no time, so that ticks never matter and a poll says
//! `Waiting` only because of what another core did.

use loom::{sync::Arc, thread};

use super::*;
use crate::{
    cpuset::CpuSet,
    glossary::StaleState,
    sync::{AtomicU64, Ordering},
};

/// How often loom preempts a core between two steps.
const PREEMPTIONS: usize = 3;

fn model(test: impl Fn() + Sync + Send + Copy + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(test);
}

/// The tick of nearly everything; later than any in an empty place.
const NOW: u64 = 10;
const LATER: u64 = 20;

struct Shared {
    fabric: Fabric,
    presence: Presence,
    /// How many messages are accepted and not complete, as seen by requesters.
    inside: AtomicU64,
}

fn shared(options: &str, cores: usize) -> Arc<Shared> {
    let options = FabricOptions::parse(options).unwrap();
    Arc::new(Shared {
        fabric: Fabric::new(&options, CpuSet::first(cores), 1),
        presence: Presence::new(),
        inside: AtomicU64::new(0),
    })
}

impl Shared {
    fn post(&self, core: usize) -> Ticket {
        self.fabric
            .post(core, Maintenance::IcIvau, 0, NOW, &self.presence)
    }

    fn finish(&self, ticket: &mut Ticket) {
        while self.fabric.poll(ticket, NOW, &self.presence) == Progress::Waiting {
            thread::yield_now();
        }
    }

    fn done(&self, ticket: &mut Ticket) -> bool {
        self.fabric.poll(ticket, NOW, &self.presence) == Progress::Done
    }
}

/// Three messages for one place: all complete, and the place is free again.
#[test]
fn loom_initiators_share_one_place() {
    model(|| {
        let shared = shared("depth=1", 2);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut ticket = shared.post(1);
                shared.finish(&mut ticket);
                let mut dsb = shared.fabric.sync(1, NOW, &shared.presence);
                shared.finish(&mut dsb);
            })
        };
        let mut ticket = shared.post(0);
        shared.finish(&mut ticket);
        other.join().unwrap();
        let mut again = shared.post(0);
        assert!(shared.done(&mut again));
    });
}

/// Of two initiators at once exactly one gets the only place, as long as the
/// first message is not finished; and a third message finds it taken.
fn two_messages_for_one_place(options: &'static str) {
    model(move || {
        let shared = shared(options, 3);
        shared.presence.enter(2, StaleState::Spin);
        let post = |core| {
            let shared = shared.clone();
            move || {
                let mut ticket = shared.post(core);
                if shared.done(&mut ticket) {
                    shared.inside.fetch_add(1, Ordering::AcqRel);
                }
            }
        };
        let other = thread::spawn(post(1));
        post(0)();
        other.join().unwrap();
        assert_eq!(shared.inside.load(Ordering::Acquire), 1);
        let mut late = shared.post(0);
        assert!(!shared.done(&mut late));
    });
}

#[test]
fn loom_one_place_while_a_core_is_deaf() {
    two_messages_for_one_place("deaf=spin,depth=1,early-comp=on");
}

#[test]
fn loom_one_place_while_answers_are_on_their_way() {
    two_messages_for_one_place("delay=1s,depth=1,early-comp=on");
}

/// Two cores move the same transaction on while its deaf core is healed; then
/// the place is used again with the core deaf once more. No answer of the
/// first may count for the second.
#[test]
fn loom_an_answer_counts_for_its_own_transaction_only() {
    model(|| {
        let shared = shared("deaf=spin,depth=1,early-comp=on", 3);
        shared.presence.enter(2, StaleState::Spin);
        let mut first = shared.post(0);
        assert!(shared.done(&mut first));
        shared.presence.leave(2);
        let helper = {
            let shared = shared.clone();
            thread::spawn(move || shared.fabric.advance(NOW, &shared.presence))
        };
        shared.fabric.advance(NOW, &shared.presence);
        shared.presence.enter(2, StaleState::Spin);
        let mut second = shared.post(1);
        let accepted = shared.done(&mut second);
        helper.join().unwrap();
        if accepted {
            let mut dsb = shared.fabric.sync(1, NOW, &shared.presence);
            assert!(!shared.done(&mut dsb), "the second was never answered");
            assert_eq!(shared.fabric.awaited(&dsb), CpuSet::one(2));
            let mut third = shared.post(0);
            assert!(!shared.done(&mut third), "the second lost its place");
        }
    });
}

/// A Sync is not complete while its requester's message is unanswered, however the healing
/// core races with it.
#[test]
fn loom_a_sync_waits_for_its_requester_messages() {
    model(|| {
        let shared = shared("deaf=spin,early-comp=on", 3);
        shared.presence.enter(2, StaleState::Spin);
        let mut message = shared.post(0);
        assert!(shared.done(&mut message));
        let healer = {
            let shared = shared.clone();
            thread::spawn(move || shared.presence.leave(2))
        };
        let mut dsb = shared.fabric.sync(0, NOW, &shared.presence);
        if shared.done(&mut dsb) {
            assert_eq!(shared.presence.state(2), None, "it overtook the message");
        }
        healer.join().unwrap();
        shared.finish(&mut dsb);
    });
}

/// Two cores notice the same heal; the healed core's answer still takes its time.
#[test]
fn loom_a_late_answer_takes_its_time() {
    model(|| {
        let shared = shared("deaf=spin,delay=1s", 2);
        shared.presence.enter(1, StaleState::Spin);
        let mut message = shared.post(0);
        shared.presence.leave(1);
        let helper = {
            let shared = shared.clone();
            thread::spawn(move || shared.fabric.advance(LATER, &shared.presence))
        };
        let early = shared.fabric.poll(&mut message, LATER, &shared.presence);
        assert_eq!(early, Progress::Waiting, "its answer is on its way");
        helper.join().unwrap();
        let late = shared
            .fabric
            .poll(&mut message, LATER + 1, &shared.presence);
        assert_eq!(late, Progress::Done);
    });
}

/// Two DSBs compete for the one Sync that may be open.
#[test]
fn loom_two_barriers_take_turns() {
    model(|| {
        let shared = shared("early-comp=on", 2);
        for core in [0, 1] {
            let mut message = shared.post(core);
            assert!(shared.done(&mut message));
        }
        let barrier = |core: usize| {
            let shared = shared.clone();
            move || {
                let mut dsb = shared.fabric.sync(core, NOW, &shared.presence);
                shared.finish(&mut dsb);
            }
        };
        let other = thread::spawn(barrier(1));
        barrier(0)();
        other.join().unwrap();
    });
}
