//! What must be seen: the image in QEMU, from the plan to the verdict.

use std::process::Command;

use stalecore_model::{
    glossary::{StaleState, Subject, Verdict},
    histogram::Histogram,
    ktap::Ktap,
    record::Hex,
    rounds::ROUNDS,
    run::TcgThread,
};

use crate::{
    dist::{Booted, built},
    fake::Ended,
    host::alone,
};

#[test]
fn a_default_run() {
    let booted = Booted::new("").ends(0, &["about the harness only", "flush-icache-range"]);
    let run = &booted.run;
    let subjects: Vec<_> = Subject::default_set().collect();
    for state in StaleState::default_set() {
        for subject in &subjects {
            let case = run
                .cases
                .iter()
                .find(|c| c.op == *subject && c.state == state);
            let verdict = case.map(|c| c.verdict);
            assert!(
                matches!(verdict, Some(Verdict::Completed | Verdict::Slowed)),
                "{subject} under {state}: {verdict:?}"
            );
        }
        assert!(
            booted
                .ended
                .out
                .contains(state.name().rsplit('-').next().unwrap()),
            "{state}"
        );
    }
    assert_eq!(run.garbled, 0);
    // Each record has its number and checksum, and none is missing.
    assert_eq!((run.unchecked, run.lost.len()), (0, 0));
    for line in booted.ended.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // Boards have a slow line. A busy host spreads the samples over more buckets,
    // so on a quiet one there is room to spare. A board has one boot, and here there are
    // two, of which the second says some things again.
    assert_eq!(run.tcg_thread, Some(TcgThread::Split));
    let log = booted.console();
    let (_, second) = log.split_once("stalecore: exit 0").unwrap();
    let again = second.find("{\"group\"").unwrap() as u64;
    assert!((1..4 << 10).contains(&again), "{again} bytes come again");
    let bytes = run.console_bytes - again;
    assert!(bytes < 100 << 10, "the console has {bytes} bytes");
    assert!(booted.ended.out.contains("at 115200 baud"));
    // Two runs never have the same medians; this one's are real.
    let medians: std::collections::BTreeSet<_> =
        run.cases.iter().map(|c| c.complete.quantile(500)).collect();
    assert!(medians.len() > 10);
}

/// The states that a run only has by name: entered, proved, left.
#[test]
fn the_states_that_come_by_name() {
    let by_name = StaleState::ALL.iter().filter(|s| !s.is_default());
    let names: Vec<_> = by_name.map(|s| s.name()).collect();
    let booted = Booted::new(&format!(
        "--cpus 5 --ops ic-ivau,tlbi-vale1is,flush-icache-range,stxr --samples 8 --sweep off --allow all --stale {}",
        names.join(",")
    ))
    .ends(0, &[]);
    assert_eq!(booted.run.cases.len(), 4 * names.len());
    for case in &booted.run.cases {
        let ran = matches!(case.verdict, Verdict::Completed | Verdict::Slowed);
        // The others need EL2, or firmware that QEMU does not have.
        let staged = !matches!(
            case.state,
            StaleState::DeviceStuck | StaleState::SdeiParked | StaleState::CpuSuspendPowerdown
        );
        assert!(ran == staged && (ran || case.why.is_some()), "{case:?}");
    }
    // Where EL2 stages it, a core in it takes no interrupt, and comes back.
    let booted =
        Booted::new("--cpus 4 --fabric depth=4 --stale device-stuck --allow device-stuck --ops ic-ivau,sgi --sweep off")
            .ends(0, &["1 was skipped"]);
    let found: Vec<_> = booted.run.cases.iter().map(|c| c.verdict).collect();
    assert!(
        matches!(
            found[..],
            [Verdict::Completed | Verdict::Slowed, Verdict::Skipped]
        ),
        "{found:?}"
    );
    // A device that answers a load, and an address at which nothing does: nobody is stuck.
    for (at, why) in [
        ("0x9010000", "is answered"),
        ("0xa100000", "takes an exception"),
    ] {
        let args = format!(
            "--cpus 3 --stale device-stuck --allow device-stuck --device-stuck-at {at} --ops ic-ivau"
        );
        let case = Booted::new(&args).ends(6, &[]).run.cases.remove(0);
        assert_eq!(case.verdict, Verdict::Skipped);
        let told = case.why.unwrap_or_default();
        assert!(told.contains(at) && told.contains(why), "{told}");
    }
    // Where nothing turns cores off, there is nothing to bring up.
    let booted = Booted::new("--el 3 --ops ic-ivau --stale cpu-on-inflight").ends(6, &[]);
    let case = &booted.run.cases[0];
    assert_eq!(case.verdict, Verdict::Skipped);
    assert!(
        case.why
            .as_deref()
            .is_some_and(|why| why.contains("no PSCI"))
    );
}

/// EL2's own maintenance, with EL1's stage 2 on: it runs, by EL2's vectors and by the
/// fabric. Another barrier than the kernel's is what is waited in.
#[test]
fn what_el2_issues_and_another_barrier() {
    let plan = "--cpus 3 --ops ic-ivau,tlbi-alle2is,tlbi-vmalls12e1is --stale mmu-off,spin \
                --samples 8 --sweep off --stage2 on --dsb osh";
    let run = Booted::new(plan).ends(0, &[]).run;
    let ran = |v| matches!(v, Verdict::Completed | Verdict::Slowed);
    assert!(run.cases.iter().all(|case| ran(case.verdict)));
    assert!(run.plan.unwrap().options.unwrap().contains("stage2=on"));
    let fabric = format!("{plan} --fabric deaf=spin,early-comp=on,heal=sev");
    let run = Booted::new(&fabric).ends(4, &["dsb osh"]).run;
    assert_eq!(run.blocks.len(), 3);
    // Entered at EL1, the image has neither.
    let run = Booted::new("--el 1 --cpus 3 --ops none,tlbi-alle2is --stale spin")
        .ends(0, &[])
        .run;
    assert_eq!(run.cases[1].verdict, Verdict::Skipped);
}

#[test]
fn the_report_s_machine() {
    let booted = Booted::new(
        "--cpus 128 --initiators 24 --stale spin --stale-cpus 0-23,25-126 \
         --ops ic-ivau,dc-civac,flush-icache-range",
    )
    .ends(0, &["ic-ivau", "dc-civac", "flush-icache-range"]);
    let machine = booted.run.machine.unwrap();
    // QEMU splits the redistributors at 123.
    assert_eq!(
        (machine.cpus, machine.gicr_regions, machine.sentinel),
        (128, 2, Some(127))
    );
}

#[test]
fn a_hang_is_blocked_and_every_core_named() {
    let booted = Booted::new("--ops ic-ivau,selftest-hang --stale spin").ends(
        4,
        &[
            "selftest_hang+",
            "CPU 0",
            "CPUs 1-6: stale, spin",
            "CPU 7: sentinel",
            "address 0x",
        ],
    );
    let block = &booted.run.blocks[0];
    assert_eq!((block.op, block.initiator), (Subject::SelftestHang, 0));
    assert!(block.address.is_some_and(|a| a != Hex(0)));
    assert!(block.waited_ms >= u64::from(booted.run.plan.unwrap().deadline_ms));
    // What had ended is kept.
    let kept = booted
        .run
        .cases
        .iter()
        .find(|c| c.op == Subject::IcIvau)
        .unwrap();
    // A busy host may slow it.
    assert!(matches!(kept.verdict, Verdict::Completed | Verdict::Slowed));
    assert!(kept.complete.count() > 0);
}

#[test]
fn the_other_self_tests() {
    let faulted = Booted::new("--ops selftest-fault --stale spin").ends(3, &["ESR 0x"]);
    let fault = &faulted.run.faults[0];
    assert_eq!(fault.esr.0 >> 26, 0x25, "no data abort: {:?}", fault.esr);
    Booted::new("--ops selftest-stale --stale spin").ends(5, &["incoherent"]);
    Booted::new("--ops selftest-slow --stale spin --max-slowdown 2")
        .ends(1, &["Made by a self-test: delayed: "]);
    Booted::new("--ops selftest-slow --stale spin").ends(0, &["With a self-test: not blocked: "]);
    // Under every state: also that of cores on their way out.
    Booted::new("--ops selftest-slow,selftest-stale --max-slowdown 2 --samples 8").ends(5, &[]);
    Booted::new("--ops selftest-hang --stale spin --expect blocked").ends(0, &["As expected"]);
    Booted::new("--ops ic-ivau --stale spin --expect blocked").ends(1, &["Not as expected"]);
    Booted::new("--ops selftest-unseen --stale spin")
        .ends(6, &["inconclusive", "saw no operation"]);
    // The same instructions are fine if nothing else can be expected of them.
    Booted::new("--ops flush-icache-range-idc-dic --stale spin").ends(0, &[]);
    // Nobody to be stale, nobody to watch: nothing is proved.
    Booted::new("--ops ic-ivau --stale spin --cpus 1").ends(6, &["Undecided", "no core is left"]);
    Booted::new("--ops ic-ivau --stale spin --cpus 3").ends(0, &[]);
}

#[test]
fn the_timed_block_costs_what_is_written_in_it() {
    let booted = Booted::new("--ops none --icount").ends(0, &[]);
    let icount = booted.run.icount.unwrap();
    assert_eq!(icount.empty, icount.written);
    let expected = Subject::ALL
        .iter()
        .filter(|s| **s as u8 > 0 && **s <= Subject::DsbIdle && s.needs().is_none());
    let expected: Vec<_> = expected.map(|s| (*s, 1)).collect();
    assert_eq!(icount.more, expected);
    // Cores take turns here, and one that spins would keep its own.
    for case in &booted.run.cases {
        let ran = case.verdict == Verdict::Completed;
        assert_ne!(ran, case.state.is_busy(), "{case:?}");
    }
}

/// And what is beside each sample: its line made ready, a DSB, marks, histogram, clock. All
/// cores' instructions are counted, so nobody but the initiator may run.
#[test]
fn a_sample_costs_at_most_150_instructions() {
    let (few, many) = (1 << 12, 1 << 20);
    let ms = |samples: u64| {
        let booted = Booted::new(&format!(
            "--icount --recorder off --sentinel off --cpus 2 --ops ic-ivau --stale cpu-off \
             --sweep off --samples {samples}"
        ))
        .ends(0, &[]);
        let case = &booted.run.cases[0];
        let counts = [&case.issue, &case.complete].map(Histogram::count);
        assert_eq!(counts, [samples; 2]);
        booted.run.end.unwrap().elapsed_ms
    };
    // Of two classes, of the case and of its baseline; a nanosecond is an instruction.
    let each = (ms(many) - ms(few)) * 1_000_000 / (4 * (many - few));
    assert!((100..=150).contains(&each), "{each}");
}

/// A clock of 64 ns for an instruction makes a routine take 10 ms step by step.
/// A timed call that late, with no mark inside, must not be taken for a block.
#[test]
fn a_routine_whose_steps_are_late_is_not_called_as_a_whole() {
    let plan = "--icount --qemu-arg=-icount --qemu-arg=shift=6 --cpus 3 --stale wfi-masked \
                --ops flush-icache-range,selftest-stale --sweep off --samples 16";
    for (deadline, whole) in [(15, false), (60, true)] {
        let booted = Booted::new(&format!("{plan} --deadline-ms {deadline}"));
        // What it has to make visible is still checked.
        let booted = booted.ends(5, &[]);
        let case = &booted.run.cases[0];
        assert_eq!(case.op, Subject::FlushIcacheRange);
        // Of each round no more than the call step by step.
        assert_eq!(
            case.complete.count(),
            if whole { 16 } else { ROUNDS as u64 }
        );
        assert_eq!(booted.says_fewer_samples(), !whole);
        assert_eq!(booted.run.cases[1].verdict, Verdict::Incoherent);
    }
}

#[test]
fn without_semihosting_the_last_line_tells_the_code() {
    for (args, code) in [("--ops ic-ivau", 0), ("--ops selftest-stale", 5)] {
        let booted = Booted::new(&format!("{args} --stale spin --no-semihosting")).ends(code, &[]);
        assert!(!booted.ended.err.contains("semihosting-config"));
        let console = booted.console();
        assert_eq!(
            console.lines().last(),
            Some(format!("stalecore: exit {code}").as_str())
        );
    }
}

/// In one thread the other cores come to their first instruction when the image has long
/// taken memory: what stands for firmware there must still be what it was.
#[test]
fn at_el3_a_core_may_come_late() {
    let args = "--el 3 --cpus 4 --ops ic-ivau --stale wfe --samples 4 --sweep off";
    let booted = Booted::new(args).ends(0, &[]);
    assert_eq!(booted.run.tcg_thread, Some(TcgThread::Single));
}

#[test]
fn from_every_exception_level_with_either_gic() {
    for (args, level, psci, gic) in [
        ("--el 1", 1, Some("hvc"), "gicv3"),
        ("--el 2 --gic 2", 2, Some("smc"), "gicv2"),
        ("--el 3", 3, None, "gicv3"),
        ("--el 1 --gic 2 --mem 64M", 1, Some("hvc"), "gicv2"),
        ("--el 2 --cpu cortex-a53 --mem 8G", 2, Some("smc"), "gicv3"),
        ("--el 2 --cpu max", 2, Some("smc"), "gicv3"),
    ] {
        let booted = Booted::new(&format!(
            "{args} --cpus 4 --ops ic-ivau,flush-icache-range --stale spin,wfe"
        ));
        let booted = booted.ends(0, &[]);
        let machine = booted.run.machine.unwrap();
        assert_eq!(
            (
                machine.entry_el,
                machine.psci.as_deref(),
                machine.gic.as_str()
            ),
            (level, psci, gic),
            "{args}"
        );
        let notes = &booted.run.notes;
        assert!(!notes.iter().any(|n| n.contains("asked for")), "{notes:?}");
    }
}

#[test]
fn one_core_has_nobody_to_watch_it() {
    let booted = Booted::new("--cpus 1 --ops ic-ivau --stale parked,spin");
    assert!(
        booted.ended.out.contains("no core is left to watch"),
        "{:?}",
        booted.ended
    );
    let spin = booted
        .run
        .cases
        .iter()
        .find(|c| c.state == StaleState::Spin);
    assert_eq!(spin.unwrap().verdict, Verdict::Skipped);
}

/// If no core can be stale, only the control runs, and that is no answer.
#[test]
fn without_a_stale_core_nothing_is_decided() {
    for (args, why) in [
        (
            "--cpus 1 --ops ic-ivau",
            "Undecided: only the control ran, and no core was stale",
        ),
        (
            "--cpus 2 --ops ic-ivau",
            "Undecided: only the control ran, and no core was stale",
        ),
        (
            "--initiators 0-7 --ops ic-ivau",
            "Undecided: only the control ran, and no core was stale",
        ),
        (
            "--scenario kdump --cpus 1",
            "Undecided: the crash path was walked to the crash kernel; no core was stale.",
        ),
    ] {
        let booted = Booted::new(args).ends(6, &[why]);
        assert_eq!(booted.run.exit, 6, "{args}");
    }
    // If only the control is asked for, it runs, and the answer says that it is the control.
    Booted::new("--stale parked --ops ic-ivau").ends(0, &["The control only: the case returned"]);
}

#[test]
fn qemu_s_own_refusal_is_quoted() {
    let booted = Booted::with("--quiet", |command| {
        command.args(["--qemu-arg", "-weather", "--qemu-arg", "fine"]);
    });
    assert_eq!(booted.ended.code, 2);
    booted.ended.one_line(&["-weather"]);
}

#[test]
fn cargo_run_boots_the_image_and_returns_its_code() {
    built("stalecore.img");
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .args("run --quiet --profile image --target aarch64-unknown-none --".split(' '))
        .args("--quiet --ops selftest-stale --stale spin --out".split(' '))
        .arg(out.path());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 5, "{ended:?}");
}

#[test]
fn the_console_is_ktap() {
    let booted =
        Booted::new("--ops ic-ivau,none --stale spin,wfe --lines cold,shared").ends(0, &[]);
    let console = booted.console();
    // Behind what firmware may have left on its line.
    let said: Vec<_> = console.lines().take(3).collect();
    assert_eq!(said, ["", "KTAP version 1", "1..2"]);
    let lines: Vec<_> = console.lines().filter_map(Ktap::read).collect();
    let results = |wanted: bool| {
        let of =
            |l: &&Ktap| matches!(l, Ktap::Result { nested, ok: true, .. } if *nested == wanted);
        lines.iter().filter(of).count()
    };
    assert_eq!((results(false), results(true)), (2, booted.run.cases.len()));
}
