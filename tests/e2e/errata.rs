//! `--preset errata`: each machine has the cases of its own cores' errata, and names
//! them.

use std::collections::BTreeSet;

use serde_json::Value;
use stalecore_model::{
    glossary::{StaleState, Subject, Verdict},
    record::CaseRecord,
};

use crate::{
    dist::{Booted, built},
    fake::{Ended, stalecore},
};

/// Enough to see which cases there are.
const FEW: &str = "--preset errata --cpus 4 --samples 1 --sweep off";

/// The newer QEMU, which has models that Debian's does not.
fn on(cpu: &str) -> String {
    let qemu = built("qemu/usr/bin/qemu-system-aarch64");
    format!("{FEW} --cpu {cpu} --qemu {}", qemu.display())
}

#[test]
fn each_core_has_the_cases_of_its_own_errata() {
    let mut plans = BTreeSet::new();
    for (cpu, numbers) in [
        ("cortex-a72", &["A72 exclusives"][..]),
        ("neoverse-n1", &["2743102", "DSU 936184", "CVE-2025-10263"]),
        ("cortex-a710", &["2768515", "DSU 2313941"]),
    ] {
        let args = on(cpu);
        let booted = Booted::new(&args);
        // On a busy host the cores may be off before the first operation; that is said.
        let passed = |case: &CaseRecord| {
            let why = case.why.as_deref();
            why.is_some_and(|why| why.ends_with("had passed before the first operation"))
        };
        let code = if booted.run.cases.iter().any(passed) {
            6
        } else {
            0
        };
        let booted = booted.ends(code, numbers);
        let run = &booted.run;
        let found: Vec<_> = run
            .notes
            .iter()
            .filter_map(|note| note.strip_prefix("preset errata: "))
            .collect();
        assert_eq!(found, numbers, "{cpu}");
        // What the host said before is what the image found.
        let mut list = stalecore();
        list.arg("run")
            .args(args.split_whitespace())
            .args(["--list", "--json"]);
        let planned: Value = serde_json::from_str(&Ended::of(&mut list).out).unwrap();
        let name = |value: &Value| value.as_str().unwrap().to_string();
        let planned: Vec<_> = planned.as_array().unwrap().iter().collect();
        let planned: Vec<_> = planned
            .iter()
            .map(|case| (name(&case["op"]), name(&case["state"])))
            .collect();
        let cases: Vec<_> = run
            .cases
            .iter()
            .map(|case| (case.op.to_string(), case.state.to_string()))
            .collect();
        assert_eq!(cases, planned, "{cpu}");
        // QEMU's machine has no idle state that powers a core down.
        let ran = |case: &CaseRecord| match case.state {
            StaleState::CpuSuspendPowerdown => case.verdict == Verdict::Skipped,
            StaleState::CpuOffInflight if passed(case) => case.verdict == Verdict::Inconclusive,
            _ => matches!(case.verdict, Verdict::Completed | Verdict::Slowed),
        };
        assert!(run.cases.iter().all(ran), "{cpu}");
        plans.insert(cases);
    }
    // Each has what no other has.
    assert_eq!(plans.len(), 3);
}

#[test]
fn a_machine_without_known_errata_is_told_so() {
    // The host knows it beforehand; for a model that it does not know, the image says.
    let mut command = stalecore();
    command.arg("run").args(on("max").split_whitespace());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 2);
    ended.one_line(&["--preset", "none is known of these cores"]);
}

#[test]
fn a_preset_is_narrowed_and_blocks_as_any_plan() {
    let args = format!(
        "{} --ops ic-ivau --stale ldxr-stxr --fabric deaf=ldxr-stxr --wait 100ms",
        on("cortex-a72")
    );
    let booted = Booted::new(&args).ends(4, &["A72 exclusives", "blocked"]);
    let [case] = &booted.run.cases[..] else {
        panic!("{:?}", booted.run.cases);
    };
    assert_eq!(
        (case.op, case.state, case.verdict),
        (Subject::IcIvau, StaleState::LdxrStxr, Verdict::Blocked)
    );
}

#[test]
fn first_light_is_short() {
    let booted = Booted::new("--preset first-light --cpus 4").ends(0, &["ic-ivau"]);
    let states: BTreeSet<_> = booted.run.cases.iter().map(|c| c.state).collect();
    assert_eq!((booted.run.cases.len(), states.len()), (48, 4));
}
