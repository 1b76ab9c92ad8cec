use super::*;
use alloc::string::ToString;
use proptest::prelude::*;

fn options(text: &str) -> Options {
    let words: Vec<_> = text.split(' ').map(|w| format!("stalecore.{w}")).collect();
    Options::from_bootargs(&words.join(" ")).unwrap()
}

#[test]
fn a_cpu_that_was_named_is_not_replaced_where_it_may_not_be_used() {
    let allowed: CpuSet = [1, 2].into_iter().collect();
    let refused = |text: &str, named: &[&str]| {
        Roles::only_allowed(&Options::from_bootargs(text).unwrap(), named, &allowed).err()
    };
    let says = |key: &str, cpu: usize| {
        Some(format!(
            "{key}: CPU {cpu} may not be used here; allowed: 1-2"
        ))
    };
    assert_eq!(
        refused("stalecore.initiators=0", &["initiators"]),
        says("initiators", 0)
    );
    assert_eq!(
        refused("stalecore.stale-cpus=0,2", &["stale-cpus"]),
        says("stale-cpus", 0)
    );
    assert_eq!(
        refused("stalecore.sentinel=3", &["sentinel"]),
        says("sentinel", 3)
    );
    assert_eq!(refused("stalecore.sentinel=off", &["sentinel"]), None);
    // CPU 0 is a default there, which nobody has asked for.
    assert_eq!(refused("stalecore.stale-cpus=2", &["stale-cpus"]), None);
}

#[test]
fn by_default_the_last_core_watches_and_all_others_are_stale() {
    let roles = Roles::assign(&Options::default(), 8, &CpuSet::first(8)).unwrap();
    assert_eq!(
        (
            roles.initiators.to_string(),
            roles.stale.to_string(),
            roles.sentinel
        ),
        ("0".into(), "1-6".into(), Some(7))
    );
}

#[test]
fn the_last_free_core_watches() {
    let roles = Roles::assign(
        &options("initiators=24 stale-cpus=0-23,25-126"),
        128,
        &CpuSet::first(128),
    )
    .unwrap();
    assert_eq!(roles.sentinel, Some(127));
    let roles = Roles::assign(
        &options("initiators=24 stale-cpus=0-23,25-127"),
        128,
        &CpuSet::first(128),
    )
    .unwrap();
    assert_eq!(roles.sentinel, None);
    assert_eq!(roles.conductor(), 24);
}

#[test]
fn one_core_has_no_sentinel() {
    let roles = Roles::assign(&Options::default(), 1, &CpuSet::first(1)).unwrap();
    assert_eq!((roles.sentinel, roles.conductor()), (None, 0));
}

#[test]
fn mistakes_are_named() {
    for (text, part) in [
        (
            "initiators=8",
            "CPU 8 is out of range: this machine has CPUs 0-7",
        ),
        ("stale-cpus=3-9", "CPU 8 is out of range"),
        (
            "initiators=3 stale-cpus=1-4",
            "CPU 3 is an initiator and stale",
        ),
        ("sentinel=0", "CPU 0 is an initiator or stale"),
        ("sentinel=9", "CPU 9 is out of range"),
    ] {
        let error = Plan::new(&options(text), 8).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(
        Plan::new(&Options::default(), 513)
            .unwrap_err()
            .contains("1 to 512")
    );
}

#[test]
fn never_started_comes_first_and_the_hang_last() {
    let plan = Plan::new(
        &options("ops=selftest-hang,ic-ivau stale=spin,never-started"),
        4,
    )
    .unwrap();
    let of: Vec<_> = plan
        .groups
        .iter()
        .flat_map(|group| &group.cases)
        .map(|case| (case.number, case.state, case.subject))
        .collect();
    assert_eq!(
        of,
        [
            (1, StaleState::NeverStarted, Subject::IcIvau),
            (2, StaleState::Spin, Subject::IcIvau),
            (3, StaleState::NeverStarted, Subject::SelftestHang),
            (4, StaleState::Spin, Subject::SelftestHang),
        ]
    );
}

#[test]
fn a_crash_is_one_case() {
    let plan = Plan::new(&options("scenario=kdump initiators=2"), 4).unwrap();
    assert_eq!(plan.len(), 1);
    let case = plan.groups[0].cases[0];
    assert_eq!(
        (case.subject, case.state),
        (Subject::MachineKexec, StaleState::Qspinlock)
    );
    let plan = Plan::new(&options("scenario=kdump stale=wfe"), 4).unwrap();
    assert_eq!(plan.groups[0].state, StaleState::Wfe);
    for wrong in ["wfe,spin", "cpu-off", "never-started"] {
        let text = format!("scenario=kdump stale={wrong}");
        assert!(Plan::new(&options(&text), 4).is_err(), "{wrong}");
    }
}

#[test]
fn line_states_multiply_only_what_they_change() {
    let plan = Plan::new(&options("ops=none,dc-civac stale=spin lines=all"), 4).unwrap();
    assert_eq!(plan.len(), 1 + 5);
}

proptest! {
    #[test]
    fn every_core_has_at_most_one_role(cpus in 1_usize..40, initiator in 0_usize..40, stale in proptest::collection::vec(0_usize..40, 0..8)) {
        let options = Options {
            initiators: CpuSet::one(initiator),
            stale_cpus: (!stale.is_empty()).then(|| stale.into_iter().collect()),
            ..Options::default()
        };
        if let Ok(roles) = Roles::assign(&options, cpus, &CpuSet::first(cpus)) {
            prop_assert!(roles.initiators.intersection(&roles.stale).is_empty());
            if let Some(cpu) = roles.sentinel {
                prop_assert!(!roles.initiators.contains(cpu) && !roles.stale.contains(cpu) && cpu < cpus);
            }
        }
    }
}

#[test]
fn a_core_that_does_not_answer_has_no_role() {
    let roles = |text: &str, present: &str| {
        let present = CpuSet::parse(present).unwrap();
        let plan =
            Plan::among(&options(text), 6, &present, &Machine::default()).map(|plan| plan.roles);
        plan.map(|r| (r.initiators.to_string(), r.stale.to_string(), r.sentinel))
    };
    let are = |initiators: &str, stale: &str, sentinel| {
        Ok((initiators.to_string(), stale.to_string(), sentinel))
    };
    assert_eq!(roles("samples=9", "0-5"), are("0", "1-4", Some(5)));
    // The sentinel, a stale core, an initiator, the only one.
    assert_eq!(roles("samples=9", "0-4"), are("0", "1-3", Some(4)));
    assert_eq!(roles("samples=9", "0-2,4-5"), are("0", "1-2,4", Some(5)));
    assert_eq!(
        roles("initiators=0,3", "0-2,4-5"),
        are("0", "1-2,4", Some(5))
    );
    assert_eq!(roles("initiators=3", "0-2,4-5"), are("0", "1-2,4", Some(5)));
    assert_eq!(roles("sentinel=3", "0-2,4-5"), are("0", "1-2,4", Some(5)));
    assert_eq!(roles("stale-cpus=1,3", "0-2,4-5"), are("0", "1", Some(5)));
    assert_eq!(roles("sentinel=off", "0-1"), are("0", "1", None));
    let error = roles("initiators=3 stale-cpus=0", "0").unwrap_err();
    assert!(error.contains("CPU 3 does not answer"), "{error}");
    // What is wrong with all cores present stays wrong.
    assert!(roles("initiators=6", "0-5").is_err());
    assert!(roles("initiators=3 sentinel=3", "0-2").is_err());
}

#[test]
fn a_part_of_a_plan_keeps_its_numbers() {
    let options = |text: &str| {
        let text = format!("stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe,parked {text}");
        Options::from_bootargs(&text).unwrap()
    };
    let whole = Plan::new(&options(""), 4).unwrap();
    let part = Plan::new(&options("stalecore.cases=2-3,6"), 4).unwrap();
    // Its cases are certain among all that are run, in whichever boot.
    assert_eq!((part.len(), part.family), (3, 6));
    let all: Vec<_> = whole.groups.iter().flat_map(|g| &g.cases).collect();
    let some: Vec<_> = part.groups.iter().flat_map(|g| &g.cases).collect();
    assert_eq!(some, [all[1], all[2], all[5]]);
    assert_eq!((part.len(), part.groups.len()), (3, 3));
    assert_eq!((part.roles, part.sweep), (whole.roles, whole.sweep));
    // A group of which nothing is left is not entered.
    let first = Plan::new(&options("stalecore.cases=1"), 4).unwrap();
    assert_eq!(first.groups.len(), 1);
    let error = Plan::new(&options("stalecore.cases=2,7"), 4).unwrap_err();
    assert_eq!(error, "cases: 2,7; this plan has 1 to 6");
    let crash = Options::from_bootargs("stalecore.scenario=kdump stalecore.cases=1").unwrap();
    assert!(Plan::new(&crash, 4).unwrap_err().contains("is one case"));
}

#[test]
fn errata_choose_the_cases() {
    let plan = |text: &str, midr: u64| {
        let machine = Machine {
            midrs: [midr].into(),
            ..Machine::default()
        };
        Plan::among(&options(text), 4, &CpuSet::first(4), &machine)
    };
    let cases = |plan: &Plan| -> Vec<(Subject, StaleState)> {
        let cases = plan.groups.iter().flat_map(|group| &group.cases);
        cases.map(|case| (case.subject, case.state)).collect()
    };
    let (a72, n1) = (0x410f_d083, 0x414f_d0c1);
    let of_a72 = plan("preset=errata", a72).unwrap();
    assert!(cases(&of_a72).contains(&(Subject::IcIvau, StaleState::LdxrStxr)));
    let of_n1 = plan("preset=errata", n1).unwrap();
    assert!(cases(&of_n1).contains(&(Subject::IcIvau, StaleState::CpuOffInflight)));
    assert!(
        cases(&of_n1)
            .iter()
            .all(|(_, state)| *state != StaleState::LdxrStxr)
    );
    // Each group is for an erratum, and no case is there twice.
    for plan in [of_a72, of_n1] {
        let staged = |group| plan.errata_of(group).count() > 0;
        assert!(!plan.is_empty() && plan.groups.iter().all(staged));
        let all = cases(&plan);
        let once: alloc::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(once.len(), all.len());
    }
    // Narrowed, to one group and to nothing.
    let few = plan("preset=errata ops=ic-ivau stale=cpu-off", n1).unwrap();
    assert_eq!(cases(&few), [(Subject::IcIvau, StaleState::CpuOff)]);
    assert_eq!(few.errata[0].number, "2743102");
    let error = plan("preset=errata stale=spin", n1).unwrap_err();
    assert!(error.contains("leave no case"), "{error}");
    let error = plan("preset=errata", 0xf_0510).unwrap_err();
    assert!(error.contains("none is known"), "{error}");
    // Without the preset, errata choose nothing.
    assert!(plan("ops=none stale=spin", a72).unwrap().errata.is_empty());
}

#[test]
fn a_dwell_is_before_operations_alone() {
    let plan = |text: &str| Plan::new(&options(text), 4).unwrap();
    let default = Plan::new(&Options::default(), 4).unwrap();
    assert_eq!(default.dwell.before(Subject::IcIvau), [50]);
    assert!(default.dwell.before(Subject::DcCivac).is_empty());
    assert_eq!(default.dwell.samples(), 1);
    // Once in each state, and in its baseline.
    assert_eq!(
        default.dwell.all_ms(&default.groups),
        2 * 50 * StaleState::default_set().count() as u64
    );
    assert!(plan("ops=ic-ivau").dwell.before(Subject::IcIvau).is_empty());
    assert_eq!(plan("dwell=off").dwell.longest_ms(), 0);
    let asked = plan("ops=ic-ivau,dc-civac,flush-icache-range,sgi stale=spin dwell=0,1s,10s");
    assert!(!asked.sweep && plan("ops=ic-ivau stale=spin").sweep);
    assert_eq!(asked.dwell.before(Subject::DcCivac), [0, 1000, 10_000]);
    for other in [Subject::FlushIcacheRange, Subject::Sgi] {
        assert!(asked.dwell.before(other).is_empty());
    }
    assert_eq!(asked.dwell.all_ms(&asked.groups), 2 * 5 * 2 * 11_000);
    assert_eq!(asked.dwell.longest_ms(), 10_000);
}

#[test]
fn what_may_cost_the_machine_is_refused_by_name_and_left_to_be_skipped_in_a_preset() {
    let plan = |text: &str| Plan::new(&Options::from_bootargs(text).unwrap(), 4);
    let refused = plan("stalecore.stale=spin,cpu-off-abandoned").unwrap_err();
    for part in [
        "stale: cpu-off-abandoned",
        "2326639",
        "--allow cpu-off-abandoned",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    for text in [
        "stalecore.stale=spin,cpu-off-abandoned stalecore.allow=cpu-off-abandoned",
        "stalecore.stale=device-stuck stalecore.allow=all",
        "stalecore.stale=all",
        "stalecore.preset=all",
    ] {
        let plan = plan(text).unwrap();
        let mut groups = plan.groups.iter();
        assert!(groups.any(|g| g.state.gate().is_some()), "{text}");
    }
    let error = Options::from_bootargs("stalecore.allow=spin").unwrap_err();
    assert!(
        error.contains("allowed: device-stuck, cpu-off-abandoned"),
        "{error}"
    );
}

#[test]
fn an_initiator_is_given_a_group_at_once_where_one_core_watches_one_other() {
    let most = |text: &str| Plan::new(&options(text), 4).unwrap().most_at_once();
    // The empty block comes before the cases.
    assert_eq!(most("ops=ic-ivau,dc-civac,dc-cvau stale=spin,wfe"), 4);
    assert_eq!(most("ops=ic-ivau stale=spin"), 2);
    assert_eq!(most("ops=ic-ivau,dc-civac stale=spin initiators=0,1"), 1);
    assert_eq!(most("ops=ic-ivau,dc-civac stale=spin sentinel=off"), 1);
}

#[test]
fn a_plan_knows_whether_it_has_cases_and_a_self_test() {
    let plan = |text: &str| Plan::new(&options(text), 4).unwrap();
    let (one, hang) = (
        plan("ops=ic-ivau stale=spin"),
        plan("ops=ic-ivau,selftest-hang stale=spin"),
    );
    assert!(!one.is_empty() && !one.has_selftest() && hang.has_selftest());
    assert!(
        Plan {
            groups: Vec::new(),
            ..one
        }
        .is_empty()
    );
}

#[test]
fn how_long_a_class_and_a_deadline_are() {
    for (samples, enough_ms, longest_ms) in
        [(0, 3000, 6000), (64, 3003, 6006), (20_000, 4000, 8000)]
    {
        let time = ClassTime::of(samples);
        assert_eq!((time.enough_ms, time.longest_ms), (enough_ms, longest_ms));
        let patient = time.patient();
        assert_eq!(
            (patient.enough_ms, patient.longest_ms),
            (enough_ms, 10 * enough_ms)
        );
    }
    // Two seconds, and 50 ms for each core.
    assert_eq!(
        [0, 1, 8, 512].map(default_deadline_ms),
        [2000, 2050, 2400, 27_600]
    );
    let most = Plan::new(&options("ops=ic-ivau stale=spin"), MAX_CPUS).unwrap();
    assert_eq!(most.deadline_ms, default_deadline_ms(MAX_CPUS));
    assert!(Plan::new(&Options::default(), MAX_CPUS + 1).is_err());
}

/// Nothing releases its cores, so nothing may come behind it.
#[test]
fn a_device_that_is_named_comes_last() {
    let states = |text: &str| {
        let plan = Plan::new(&options(text), 4).unwrap();
        plan.groups
            .iter()
            .map(|group| group.state)
            .collect::<Vec<_>>()
    };
    let of = "ops=ic-ivau allow=all stale=device-stuck,spin,wfe";
    let named = states(&format!("{of} device-stuck-at=0x9000000"));
    assert_eq!(
        named,
        [StaleState::Spin, StaleState::Wfe, StaleState::DeviceStuck]
    );
    let modelled = states(&format!("{of} fabric=deaf=wfe"));
    assert_eq!(modelled[0], StaleState::DeviceStuck);
}
