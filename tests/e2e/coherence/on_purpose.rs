//! What is wrong on purpose gives its own hazard, in memory that is under test, and
//! no other; where CTR_EL0 allows it, none.

use stalecore_model::{
    glossary::Subject,
    hazard::Kind::{self, DirtyDiscarded, FetchNotClean, FetchNotInvalidated},
};

use super::checked;

/// Runs these on a machine and checks that exactly this is found.
#[track_caller]
fn gives(subjects: &str, machine: &str, code: i32, found: &[(Subject, Kind)]) {
    let args = format!("--ops {subjects} --stale spin --samples 4 --sweep off {machine}");
    let run = checked("", &args).ends(code, &[]).run;
    let [from, to] = run.plan.as_ref().and_then(|plan| plan.under_test).unwrap();
    let mut seen = Vec::new();
    for hazard in &run.hazards {
        assert!((from..to).contains(&hazard.line), "{args}: {hazard:#?}");
        let [meant] = hazard.meant[..] else {
            panic!("{args}: {hazard:#?}");
        };
        seen.push((meant, hazard.kind));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, found, "{args}");
}

#[test]
fn what_is_wrong_on_purpose_gives_its_own_hazard() {
    use Subject::{
        DcIvac, FlushIcacheRangeDic, FlushIcacheRangeIdc, IcacheInvalPou, SelftestStale,
    };
    for (subject, kind) in [
        (FlushIcacheRangeIdc, FetchNotClean),
        (FlushIcacheRangeDic, FetchNotInvalidated),
        (IcacheInvalPou, FetchNotClean),
        (DcIvac, DirtyDiscarded),
    ] {
        gives(subject.name(), "", 0, &[(subject, kind)]);
    }
    gives("selftest-stale", "", 5, &[(SelftestStale, FetchNotClean)]);
    // Nothing dirty is discarded from lines that were cleaned.
    gives("dc-ivac", "--lines cold", 0, &[]);
}

#[test]
fn what_the_machine_allows_is_no_hazard() {
    // QEMU's Neoverse V1 has IDC and DIC, its Cortex-A710 IDC alone. The newest code
    // must then have been executed, too.
    let patched = "flush-icache-range-idc,flush-icache-range-dic,flush-icache-range-idc-dic,\
                   icache-inval-pou";
    gives(patched, "--cpu neoverse-v1", 0, &[]);
    gives("selftest-stale", "--cpu neoverse-v1", 5, &[]);
    gives(
        "flush-icache-range-idc,icache-inval-pou,flush-icache-range-dic",
        "--cpu cortex-a710",
        0,
        &[(Subject::FlushIcacheRangeDic, FetchNotInvalidated)],
    );
}

/// If there is also a fault of the harness's own, the run still ends with 2.
#[test]
fn what_is_meant_hides_nothing_else() {
    let booted = checked(
        "ignore=flush_icache_range+92",
        "--ops flush-icache-range,flush-icache-range-dic --stale spin --samples 4 --sweep off",
    )
    .ends(2, &["hazard: CPU", "hazard, as expected: CPU"]);
    let (meant, own): (Vec<_>, Vec<_>) = booted
        .run
        .hazards
        .iter()
        .partition(|hazard| !hazard.meant.is_empty());
    assert!(!meant.is_empty() && !own.is_empty());
    assert!(own.iter().all(|hazard| hazard.kind == FetchNotInvalidated));
}
