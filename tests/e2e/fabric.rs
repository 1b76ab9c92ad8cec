//! The positive control: with the fabric at EL2 a stale core does block
//! maintenance, and the harness must find it, name it and release it; where
//! nothing is deaf it must stay quiet.

mod matrix;

use stalecore_model::{
    fabric::{FabricOptions, MessageClass, Work},
    glossary::{Subject, Verdict},
    histogram::Histogram,
    record::Release,
    run::Run,
};

use crate::dist::Booted;

/// A TLBI that returns, as its DSB does, before it has had its effect: stores go on to a page
/// that was taken away. Where it has, none does.
#[test]
fn a_tlbi_that_returns_too_early_is_incoherent() {
    let args = "--cpus 3 --stale store-storm-pages --ops tlbi-vaae1is,tlbi-vmalle1is --samples 8 \
                --sweep off --fabric";
    let booted = Booted::new(&format!("{args} lose=tlbi-vaae1is")).ends(5, &["tlbi-vaae1is"]);
    let verdicts: Vec<_> = booted.run.cases.iter().map(|case| case.verdict).collect();
    assert_eq!(verdicts[0], Verdict::Incoherent, "{verdicts:?}");
    assert_ne!(verdicts[1], Verdict::Incoherent, "{verdicts:?}");
    let why = booted.run.cases[0].why.as_deref().unwrap_or_default();
    assert!(
        why.contains("a store still came to the page at 0x"),
        "{why}"
    );
    let booted = Booted::new(&format!("{args} early-comp=on")).ends(0, &[]);
    let looked = booted.run.notes.iter().filter(|n| n.contains("looked "));
    assert_eq!(looked.count(), 2, "{:?}", booted.run.notes);
}

#[test]
fn a_deaf_core_is_found_and_named() {
    let booted = Booted::new("--fabric deaf=spin --stale spin --ops ic-ivau --deadline-ms 1000")
        .ends(4, &["ic ivau", "address 0x", "stale, spin", "not released"]);
    let block = &booted.run.blocks[0];
    assert_eq!(block.instruction, "ic ivau");
    assert!(block.address.is_some());
    assert_eq!(block.release(), Release::None);
    // EL2 has taken a backtrace of cores that spin.
    let stale = block.cores.iter().find(|c| c.role == "stale").unwrap();
    assert!(
        stale
            .at
            .as_ref()
            .is_some_and(|at| at.contains("stale_spin+")),
        "{stale:?}"
    );
}

#[test]
fn in_a_routine_the_offset_is_the_report_s() {
    let booted =
        Booted::new("--fabric deaf=spin --stale spin --ops flush-icache-range --deadline-ms 1000")
            .ends(4, &["flush_icache_range+92"]);
    assert_eq!(booted.run.blocks[0].at, "flush_icache_range+92");
}

#[test]
fn it_does_not_cry_wolf() {
    let booted =
        Booted::new("--fabric deaf=wfe --stale spin --ops ic-ivau,flush-icache-range").ends(0, &[]);
    assert!(booted.run.blocks.is_empty());
}

#[test]
fn with_early_completion_four_are_posted() {
    let booted = Booted::new(
        "--fabric deaf=spin,early-comp=on --stale spin --deadline-ms 1000 \
         --ops ic-ivau,dsb-ish,tlbi-vmalle1is,dc-civac,ic-iallu",
    )
    .ends(4, &[]);
    let block = |op| booted.run.blocks.iter().find(|b| b.op == op);
    let posted = block(Subject::IcIvau).unwrap();
    assert_eq!(
        (posted.instruction.as_str(), posted.returned),
        ("ic ivau", 4)
    );
    // One alone completes, and the barrier behind it is what blocks.
    assert_eq!(block(Subject::DsbIsh).unwrap().instruction, "dsb ish");
    assert_eq!(block(Subject::TlbiVmalle1is).unwrap().returned, 4);
    // No DVM message, or not for other cores.
    assert!(block(Subject::DcCivac).is_none());
    assert!(block(Subject::IcIallu).is_none());
}

/// If an operation returns by itself while rungs are being tried, no rung gets the credit.
#[test]
fn what_returns_by_itself_is_told_so() {
    let args = "--stale spin --ops ic-ivau --deadline-ms 2400 --fabric deaf=spin,heal=";
    let booted =
        Booted::new(&format!("{args}5s --wait 10s")).ends(4, &["returned by itself after 5."]);
    let [block] = &booted.run.blocks[..] else {
        panic!("{:?}", booted.run.blocks);
    };
    assert_eq!(block.release(), Release::Unknown("wait"));
    assert_eq!(block.ladder.len(), 1);
    // A busy host is late, but never early.
    let us = block.waited_ms * 1000 + block.ladder[0].us;
    assert!((4_950_000..5_900_000).contains(&us), "{us} us");

    // In the second half of a rung, whose turn comes 1.6 s after the deadline.
    let booted = Booted::new(&format!("{args}4500ms --wait 1s")).ends(4, &["cause not known"]);
    let block = &booted.run.blocks[0];
    assert!(block.ladder.len() > 1, "{block:?}");
    assert!(matches!(block.release(), Release::Unknown(_)), "{block:?}");
    let words = booted
        .ended
        .out
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(!words.contains("released by"), "{words}");
}

/// After every core has been idle for a while an operation comes back late, and by
/// itself: a rung that is tried meanwhile gets no credit.
#[test]
fn what_stalls_after_a_dwell_is_found() {
    let args = "--cpus 4 --stale spin --ops ic-ivau --dwell 2s --samples 1 --deadline-ms 2400";
    let quiet = Booted::new(&format!("{args} --fabric deaf=wfe")).ends(0, &["After 2.00s"]);
    let [dwell] = &quiet.run.cases[0].dwell[..] else {
        panic!("{:?}", quiet.run.cases[0]);
    };
    assert_eq!(dwell.ms, 2000);
    assert_eq!((dwell.samples.count(), dwell.baseline.count()), (1, 1));
    assert!(quiet.took.as_secs() >= 4, "{:?}", quiet.took);

    let held = format!("{args} --fabric deaf=spin,heal=5s");
    let booted =
        Booted::new(&format!("{held} --wait 10s")).ends(4, &["returned by itself after 5."]);
    assert_eq!(booted.run.blocks[0].ladder.len(), 1);
    // On a busy host a rung's turn may come just when it heals, but not each time.
    let credited = (0..3).all(|_| {
        let booted = Booted::new(&format!("{held} --wait 1s")).ends(4, &[]);
        let block = &booted.run.blocks[0];
        assert!(block.ladder.len() > 1, "{block:?}");
        matches!(block.release(), Release::By(_))
    });
    assert!(!credited);
}

/// A node that serves nobody is distinguished from one that does not answer maintenance.
#[test]
fn what_is_no_maintenance_tells_who_does_not_answer() {
    let controls = "ldr-cold,ifetch-cold,ldr-device,stxr,ldadd,affinity-info,psci-version,sgi";
    let plan = format!(
        "--cpus 4 --stale spin --samples 4 --sweep off --deadline-ms 600 --el 2 \
         --ops ic-ivau,{controls}"
    );
    let run = |fabric: &str, says: &str| {
        let booted = Booted::new(&format!("{plan} --cpu max --fabric {fabric}"));
        booted.ends(4, &[says])
    };
    let dvm = run(
        "deaf=spin,to=dvm",
        "ldr-cold, ifetch-cold, ldr-device, stxr and ldadd, which are no maintenance, returned there",
    );
    let all = run(
        "deaf=spin,to=all",
        "not maintenance alone: the interconnect answers nobody: ldr-cold, which is no maintenance, on CPU 0",
    );
    for (booted, held) in [(&dvm, false), (&all, true)] {
        assert_eq!(booted.run.cases.len(), 9);
        for case in &booted.run.cases {
            let expected = match case.op.sends() {
                Some(MessageClass::Dvm) => true,
                Some(MessageClass::Access) => held,
                _ => false,
            };
            assert_eq!(case.verdict == Verdict::Blocked, expected, "{case:?}");
            assert!(expected || case.issue.count() > 0, "{case:?}");
        }
    }
    // What it needs may not be there.
    let skipped = |args: &str, op: Subject| {
        let booted = Booted::new(&format!("--samples 4 --sweep off --ops {op} {args}"));
        let case = &booted.run.cases[0];
        (case.verdict, case.why.clone().unwrap_or_default())
    };
    for (args, op, why) in [
        ("--stale spin --cpu cortex-a72", Subject::Ldadd, "FEAT_LSE"),
        (
            "--stale wfi-masked",
            Subject::Sgi,
            "no core takes interrupts in wfi-masked",
        ),
        ("--stale spin --el 3", Subject::PsciVersion, "no PSCI"),
    ] {
        let (verdict, said) = skipped(args, op);
        assert!(
            verdict == Verdict::Skipped && said.contains(why),
            "{op}: {verdict} {said}"
        );
    }
}

#[test]
fn snoops_go_to_cores_that_hold_the_line() {
    let booted = Booted::new(
        "--fabric deaf=spin,to=snoop --stale spin --lines cold,dirty-there,shared --deadline-ms 1000 \
         --ops ic-ivau,dc-civac",
    )
    .ends(4, &[]);
    for case in &booted.run.cases {
        let held = case.line.needs_stale_core() && case.op == Subject::DcCivac;
        assert_eq!(case.verdict == Verdict::Blocked, held, "{case:?}");
    }
}

#[test]
fn a_fault_is_told_apart_from_a_block() {
    let booted =
        Booted::new("--fabric fault=ic-ivau --stale spin --ops ic-ivau,flush-icache-range")
            .ends(3, &["ESR 0x96000147"]);
    assert!(booted.run.blocks.is_empty());
    let routine = booted
        .run
        .faults
        .iter()
        .find(|f| f.op == Subject::FlushIcacheRange)
        .unwrap();
    assert_eq!(routine.returned, -14, "-EFAULT");
    assert_eq!(routine.at, "flush_icache_range+92");
    assert_ne!(routine.far.0, 0);
}

#[test]
fn late_answers_are_slowed_and_grow_with_the_cores_as_the_model_says() {
    for cpus in [4_u32, 16, 64] {
        // With a clock that counts instructions, so that the comparison is about the
        // fabric, and not about how busy the host was.
        let booted = Booted::new(&format!(
            "--icount --fabric delay=50us --stale wfi-masked --ops ic-ivau,ic-iallu --samples 16 \
             --max-slowdown 2 --cpus {cpus} --sweep off"
        ))
        .ends(1, &["Made by the fabric, a model: delayed: "]);
        let case = |op| booted.run.cases.iter().find(|c| c.op == op).unwrap();
        let ivau = case(Subject::IcIvau);
        assert_eq!(ivau.verdict, Verdict::Slowed, "{cpus} CPUs: {ivau:?}");
        let us = |histogram| median_us(&booted.run, histogram);
        let expected = expected_us("delay=50us", cpus);
        let (found, control) = (us(&ivau.issue), us(&ivau.base_issue));
        assert!(
            found.abs_diff(expected) * 5 <= expected,
            "{cpus} CPUs: {found} us, {expected} expected"
        );
        assert!(control * 2 < expected, "{cpus} CPUs: baseline {control} us");
        // Local: no message, no answer.
        let local = us(&case(Subject::IcIallu).issue);
        assert!(local * 2 < expected, "{cpus} CPUs: ic iallu {local} us");
    }
}

#[test]
fn late_answers_are_seen_by_the_real_clock_too() {
    let booted = Booted::new(
        "--fabric delay=500us --stale wfi-masked --ops ic-ivau --samples 32 --max-slowdown 2 \
         --cpus 8 --sweep off",
    )
    .ends(1, &["Made by the fabric, a model: delayed: "]);
    let case = &booted.run.cases[0];
    assert_eq!(case.verdict, Verdict::Slowed, "{case:?}");
    // A busy host makes it later still, never earlier.
    assert!(median_us(&booted.run, &case.issue) >= expected_us("delay=500us", 8));
}

/// What the fabric adds to one message, in microseconds. One answer after the
/// other: of all cores but initiator and sentinel, which answer at once, as all
/// do in the baseline.
fn expected_us(fabric: &str, cpus: u32) -> u64 {
    FabricOptions::parse(fabric)
        .unwrap()
        .expected_latency_ns(Work {
            class: MessageClass::Dvm,
            answers: cpus - 2,
            batch: 1,
            barrier: false,
        })
        / 1000
}

fn median_us(run: &Run, histogram: &Histogram) -> u64 {
    let hz = run.machine.as_ref().unwrap().counter_hz;
    histogram.quantile(500).unwrap() * 1_000_000 / hz
}

#[test]
fn a_core_is_late_only_when_it_is_stuck() {
    let booted = Booted::new(
        "--fabric delay=1ms --stale parked --ops ic-ivau --samples 16 --sweep off --cpus 4",
    )
    .ends(0, &[]);
    let median = median_us(&booted.run, &booted.run.cases[0].issue);
    assert!(median < 1000, "{median} us");
}

#[test]
fn the_harness_does_not_take_its_own_maintenance_for_what_it_tests() {
    // That of the flight recorder's memory comes before there is a fabric.
    let booted = Booted::new("--fabric fault=dc-civac --stale spin --ops dc-civac").ends(3, &[]);
    assert_eq!(booted.run.faults[0].op, Subject::DcCivac);
}

#[test]
fn where_no_search_is_possible_it_says_why() {
    let booted = Booted::new(
        "--fabric deaf=never-started --stale never-started --ops ic-ivau --bisect --cpus 4 \
         --deadline-ms 1000",
    )
    .ends(4, &[]);
    let found = &booted.run.bisections[0];
    assert_eq!((found.complete, found.trials), (false, 0));
    assert!(found.why.as_ref().unwrap().contains("started but once"));
}

#[test]
fn the_one_culprit_is_found_and_what_released_it() {
    let booted = Booted::new(
        "--fabric deaf=ticket-lock@11,heal=unlock --cpus 16 --stale ticket-lock --bisect \
         --ops ic-ivau,tlbi-vmalle1is --deadline-ms 1000",
    )
    .ends(4, &["released by: unlock", "CPU 11"]);
    let [first, second] = &booted.run.bisections[..] else {
        panic!("{:?}", booted.run.bisections)
    };
    for (found, block) in [first, second].into_iter().zip(&booted.run.blocks) {
        assert_eq!(block.release(), Release::By("unlock"));
        let culprits: Vec<_> = found.culprits.iter().map(ToString::to_string).collect();
        assert!(found.complete && culprits == ["11"], "{found:?}");
    }
    assert!(first.trials <= 8, "{} trials", first.trials);
    // Who blocked one operation is tried first for the next: alone, and all but.
    assert_eq!(second.trials, 2);
}

/// Answers so late that 64 samples of a class take more than its time.
#[test]
fn a_class_has_its_time_and_what_was_cut_is_said() {
    // By a clock that counts instructions, 64 ns each: a busy host changes nothing.
    let plan = "--icount --qemu-arg=-icount --qemu-arg=shift=6 --cpus 4 --stale wfi-masked \
                --ops ic-ivau --sweep off";
    let booted = Booted::new(&format!("{plan} --fabric delay=50ms")).ends(0, &[]);
    let case = &booted.run.cases[0];
    assert!(booted.says_fewer_samples(), "{:?}", booted.run.notes);
    for class in [&case.issue, &case.complete] {
        assert!((16..64).contains(&class.count()), "{}", class.count());
    }
    let booted = Booted::new(&format!("{plan} --fabric delay=1us")).ends(0, &[]);
    assert!(!booted.says_fewer_samples(), "{:?}", booted.run.notes);
    assert_eq!(booted.run.cases[0].issue.count(), 64);
}

/// However late it is, what returns within the deadline is not blocked, and a console
/// that only waits for it is not silent.
#[test]
fn as_late_as_it_can_be_without_a_block_is_slowed() {
    let booted = Booted::new(
        "--cpus 4 --stale spin --ops ic-ivau --samples 16 --max-slowdown 2 --fabric delay=250ms",
    )
    .ends(1, &["Made by the fabric, a model: delayed: "]);
    let case = &booted.run.cases[0];
    assert_eq!(case.verdict, Verdict::Slowed, "{case:?}");
    assert!(booted.says_fewer_samples(), "{:?}", booted.run.notes);
    for class in [&case.issue, &case.complete] {
        assert!((1..16).contains(&class.count()), "{}", class.count());
    }
    // Nothing tells one operation of a depth from the next.
    let deepest = case.sweep.iter().map(|depth| depth.depth).max();
    assert!(deepest.is_none_or(|depth| depth <= 2), "{:?}", case.sweep);
    assert!(booted.console().contains("# case 1 goes on"));
}

/// Nothing tells one operation of a depth from the next, so all of them together
/// must stay well within the deadline: 8 take 90 ms here, 16 would take 170.
#[test]
fn a_depth_that_would_look_blocked_is_left_out() {
    let plan = "--icount --qemu-arg=-icount --qemu-arg=shift=6 --cpus 4 --stale wfi-masked \
                --ops ic-ivau --samples 16 --deadline-ms 240";
    for (delay, deepest, cut) in [("5ms", 8, true), ("1us", 512, false)] {
        let booted = Booted::new(&format!("{plan} --fabric delay={delay}")).ends(0, &[]);
        let last = booted.run.cases[0].sweep.last().map(|depth| depth.depth);
        assert_eq!((last, booted.says_fewer_samples()), (Some(deepest), cut));
    }
}

/// Four operations are posted before one is held up, so a trial should repeat more
/// often than it has time for.
#[test]
fn a_trial_that_was_cut_proves_nothing() {
    let booted = Booted::new(
        "--cpus 6 --stale spin --ops ic-ivau --sweep off --bisect --deadline-ms 2000 \
         --fabric deaf=spin@4,early-comp=on,delay=250ms",
    )
    .ends(4, &[]);
    assert_eq!(booted.run.blocks[0].returned, 4);
    let found = &booted.run.bisections[0];
    assert!(!found.complete && found.culprits.is_empty(), "{found:?}");
    assert!(found.why.as_ref().unwrap().contains("was over before"));
}

/// Sixteen samples that take longer than a class has, except in a trial, whose result
/// depends on them. By a clock that counts instructions, as above.
#[test]
fn a_trial_has_the_time_that_it_needs() {
    let booted = Booted::new(
        "--icount --qemu-arg=-icount --qemu-arg=shift=6 --cpus 5 --stale wfi-masked --ops ic-ivau \
         --sweep off --bisect --fabric deaf=wfi-masked@2,delay=200ms",
    )
    .ends(4, &["CPU 2"]);
    let found = &booted.run.bisections[0];
    let culprits: Vec<_> = found.culprits.iter().map(ToString::to_string).collect();
    assert!(found.complete && culprits == ["2"], "{found:?}");
}
