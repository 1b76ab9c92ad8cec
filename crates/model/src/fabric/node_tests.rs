//! The node in the situations that the harness stages.

use super::*;
use crate::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState},
};

/// One tick is a nanosecond.
const HZ: u64 = 1_000_000_000;
const LINE: u64 = 0x4000_0000;

fn fabric(options: &str, cores: usize) -> Fabric {
    let options = FabricOptions::parse(options).unwrap();
    Fabric::new(&options, CpuSet::first(cores), HZ)
}

/// More ticks than anything below takes, unless it is blocked.
const NEVER: u64 = 20_000;

/// Polls to the end and returns when that was; `None` if it never comes.
fn wait(fabric: &Fabric, mut ticket: Ticket, now: &mut u64, presence: &Presence) -> Option<u64> {
    let start = *now;
    while fabric.poll(&mut ticket, *now, presence) == Progress::Waiting {
        *now += 1;
        if *now - start > NEVER {
            return None;
        }
    }
    Some(*now - start)
}

fn blocks(fabric: &Fabric, what: Maintenance, presence: &Presence) -> bool {
    let mut ticket = fabric.post(0, what, LINE, 0, presence);
    fabric.poll(&mut ticket, u64::MAX, presence) == Progress::Waiting
}

#[test]
fn a_deaf_core_blocks_what_it_is_asked_and_nothing_else() {
    for (to, line, dvm, snoop) in [
        ("dvm", LineState::DirtyThere, true, false),
        ("dvm", LineState::Cold, true, false),
        ("snoop", LineState::DirtyThere, false, true),
        ("snoop", LineState::Shared, false, true),
        ("snoop", LineState::Cold, false, false),
        ("snoop", LineState::ExecutedThere, false, false),
        ("both", LineState::Shared, true, true),
        ("both", LineState::DirtyHere, true, false),
        ("all", LineState::Shared, true, true),
        ("all", LineState::DirtyHere, true, false),
    ] {
        for what in Maintenance::ALL {
            let fabric = fabric(&std::format!("deaf=spin,to={to}"), 3);
            let presence = Presence::new();
            presence.enter(2, StaleState::Spin);
            let cores = holders(line, CpuSet::one(2));
            fabric.set_lines(LINE..LINE + 64, &cores);
            let expected = match what.class() {
                MessageClass::Dvm => dvm,
                MessageClass::Snoop => snoop,
                _ => false,
            };
            assert_eq!(
                blocks(&fabric, *what, &presence),
                expected,
                "{what} {to} {line}"
            );
        }
        // Other accesses wait only where nothing at all is answered.
        let fabric = fabric(&std::format!("deaf=spin,to={to},heal=sev"), 3);
        let presence = Presence::new();
        presence.enter(2, StaleState::Spin);
        let mut ticket = fabric.access(0, 0, &presence);
        let waits = fabric.poll(&mut ticket, 1, &presence) == Progress::Waiting;
        assert_eq!(waits, to == "all", "{to}");
        fabric.release(Rung::Sev, &CpuSet::one(2), 2, &presence);
        assert_eq!(fabric.poll(&mut ticket, 3, &presence), Progress::Done);
    }
}

#[test]
fn only_the_named_core_in_the_named_state_is_deaf() {
    for (state, core, expected) in [
        (StaleState::Spin, 2, true),
        (StaleState::Spin, 1, false),
        (StaleState::Wfe, 2, false),
    ] {
        let fabric = fabric("deaf=spin+branch-self@2", 4);
        let presence = Presence::new();
        presence.enter(core, state);
        assert_eq!(blocks(&fabric, Maintenance::IcIvau, &presence), expected);
    }
}

#[test]
fn a_core_outside_the_domain_and_the_requester_are_not_asked() {
    let presence = Presence::new();
    let fabric = fabric("deaf=tlbi-storm", 2);
    presence.enter(0, StaleState::TlbiStorm);
    presence.enter(5, StaleState::TlbiStorm);
    assert!(!blocks(&fabric, Maintenance::TlbiVaae1is, &presence));
    presence.enter(1, StaleState::TlbiStorm);
    assert!(blocks(&fabric, Maintenance::TlbiVaae1is, &presence));
}

#[test]
fn with_early_completion_four_are_posted_and_the_fifth_waits() {
    let fabric = fabric("deaf=spin,early-comp=on", 4);
    let presence = Presence::new();
    presence.enter(3, StaleState::Spin);
    for n in 1..=5 {
        let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, n, &presence);
        let done = fabric.poll(&mut ticket, n, &presence) == Progress::Done;
        assert_eq!(done, n <= 4, "number {n}");
        if n == 5 {
            assert_eq!(fabric.awaited(&ticket), CpuSet::one(3));
        }
    }
    let mut other = fabric.post(1, Maintenance::TlbiVmalle1is, 0, 6, &presence);
    assert_eq!(fabric.poll(&mut other, 7, &presence), Progress::Waiting);
}

#[test]
fn with_early_completion_it_is_the_dsb_that_hangs() {
    let fabric = fabric("deaf=spin,early-comp=on,heal=sgi", 4);
    let presence = Presence::new();
    presence.enter(3, StaleState::Spin);
    let mut one = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
    assert_eq!(fabric.poll(&mut one, 0, &presence), Progress::Done);
    let mut dsb = fabric.sync(0, 0, &presence);
    assert_eq!(fabric.poll(&mut dsb, 9, &presence), Progress::Waiting);
    assert_eq!(fabric.awaited(&dsb), CpuSet::one(3));
    // A core with nothing posted passes its own DSB.
    let mut idle = fabric.sync(1, 9, &presence);
    assert_eq!(fabric.poll(&mut idle, 9, &presence), Progress::Done);
    // Only the rung that heals does, and only for the core that it is for.
    let all = CpuSet::first(4);
    assert!(!fabric.release(Rung::Sev, &all, 10, &presence));
    assert_eq!(fabric.poll(&mut dsb, 10, &presence), Progress::Waiting);
    assert!(fabric.release(Rung::Sgi, &CpuSet::one(1), 11, &presence));
    assert_eq!(fabric.poll(&mut dsb, 11, &presence), Progress::Waiting);
    assert!(fabric.release(Rung::Sgi, &all, 12, &presence));
    assert_eq!(fabric.poll(&mut dsb, 12, &presence), Progress::Done);
    assert!(fabric.awaited(&dsb).is_empty());
    // Synced now: the next DSB has nothing to wait for, healed or not.
    presence.enter(3, StaleState::Spin);
    let mut again = fabric.sync(0, 13, &presence);
    assert_eq!(fabric.poll(&mut again, 13, &presence), Progress::Done);
}

#[test]
fn a_core_from_before_this_boot_answers_only_once_a_rung_was_for_it() {
    let fabric = fabric("deaf=inherited,heal=sgi", 4);
    let presence = Presence::new();
    presence.inherit(3);
    presence.enter(2, StaleState::Spin);
    let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
    // The ladder is for the stale cores.
    for rung in Rung::ALL {
        fabric.release(*rung, &CpuSet::one(2), 1, &presence);
    }
    assert_eq!(fabric.poll(&mut ticket, 2, &presence), Progress::Waiting);
    assert!(fabric.release(Rung::Sgi, &CpuSet::one(3), 3, &presence));
    assert_eq!(fabric.poll(&mut ticket, 3, &presence), Progress::Done);
}

#[test]
fn a_core_that_answers_by_itself_does_so_when_its_time_is_over() {
    let fabric = fabric("deaf=spin,heal=5us", 4);
    let presence = Presence::new();
    for posted in [0, 100_000] {
        presence.enter(3, StaleState::Spin);
        let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, posted, &presence);
        for rung in Rung::ALL {
            assert!(!fabric.release(*rung, &CpuSet::one(3), posted, &presence));
        }
        let early = fabric.poll(&mut ticket, posted + 4_999, &presence);
        let late = fabric.poll(&mut ticket, posted + 5_000, &presence);
        assert_eq!((early, late), (Progress::Waiting, Progress::Done));
    }
}

#[test]
fn without_early_completion_it_is_the_operation_that_hangs() {
    let fabric = fabric("deaf=spin", 4);
    let presence = Presence::new();
    presence.enter(3, StaleState::Spin);
    let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
    assert_eq!(fabric.poll(&mut ticket, 5, &presence), Progress::Waiting);
    // The core leaves its state by itself: as good as a heal.
    presence.leave(3);
    assert_eq!(fabric.poll(&mut ticket, 6, &presence), Progress::Done);
}

#[test]
fn late_answers_are_taken_one_at_a_time() {
    let fabric = fabric("deaf=spin,delay=10ns,heal=el2", 5);
    let presence = Presence::new();
    presence.enter(3, StaleState::Spin);
    presence.enter(4, StaleState::Spin);
    let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
    assert_eq!(fabric.poll(&mut ticket, 500, &presence), Progress::Waiting);
    assert_eq!(fabric.awaited(&ticket), CpuSet::parse("3-4").unwrap());
    fabric.release(Rung::El2, &CpuSet::first(5), 1000, &presence);
    assert_eq!(fabric.poll(&mut ticket, 1019, &presence), Progress::Waiting);
    assert_eq!(fabric.poll(&mut ticket, 1020, &presence), Progress::Done);
}

#[test]
fn an_abandoned_operation_keeps_its_place_until_it_is_answered() {
    let fabric = fabric("deaf=spin,depth=1", 3);
    let presence = Presence::new();
    presence.enter(2, StaleState::Spin);
    drop(fabric.post(0, Maintenance::IcIvau, 0, 0, &presence));
    let mut next = fabric.post(1, Maintenance::IcIvau, 0, 1, &presence);
    assert_eq!(fabric.poll(&mut next, 2, &presence), Progress::Waiting);
    presence.leave(2);
    assert_eq!(fabric.poll(&mut next, 3, &presence), Progress::Done);
}

#[test]
fn the_operation_asked_for_faults_and_posts_nothing() {
    let fabric = fabric("fault=ic-ivau,deaf=spin", 2);
    let presence = Presence::new();
    presence.enter(1, StaleState::Spin);
    let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
    assert_eq!(fabric.poll(&mut ticket, 0, &presence), Progress::Faulted);
    let mut dsb = fabric.sync(0, 0, &presence);
    assert_eq!(fabric.poll(&mut dsb, 0, &presence), Progress::Done);
    assert!(blocks(&fabric, Maintenance::IcIalluis, &presence));
}

/// These cores are stuck, the others are not.
fn stuck(cores: core::ops::Range<usize>) -> Presence {
    let presence = Presence::new();
    cores.for_each(|core| presence.enter(core, StaleState::Wfe));
    presence
}

#[test]
fn only_a_stuck_core_is_late() {
    let fabric = fabric("delay=10ns,heal=sgi", 5);
    fabric.set_lines(LINE..LINE + 64, &CpuSet::first(5));
    for what in [Maintenance::IcIvau, Maintenance::DcCivac] {
        let presence = Presence::new();
        let took = |presence: &Presence| {
            let mut now = 1000;
            let ticket = fabric.post(0, what, LINE, now, presence);
            wait(&fabric, ticket, &mut now, presence)
        };
        assert_eq!(took(&presence), Some(0), "{what}: nobody is stuck");
        presence.enter(1, StaleState::Parked);
        assert_eq!(took(&presence), Some(0), "{what}: the control is late");
        presence.enter(1, StaleState::CpuOff);
        presence.enter(4, StaleState::Spin);
        assert_eq!(took(&presence), Some(20), "{what}");
        fabric.release(Rung::Sgi, &CpuSet::one(4), 1000, &presence);
        assert_eq!(took(&presence), Some(10), "{what}: a healed core is late");
    }
}

/// Runs the work and returns how long its issue and its DSB took.
fn run(fabric: &Fabric, what: Maintenance, batch: u32) -> (u64, u64) {
    let presence = stuck(1..CORES);
    let mut now = 1_000_000;
    let mut issue = 0;
    for _ in 0..batch {
        let ticket = fabric.post(0, what, LINE, now, &presence);
        issue += wait(fabric, ticket, &mut now, &presence).unwrap();
    }
    let ticket = fabric.sync(0, now, &presence);
    (issue, wait(fabric, ticket, &mut now, &presence).unwrap())
}

#[test]
fn latency_is_what_the_closed_form_says() {
    let mut tried = 0;
    for early in ["on", "off"] {
        for depth in [1, 2, 4, 64] {
            for cores in [1, 4, 16, 64, 512] {
                for batch in [1, 4, 5, 9] {
                    let text = std::format!("delay=3ns,depth={depth},early-comp={early}");
                    let options = FabricOptions::parse(&text).unwrap();
                    for what in [
                        Maintenance::IcIvau,
                        Maintenance::DcCivac,
                        Maintenance::IcIallu,
                    ] {
                        let fabric = fabric(&text, cores);
                        fabric.set_lines(LINE..LINE + 64, &CpuSet::first(cores.min(3)));
                        let class = what.class();
                        let answers = match class {
                            MessageClass::Snoop => cores.min(3) - 1,
                            _ => cores - 1,
                        } as u32;
                        let (issue, dsb) = run(&fabric, what, batch);
                        let expected = |class, barrier| {
                            options.expected_latency_ns(Work {
                                class,
                                answers,
                                batch,
                                barrier,
                            })
                        };
                        assert_eq!(issue, expected(class, false), "{what} {text} {cores}");
                        assert_eq!(issue + dsb, expected(class, true), "{what} {text} {cores}");
                        if class == MessageClass::Dvm {
                            assert_eq!(dsb, expected(MessageClass::Sync, false));
                        }
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 2 * 4 * 5 * 4 * 3);
}

#[test]
fn a_coarse_counter_rounds_the_whole_latency_up_and_not_each_answer() {
    let options = FabricOptions::parse("delay=20ns").unwrap();
    // 63 answers of 20 ns are 1260 ns, at 16 ns a tick 78.75 ticks.
    let fabric = Fabric::new(&options, CpuSet::first(64), 62_500_000);
    let presence = stuck(1..64);
    let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
    assert_eq!(fabric.poll(&mut ticket, 78, &presence), Progress::Waiting);
    assert_eq!(fabric.poll(&mut ticket, 79, &presence), Progress::Done);
}

#[test]
fn the_node_fits_a_boot_stack() {
    assert!(size_of::<Fabric>() <= 10 * 1024, "{}", size_of::<Fabric>());
}

#[test]
fn one_in_so_many_is_held_while_a_core_is_stale_and_no_other() {
    let fabric = fabric("hold=50ns/3@ic-ivau", 3);
    let presence = Presence::new();
    let mut now = 0;
    let mut took = |core, what| {
        let ticket = fabric.post(core, what, LINE, now, &presence);
        wait(&fabric, ticket, &mut now, &presence).unwrap()
    };
    // Parked cores are the control, and nothing counts there.
    presence.enter(2, StaleState::Parked);
    assert!((0..6).all(|_| took(0, Maintenance::IcIvau) == 0));
    presence.enter(2, StaleState::Spin);
    let found = [(); 6].map(|()| took(0, Maintenance::IcIvau));
    assert_eq!(found, [0, 0, 50, 0, 0, 50]);
    // Nor what another operation or a stale core does.
    assert!((0..6).all(|_| took(0, Maintenance::DcCivac) == 0));
    assert!((0..6).all(|_| took(2, Maintenance::IcIvau) == 0));
}

#[test]
fn only_the_operation_asked_for_is_lost() {
    let losing = fabric("lose=tlbi-vmalle1is", 2);
    for what in Maintenance::ALL {
        let lost = *what == Maintenance::TlbiVmalle1is;
        assert_eq!(losing.loses(*what), lost, "{what}");
        assert!(!fabric("depth=4", 2).loses(*what), "{what}");
    }
}

#[test]
fn a_deaf_core_of_a_high_number_is_no_other() {
    let fabric = fabric("deaf=spin", 512);
    for core in [31, 32, 40, 511] {
        let presence = Presence::new();
        presence.enter(core, StaleState::Spin);
        let mut ticket = fabric.post(0, Maintenance::IcIvau, 0, 0, &presence);
        assert_eq!(fabric.poll(&mut ticket, 9, &presence), Progress::Waiting);
        assert_eq!(fabric.awaited(&ticket), CpuSet::one(core));
        presence.leave(core);
        assert_eq!(fabric.poll(&mut ticket, 10, &presence), Progress::Done);
    }
}

#[test]
fn a_place_is_one_transaction_s_from_its_first_moment_to_its_last() {
    let place = place::Place::new();
    let rules = place::Rules {
        cores: 2,
        now: 0,
        answered: &|_| 0,
        late: &|_| false,
        hears: &|_| true,
    };
    let other = || place.accept(1, |core| core == 0, &rules);
    let first = other().unwrap();
    assert_eq!(place.open(), Some((first, 1)));
    assert_eq!(other(), None, "it is taken");
    assert!(place.settle(first, &rules));
    // While its cores are written down it is nobody else's, and nobody who looks for the
    // one before frees it.
    let looks = |core| {
        assert_eq!((place.open(), other()), (None, None));
        assert!(place.settle(first, &rules));
        assert_eq!((place.open(), other()), (None, None));
        core == 1
    };
    let second = place.accept(0, looks, &rules).unwrap();
    assert_eq!(place.open(), Some((second, 0)));
}
