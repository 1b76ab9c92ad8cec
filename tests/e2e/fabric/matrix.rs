//! The detection matrix: every operation under every stale state, with a core that does
//! not answer and without.

use std::io::Write;

use stalecore_model::{
    fabric::MessageClass,
    glossary::{Kind, StaleState, Subject, Verdict},
};

use crate::dist::Booted;

#[test]
fn with_the_first_core_deaf() {
    matrix(Some(1));
}

#[test]
fn with_the_middle_core_deaf() {
    matrix(Some(2));
}

#[test]
fn with_the_last_core_deaf() {
    matrix(Some(3));
}

#[test]
fn with_no_core_deaf() {
    matrix(None);
}

/// Every operation of the default plan under every stale state of it, and what comes by
/// name under two states, or with two operations; with one of the stale cores deaf, or
/// none.
fn matrix(deaf: Option<usize>) {
    use StaleState as S;
    let operations = |by_default: bool| -> Vec<&str> {
        let all = Subject::ALL.iter().filter(|s| s.kind() == Kind::Operation);
        all.filter(|s| s.is_default() == by_default)
            .map(|s| s.name())
            .collect()
    };
    // `parked` is every case's control: what is deaf there blocks baselines. A core that
    // comes up answers once it is up. For the last two QEMU's own firmware lacks the calls:
    // bare/firmware.rs has their rows.
    let states = |by_default: bool| -> Vec<&str> {
        let all = StaleState::ALL
            .iter()
            .filter(|s| s.is_default() == by_default);
        all.filter(|s| {
            !matches!(
                s,
                S::Parked | S::CpuOnInflight | S::CpuSuspendPowerdown | S::SdeiParked
            )
        })
        .map(|s| s.name())
        .collect()
    };
    each_block_is_found_and_none_invented(deaf, &operations(true), &states(true));
    each_block_is_found_and_none_invented(deaf, &["ic-ivau", "dsb-ish"], &states(false));
    each_block_is_found_and_none_invented(deaf, &operations(false), &["spin", "wfi-masked"]);
}

fn each_block_is_found_and_none_invented(deaf: Option<usize>, ops: &[&str], states: &[&str]) {
    let fabric = match deaf {
        Some(cpu) => format!("deaf={}@{cpu},heal=sev", states.join("+")),
        None => "depth=4".into(),
    };
    // Nothing is as slow as that: no round is run to confirm that something is.
    let booted = Booted::new(&format!(
        "--cpus 5 --stale-cpus 1-3 --samples 4 --sweep off --deadline-ms 300 --timeout 600 \
         --max-slowdown 1000000 --allow all --ops {} --stale {} --fabric {fabric}",
        ops.join(","),
        states.join(",")
    ));
    let (mut tried, mut wrong) = (0, Vec::new());
    for case in &booted.run.cases {
        // A host that did not run a core says so; that says nothing about what is tried here.
        if booted.run.starved.iter().any(|block| block.n == case.n)
            && (ops.len(), states.len()) != (1, 1)
        {
            each_block_is_found_and_none_invented(deaf, &[case.op.name()], &[case.state.name()]);
            continue;
        }
        tried += 1;
        // A barrier is timed behind an ic ivau, so it has one to wait for.
        // The core's own barrier waits for nobody, but the ic ivau before it does.
        let listens = case.op == Subject::DsbNsh
            || matches!(
                case.op.sends(),
                Some(MessageClass::Dvm | MessageClass::Sync)
            );
        // Firmware has started the boot core; a core in CPU_OFF is deaf too. What a
        // control needs may not be there: an interrupt that is taken, FEAT_LSE.
        let skipped = case.verdict == Verdict::Skipped;
        assert!(
            !skipped || case.state == StaleState::NeverStarted || case.op.needs().is_some(),
            "{case:?}"
        );
        let expected = deaf.is_some() && listens && !skipped;
        let found = case.verdict == Verdict::Blocked;
        let named = booted
            .run
            .blocks
            .iter()
            .any(|b| b.n == case.n && b.cores.iter().any(|c| c.doing == case.state.name()));
        if found != expected || (found && !named) {
            wrong.push(format!(
                "deaf {deaf:?}: {} under {}: {}",
                case.op, case.state, case.verdict
            ));
        }
    }
    // Past the test runner, which swallows what a test prints.
    let told = writeln!(
        std::io::stderr(),
        "detection matrix, deaf {deaf:?}: {tried} cases tried, {} wrong",
        wrong.len()
    );
    assert!(told.is_ok());
    assert!(
        booted.run.cases.len() >= ops.len() * (states.len() - 1),
        "only {tried} cases"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
