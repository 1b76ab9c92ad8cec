//! A single operation that is late now and then: no quantile shows it, and it is named.

use stalecore_model::glossary::{Subject, Verdict};

use crate::dist::Booted;

/// One `ic ivau` of so many takes 400 ms while a core is stale, and no `dc civac` does. What
/// runs beside is for a host with nothing to spare.
#[test]
fn one_operation_of_many_is_late_and_named_and_the_other_is_not() {
    let booted = Booted::new(
        "--cpus 3 --ops ic-ivau,dc-civac --stale wfe --samples 30 --sweep off \
         --fabric hold=400ms/40@ic-ivau",
    )
    .ends(
        0,
        &[
            "1 was late in a single sample, ic-ivau under wfe (4",
            "late: case 1, ic-ivau under wfe, made by the fabric",
        ],
    );
    let case = |op| booted.run.cases.iter().find(|case| case.op == op).unwrap();
    let (held, other) = (case(Subject::IcIvau), case(Subject::DcCivac));
    let late = held.was_late().unwrap();
    let hz = booted.run.machine.as_ref().unwrap().counter_hz;
    assert!(late.ticks > hz / 5 * 2 - hz / 100, "{late:?}");
    assert!((1..=5).contains(&late.round) && late.nth > 0, "{late:?}");
    // It is a mark: no quantile shows it, and no verdict changes.
    assert_eq!(held.verdict, Verdict::Completed);
    assert!(held.complete.quantile(900) < Some(late.ticks / 4));
    assert_eq!(other.was_late(), None);
}
