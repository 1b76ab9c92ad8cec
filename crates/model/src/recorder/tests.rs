//! The recorder, its reader, and what a reset at any moment leaves in it.

use super::*;
use crate::{
    glossary::Subject,
    mark::{Phase, Site},
};
use alloc::{string::ToString, vec, vec::Vec};
use core::sync::atomic::AtomicUsize;
use proptest::prelude::*;

fn nothing() {}

fn seen(sequence: u64) -> Seen {
    Seen {
        sequence,
        site: Some(Site {
            offset: 92,
            ..Site::of(Subject::IcIvau, Phase::Step)
        }),
        address: 0x4000_1000,
        returned: 3,
    }
}

fn flight(case: u32, sequence: u64) -> Flight {
    Flight {
        case,
        cpu: 24,
        seen: seen(sequence),
        still_ms: 0,
        at: 0,
    }
}

fn texts(log: Log<'_>) -> Vec<(Kind, String)> {
    log.entries().map(|(k, t)| (k, t.to_string())).collect()
}

#[test]
fn what_was_written_is_read_and_gone_on_with() {
    let mut bytes = vec![0xa5; SIZE];
    assert!(Log::read(&bytes).unwrap().is_none());
    let mut recorder = Recorder::create(&mut bytes, "ops=ic-ivau", nothing).unwrap();
    assert!(recorder.append(Kind::Boot, ""));
    assert!(recorder.append(Kind::Record, "{\"n\":1}"));
    recorder.set_in_flight(Some(&flight(7, 41)));
    let log = Log::read(&bytes).unwrap().unwrap();
    assert_eq!(log.plan(), "ops=ic-ivau");
    assert_eq!(log.flight(), Some(flight(7, 41)));
    assert_eq!(
        (log.damage(), log.ended(), log.idle_boots()),
        (None, false, 0)
    );
    let mut recorder = Recorder::resume(&mut bytes, nothing).unwrap().unwrap();
    recorder.append(Kind::Boot, "");
    recorder.set_in_flight(None);
    assert_eq!(recorder.log().flight(), None);
    assert_eq!(recorder.log().idle_boots(), 1);
    recorder.append(Kind::End, "");
    assert!(recorder.log().ended());
    let kinds: Vec<_> = recorder.log().entries().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Boot, Kind::Record, Kind::Boot, Kind::End]);
    let own: Vec<_> = recorder.this_boot().map(|(kind, _)| kind).collect();
    assert_eq!(own, [Kind::Boot, Kind::End]);
    // A new plan begins with nothing of the old one.
    let recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    assert_eq!(texts(recorder.log()), []);
    assert_eq!(recorder.log().flight(), None);
}

/// Found by `make fuzz`: a checksum can be right where nothing else is.
#[test]
fn a_count_of_flights_that_is_at_its_end_goes_on() {
    let mut bytes = vec![0; SIZE];
    Recorder::create(&mut bytes, "", nothing).unwrap();
    let slot = FLIGHTS[0];
    bytes[slot..slot + 64].fill(0xff);
    let sum = check(&[u64::MAX; Flight::WORDS]);
    bytes[slot + 64..slot + 72].copy_from_slice(&sum.to_le_bytes());
    let mut recorder = Recorder::resume(&mut bytes, nothing).unwrap().unwrap();
    recorder.set_in_flight(Some(&flight(7, 41)));
    assert_eq!(recorder.log().flight(), Some(flight(7, 41)));
}

/// A boot that took a second, then one in which the counter went on.
fn reset(entered_ms: u64) -> Reset {
    Reset {
        by_watchdog: false,
        entered: entered_ms * 1000,
        first_entered: Some(1_000_000),
        hz: 1_000_000,
        deadline_ms: 2000,
    }
}

#[test]
fn a_reset_proves_a_block_only_where_the_mark_had_stood_still() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    let mut after = |flight: &Flight, reset: &Reset| {
        recorder.set_in_flight(Some(flight));
        recorder.log().flight().unwrap().after(reset)
    };
    let moving = flight(7, 41);
    let AfterReset::Inconclusive(why) = after(&moving, &reset(0)) else {
        panic!("a hand may have reset it");
    };
    assert!(why.starts_with("reset while running: "), "{why}");
    assert!(
        why.contains("ic_ivau+92") || why.contains("ic ivau+92"),
        "{why}"
    );
    // The watchdog's word, and the sentinel's.
    let watchdog = Reset {
        by_watchdog: true,
        ..reset(0)
    };
    assert!(matches!(after(&moving, &watchdog), AfterReset::Blocked(_)));
    let still = Flight {
        still_ms: 2400,
        ..moving
    };
    let AfterReset::Blocked(why) = after(&still, &reset(0)) else {
        panic!("it stood still");
    };
    assert!(why.contains("still for 2400 ms when"), "{why}");
    // The counter's: written at 10 s; two boots and the deadline later it is known.
    let written = Flight {
        at: 10_000_000,
        ..moving
    };
    for (entered_ms, proved) in [(13_999, false), (14_000, true), (9_000, false)] {
        let found = after(&written, &reset(entered_ms));
        assert_eq!(matches!(found, AfterReset::Blocked(_)), proved, "{found:?}");
    }
    // Not where the boot took unknown time, or between two operations.
    let unknown = Reset {
        first_entered: None,
        ..reset(90_000)
    };
    assert!(matches!(
        after(&written, &unknown),
        AfterReset::Inconclusive(_)
    ));
    let between = Flight {
        seen: seen(42),
        ..written
    };
    assert!(matches!(
        after(&between, &reset(90_000)),
        AfterReset::Inconclusive(_)
    ));
    recorder.set_in_flight(Some(&still));
    assert!(recorder.log().to_text().contains("still for 2400 ms"));
}

#[test]
fn a_full_one_keeps_what_it_has() {
    let mut bytes = vec![0; 2 * JOURNAL];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    let mut fit = 0;
    while recorder.append(Kind::Record, "0123456789") {
        fit += 1;
    }
    // 8 and 11 bytes, rounded up, and the end behind the last.
    assert_eq!(fit, (JOURNAL - 8) / 24);
    assert!(!recorder.append(Kind::End, ""), "a shorter one came after");
    assert_eq!(recorder.log().damage(), None);
    assert_eq!(recorder.log().entries().count(), fit);
    let long = "x".repeat(JOURNAL);
    assert!(Recorder::create(&mut bytes, &long, nothing).is_err());
}

#[test]
fn the_trials_of_one_case() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    let trial = |case, tried: &str, blocked| Trial {
        case,
        tried: CpuSet::parse(tried).unwrap(),
        blocked,
    };
    let all = [
        trial(3, "1-3,5", None),
        trial(3, "1-3,5", Some(true)),
        trial(4, "1", Some(true)),
        trial(3, "1", None),
    ];
    for trial in &all {
        assert_eq!(Trial::parse(&trial.to_text()), Some(*trial));
        recorder.append(Kind::Trial, &trial.to_text());
    }
    assert_eq!(recorder.log().trials(3), [all[1], all[3]]);
    assert_eq!(Trial::parse("3 1 maybe"), None);
}

#[test]
fn in_the_middle_of_the_largest_memory() {
    let mut platform = crate::platform::tests::machine(
        vec![
            Region {
                base: 0,
                size: 64 << 20,
            },
            Region {
                base: 1 << 30,
                size: 1 << 30,
            },
        ],
        vec![],
    );
    let middle = Region {
        base: 3 << 29,
        size: SIZE as u64,
    };
    assert_eq!(place(&platform, &[]), Some(middle));
    let behind = Region {
        base: middle.base + ALIGN,
        ..middle
    };
    assert_eq!(place(&platform, &[middle]), Some(behind));
    platform.recorder = Some(0x5000_0000);
    assert_eq!(place(&platform, &[]).unwrap().base, 0x5000_0000);
}

#[test]
fn a_file_is_written_once_for_what_was_found() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "stale=spin", nothing).unwrap();
    recorder.append(Kind::Boot, "");
    recorder.append(Kind::Context, "{\"machine\":1}");
    assert!(!recorder.log().is_worth_saving());
    recorder.set_in_flight(Some(&flight(2, 41)));
    assert!(recorder.log().is_worth_saving());
    recorder.append(Kind::Record, "{\"case\":1}");
    assert_eq!(
        recorder.log().to_text(),
        "stalecore: flight recorder of: stale=spin\nstalecore: boot\n# {\"machine\":1}\n# {\"case\":1}\n\
         stalecore: in flight when the machine was reset: case 2 on CPU 24, at ic ivau+92, address 0x40001000\n"
    );
    recorder.append(Kind::Saved, "");
    recorder.set_in_flight(None);
    assert!(!recorder.log().is_worth_saving());
    recorder.append(Kind::Boot, "");
    recorder.append(Kind::Saved, "");
    assert_eq!(
        recorder.log().idle_boots(),
        1,
        "it had found something before"
    );
    recorder.append(Kind::Trial, "2 1 begun");
    assert!(recorder.log().is_worth_saving());
}

#[test]
fn what_was_about_to_be_done_last_is_known() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "stale=spin", nothing).unwrap();
    recorder.append(Kind::Boot, "");
    assert_eq!(recorder.log().begun(), None);
    recorder.append(Kind::Step, "a load");
    assert_eq!(recorder.log().begun(), Some("a load"));
    // The next boot goes on, and has found nothing yet.
    recorder.append(Kind::Boot, "");
    assert_eq!(recorder.log().begun(), Some("a load"));
    assert_eq!(recorder.log().idle_boots(), 2);
    let text = recorder.log().to_text();
    assert!(
        text.contains("\nstalecore: about to do: a load\n"),
        "{text}"
    );
    // It returned.
    recorder.append(Kind::Record, "{\"witness\":1}");
    assert_eq!(recorder.log().begun(), None);
}

#[test]
fn a_loader_looks_in_the_middle_first() {
    let region = |base, size| Region { base, size };
    let mib = 1 << 20;
    assert_eq!(
        candidates(&[region(0x4000_0000, 128 * mib)], None),
        [0x4400_0000, 0x4200_0000, 0x4600_0000, 0x4000_0000]
    );
    // The last that fits, and not one byte beyond.
    assert_eq!(candidates(&[region(31 * mib, 2 * mib)], None), [32 * mib]);
    let small = [region(31 * mib, 2 * mib - 1), region(u64::MAX - 1, 1)];
    assert!(candidates(&small, None).is_empty());
    // Where memory begins at 0, a reference to there would be none.
    assert_eq!(candidates(&[region(0, 64 * mib)], None), [32 * mib]);
    assert!(candidates(&[region(0, mib / 2)], None).is_empty());
    // Not where Linux keeps its logs, nor over their edge.
    let free = [region(0x4000_0000, 128 * mib)];
    let beside = |base, size| candidates(&free, Some(region(base, size)));
    assert_eq!(
        beside(0x4400_0000 + mib - 1, 4096),
        [0x4200_0000, 0x4000_0000, 0x4600_0000]
    );
    assert_eq!(beside(0x4400_0000 + mib, mib)[0], 0x4400_0000);
}

/// What is written, as a reset sees it: byte by byte.
#[derive(Clone, Debug)]
enum Step {
    Append(String),
    Fly(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        "[ -~]{0,40}".prop_map(Step::Append),
        (1..1000_u32).prop_map(Step::Fly),
    ];
    prop::collection::vec(step, 1..12)
}

fn write(recorder: &mut Recorder<'_>, step: &Step) {
    match step {
        Step::Append(text) => assert!(recorder.append(Kind::Record, text)),
        Step::Fly(case) => recorder.set_in_flight(Some(&flight(*case, 1))),
    }
}

proptest! {
    /// A reset between two stores of the last step: everything before is there,
    /// and the last step is there whole or not at all.
    #[test]
    fn a_reset_at_any_moment_loses_at_most_the_last_step(steps in steps(), cut in 0.0..1.0_f64) {
        let mut bytes = vec![0; 3 * JOURNAL];
        let mut recorder = Recorder::create(&mut bytes, "plan", nothing).unwrap();
        let (last, before) = steps.split_last().unwrap();
        for step in before {
            write(&mut recorder, step);
        }
        let old = recorder.bytes.to_vec();
        let (old_texts, old_flight) = (texts(recorder.log()), recorder.log().flight());
        write(&mut recorder, last);
        let (new_texts, new_flight) = (texts(recorder.log()), recorder.log().flight());
        let new = recorder.bytes.to_vec();
        // Stores before a barrier may arrive in any order, but the last word only
        // after all others. Cut within the others, then with the word too.
        let changed: Vec<usize> = (0..new.len()).filter(|at| new[*at] != old[*at]).collect();
        let valid: Vec<usize> = match last {
            Step::Append(_) => {
                let at = changed.iter().copied().find(|at| *at >= JOURNAL).unwrap_or(0) & !3;
                (at..at + 4).collect()
            }
            Step::Fly(_) => FLIGHTS.iter().flat_map(|slot| {
                let sum = slot + Flight::WORDS * 8;
                sum..sum + 8
            }).collect(),
        };
        let payload: Vec<usize> = changed.into_iter().filter(|at| !valid.contains(at)).collect();
        let mut torn = old;
        for at in &payload[..(payload.len() as f64 * cut) as usize] {
            torn[*at] = new[*at];
        }
        let log = Log::read(&torn).unwrap().unwrap();
        prop_assert_eq!(texts(log), old_texts);
        prop_assert_eq!(log.damage(), None);
        if matches!(last, Step::Append(_)) {
            prop_assert_eq!(log.flight(), old_flight);
        } else {
            prop_assert!(log.flight() == old_flight || log.flight() == new_flight);
        }
        let log = Log::read(&new).unwrap().unwrap();
        prop_assert_eq!(texts(log), new_texts);
        prop_assert_eq!(log.flight(), new_flight);
    }

    /// A bit that has changed is noticed, wherever it is in what is read.
    #[test]
    fn a_changed_bit_is_never_taken_for_a_record(steps in steps(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = vec![0; 2 * JOURNAL];
        let mut recorder = Recorder::create(&mut bytes, "the plan", nothing).unwrap();
        for step in &steps {
            write(&mut recorder, step);
        }
        let (whole, flight) = (texts(recorder.log()), recorder.log().flight());
        let end = recorder.end + 4;
        bytes[at.index(end)] ^= 1 << bit;
        match Log::read(&bytes) {
            Err(why) => prop_assert!(why.contains("damaged") || why.contains("version"), "{}", why),
            Ok(None) => prop_assert!(at.index(end) < 8),
            Ok(Some(log)) => {
                let found = texts(log);
                prop_assert!(whole.starts_with(&found));
                prop_assert!(found.len() == whole.len() || log.damage().is_some());
                let newest = log.flight();
                prop_assert!(newest == flight || at.index(end) < PLAN);
                prop_assert_eq!(log.plan(), "the plan");
            }
        }
    }

    #[test]
    fn any_bytes_can_be_read(mut bytes in prop::collection::vec(any::<u8>(), 0..9000), magic in any::<bool>()) {
        if magic && bytes.len() > HEADER {
            bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
            let sum = CRC.checksum(&bytes[..HEADER - 4]);
            bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
        }
        if let Ok(Some(log)) = Log::read(&bytes) {
            let _ = (log.flight(), log.entries().count(), log.damage());
        }
    }
}

#[test]
fn a_plan_has_room_up_to_the_journal() {
    let mut bytes = vec![0; 2 * JOURNAL];
    let plan = "x".repeat(JOURNAL - PLAN);
    Recorder::create(&mut bytes, &plan, nothing).unwrap();
    let log = Log::read(&bytes).unwrap().unwrap();
    assert_eq!((log.plan(), log.entries().count()), (&*plan, 0));
    let error = Recorder::create(&mut bytes, &(plan + "x"), nothing).unwrap_err();
    assert!(
        error.contains("a plan of 3840 bytes") && error.contains("this plan has 3841"),
        "{error}"
    );
    // The smallest region, and one that is too small.
    let (small, _) = bytes.split_at_mut(2 * JOURNAL - 8);
    let error = Recorder::create(small, "", nothing).unwrap_err();
    assert!(
        error.contains("in 8192 or more") && error.contains("there are 8184"),
        "{error}"
    );
}

#[test]
fn the_last_entry_may_end_where_the_region_does() {
    let mut bytes = vec![0; 2 * JOURNAL];
    // Its head and its kind, and the end behind it.
    let longest = "x".repeat(JOURNAL - ENTRY_HEAD - 1 - ENTRY_HEAD);
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    assert!(!recorder.append(Kind::Record, &format!("{longest}x")));
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    assert!(recorder.append(Kind::Record, &longest));
    assert_eq!(texts(recorder.log()), [(Kind::Record, longest)]);
    assert_eq!(recorder.log().damage(), None);
}

#[test]
fn words_are_not_written_between_two_words() {
    let mut bytes = vec![0; SIZE + 16];
    let odd = bytes.as_ptr().align_offset(WORD) + 1;
    let bytes = &mut bytes[odd..odd + SIZE];
    let error = Recorder::create(bytes, "", nothing).unwrap_err();
    assert!(error.ends_with("between two words"), "{error}");
    let error = Recorder::resume(bytes, nothing).unwrap_err();
    assert!(error.ends_with("between two words"), "{error}");
}

/// Without it a reset could leave what makes a piece valid, and not the piece.
#[test]
fn a_barrier_is_before_and_behind_what_makes_a_piece_valid() {
    static BARRIERS: AtomicUsize = AtomicUsize::new(0);
    fn barrier() {
        BARRIERS.fetch_add(1, Ordering::Relaxed);
    }
    let passed = || BARRIERS.swap(0, Ordering::Relaxed);
    let mut bytes = vec![0; 2 * JOURNAL];
    let mut recorder = Recorder::create(&mut bytes, "", barrier).unwrap();
    assert_eq!(passed(), 3, "the magic goes first, and comes last");
    recorder.append(Kind::Record, "1");
    assert_eq!(passed(), 2);
    recorder.set_in_flight(Some(&flight(7, 41)));
    assert_eq!(passed(), 2);
}

#[test]
fn a_mark_that_is_followed_is_a_flight() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    let expected = Flight {
        at: 4711,
        ..flight(7, 41)
    };
    let seen = expected.seen;
    let site = seen.site.map(Site::pack).unwrap();
    let mark = [seen.sequence, site, seen.address, seen.returned];
    recorder.follow(expected.case, expected.cpu, mark, expected.at);
    assert_eq!(recorder.log().flight(), Some(expected));
}

#[test]
fn each_bit_of_a_flight_is_checked() {
    let words = [1, 24 << 32 | 7, 41, u64::MAX, 0x4000_1000, 3, 0, 4711];
    for nth in 0..words.len() {
        for bit in 0..u64::BITS {
            let mut changed = words;
            changed[nth] ^= 1 << bit;
            assert_ne!(check(&changed), check(&words), "bit {bit} of word {nth}");
        }
    }
}

#[test]
fn a_trial_that_returned_takes_the_place_of_its_beginning() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    for text in ["3 1-2 begun", "3 1-2 returned", "3 1-2 returned twice"] {
        recorder.append(Kind::Trial, text);
    }
    let returned = Trial {
        case: 3,
        tried: CpuSet::parse("1-2").unwrap(),
        blocked: Some(false),
    };
    assert_eq!(recorder.log().trials(3), [returned]);
}

#[test]
fn the_boot_that_began_the_plan_says_when_it_was_entered() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    assert_eq!(recorder.log().first_entered(), None);
    recorder.append(Kind::Context, "7");
    recorder.append(Kind::Boot, "4711");
    recorder.append(Kind::Boot, "9000");
    assert_eq!(recorder.log().first_entered(), Some(4711));
}

#[test]
fn a_trial_that_was_begun_stays_where_another_is_begun() {
    let mut bytes = vec![0; SIZE];
    let mut recorder = Recorder::create(&mut bytes, "", nothing).unwrap();
    for text in ["3 1-2 begun", "3 1 begun", "3 1 blocked"] {
        recorder.append(Kind::Trial, text);
    }
    let trials: Vec<_> = recorder
        .log()
        .trials(3)
        .iter()
        .map(Trial::to_text)
        .collect();
    assert_eq!(trials, ["3 1-2 begun", "3 1 blocked"]);
}
