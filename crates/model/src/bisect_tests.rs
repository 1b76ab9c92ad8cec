use super::*;
use alloc::collections::BTreeSet;
use proptest::prelude::*;

/// Runs a search against a machine on which these culprits block; returns what it found
/// and the number of trials. The machine is reset once on the way.
fn find(stale: CpuSet, culprits: &[CpuSet]) -> (Findings, usize) {
    find_suspecting(stale, culprits, &[])
}

fn find_suspecting(stale: CpuSet, culprits: &[CpuSet], suspects: &[CpuSet]) -> (Findings, usize) {
    let mut search = Bisector::new(stale, suspects);
    let mut outcomes = Vec::new();
    while let Some(cores) = search.trial() {
        assert!(within(&cores, &stale) && !search.findings().complete);
        let blocked = culprits.iter().any(|culprit| within(culprit, &cores));
        search.record(cores, blocked).unwrap();
        outcomes.push(blocked);
        if outcomes.len() == 7 {
            let mut resumed = Bisector::new(stale, suspects);
            for blocked in &outcomes {
                resumed.record(resumed.trial().unwrap(), *blocked).unwrap();
            }
            assert_eq!(resumed.trial(), search.trial());
            search = resumed;
        }
    }
    (search.findings().clone(), outcomes.len())
}

const fn log2_up(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize
}

fn sets(culprits: &[CpuSet]) -> BTreeSet<Vec<usize>> {
    culprits.iter().map(|c| c.iter().collect()).collect()
}

/// Finds exactly the culprits, in a number of trials that grows with the
/// logarithm of the number of cores.
fn check(stale: CpuSet, culprits: &[CpuSet]) -> usize {
    let (findings, trials) = find(stale, culprits);
    assert!(findings.complete);
    assert_eq!(sets(&findings.culprits), sets(culprits));
    assert_eq!(findings.culprits.len(), culprits.len(), "one came twice");
    let rounds: usize = culprits.iter().map(CpuSet::len).sum();
    let ways = ways_to_leave_out(culprits).unwrap().len();
    let bound = rounds * (log2_up(stale.len()) + 1) + culprits.len() - 1 + ways;
    assert!(trials <= bound, "{trials} trials, allowed {bound}");
    trials
}

#[test]
fn core_77_of_128_takes_nine_trials() {
    let stale = CpuSet::parse("1-126").unwrap();
    for core in stale.iter() {
        let (findings, trials) = find(stale, &[CpuSet::one(core)]);
        assert_eq!(findings.culprits, [CpuSet::one(core)]);
        assert!(findings.complete);
        // Seven to find it, one alone, one for the rest.
        assert!(trials <= 9, "{trials} trials for core {core}");
    }
}

#[test]
fn a_single_stale_core_needs_no_trial() {
    let (findings, trials) = find(CpuSet::one(3), &[CpuSet::one(3)]);
    assert_eq!((findings.culprits, trials), (vec![CpuSet::one(3)], 0));
}

#[test]
fn a_suspect_that_is_right_takes_two_trials_and_a_wrong_one_costs_one() {
    let stale = CpuSet::parse("1-126").unwrap();
    let one = CpuSet::one;
    assert_eq!(
        find_suspecting(stale, &[one(77)], &[one(77)]),
        (find(stale, &[one(77)]).0, 2)
    );
    let (findings, trials) = find_suspecting(stale, &[one(77)], &[one(3)]);
    assert_eq!(findings.culprits, [one(77)]);
    assert!(findings.complete && trials <= 10, "{trials} trials");
    // One that is no stale core is never tried.
    let (without, trials) = find_suspecting(stale, &[one(77)], &[one(200)]);
    assert_eq!((without, trials), find(stale, &[one(77)]));
}

#[test]
fn a_suspect_that_is_too_large_is_narrowed() {
    let culprit = CpuSet::parse("5,90").unwrap();
    let suspect = CpuSet::parse("5,60,90,91").unwrap();
    let (findings, trials) = find_suspecting(CpuSet::first(128), &[culprit], &[suspect]);
    assert_eq!(findings.culprits, [culprit]);
    assert!(findings.complete && trials <= 8, "{trials} trials");
}

#[test]
fn two_cores_that_block_only_together() {
    let culprit = CpuSet::parse("5,90").unwrap();
    check(CpuSet::first(128), &[culprit]);
    // And beside one that blocks alone.
    check(CpuSet::first(128), &[culprit, CpuSet::one(60)]);
}

#[test]
fn pairs_with_a_core_in_common_are_all_found() {
    let pairs = ["1,2", "2,3", "1,3", "3,100"].map(|text| CpuSet::parse(text).unwrap());
    check(CpuSet::first(128), &pairs);
}

#[test]
fn all_cores_together_are_one_culprit_and_the_search_says_what_it_left() {
    let stale = CpuSet::first(33);
    let (findings, trials) = find(stale, &[stale]);
    assert_eq!(findings.culprits, [stale]);
    assert!(!findings.complete);
    assert!(trials <= 33 * (log2_up(33) + 1), "{trials}");
}

#[test]
fn an_outcome_that_cannot_be_is_named() {
    let set = |text| CpuSet::parse(text).unwrap();
    let mut search = Bisector::new(set("0-7"), &[]);
    search.record(set("0-3"), false).unwrap();
    let error = search.record(set("1-2"), true).unwrap_err();
    assert_eq!(error, "CPUs 1-2 block, but CPUs 0-3 together did not");
    search.record(set("4-7"), true).unwrap();
    let error = search.record(set("2-7"), false).unwrap_err();
    assert_eq!(error, "CPUs 2-7 do not block, but CPUs 4-7 did");
    assert!(search.record(set("0-7"), false).is_err());
}

#[test]
fn a_search_that_is_broken_off_says_what_it_knows() {
    let stale = CpuSet::first(8);
    let mut search = Bisector::new(stale, &[]);
    let mut known = BTreeSet::new();
    while let Some(cores) = search.trial() {
        let blocked = cores.contains(2) || cores.contains(6);
        search.record(cores, blocked).unwrap();
        let now = sets(&search.findings().culprits);
        assert!(known.is_subset(&now), "what is proved stays");
        known = now;
    }
    assert_eq!(known, sets(&[CpuSet::one(2), CpuSet::one(6)]));
}

/// Takes out the sets that have another as a part: what is left is what the
/// search can tell apart.
fn smallest(mut sets: Vec<CpuSet>) -> Vec<CpuSet> {
    let all = sets.clone();
    sets.retain(|set| !all.iter().any(|part| part != set && within(part, set)));
    sets.sort_by_key(|set| set.iter().collect::<Vec<_>>());
    sets.dedup();
    sets
}

fn stale() -> impl Strategy<Value = CpuSet> {
    prop_oneof![
        (1..=128_usize).prop_map(CpuSet::first),
        prop::collection::vec(0..crate::cpuset::MAX_CPUS, 1..60)
            .prop_map(|cpus| cpus.into_iter().collect()),
    ]
}

/// A set of stale cores, and parts of it of up to `size` cores.
fn machine(size: usize, count: usize) -> impl Strategy<Value = (CpuSet, Vec<CpuSet>)> {
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..=size);
    (stale(), prop::collection::vec(picks, 1..=count)).prop_map(|(stale, picks)| {
        let cores: Vec<usize> = stale.iter().collect();
        let culprits = picks
            .iter()
            .map(|pick| pick.iter().map(|index| *index.get(&cores)).collect())
            .collect();
        (stale, smallest(culprits))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cores_that_block_alone_are_all_found((stale, culprits) in machine(1, 12)) {
        let trials = check(stale, &culprits);
        prop_assert!(trials <= culprits.len() * (log2_up(stale.len()) + 2));
    }

    #[test]
    fn combinations_are_all_found((stale, culprits) in machine(3, 4)) {
        if ways_to_leave_out(&culprits).is_some() {
            check(stale, &culprits);
        }
    }

    #[test]
    fn suspects_change_nothing_but_the_order(
        (stale, culprits) in machine(2, 4),
        (_, suspects) in machine(3, 4),
    ) {
        if ways_to_leave_out(&culprits).is_some() {
            let (found, _) = find_suspecting(stale, &culprits, &suspects);
            prop_assert!(found.complete);
            prop_assert_eq!(sets(&found.culprits), sets(&culprits));
        }
    }

    #[test]
    fn whatever_is_found_is_a_culprit((stale, culprits) in machine(6, 3)) {
        let (findings, _) = find(stale, &culprits);
        prop_assert!(!findings.culprits.is_empty());
        for found in &findings.culprits {
            prop_assert!(culprits.contains(found), "{:?} is none", found);
        }
    }
}
