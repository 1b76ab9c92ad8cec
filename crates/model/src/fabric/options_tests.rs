use super::*;
use alloc::vec;
use proptest::prelude::*;

#[test]
fn a_cpu_list_ends_where_the_next_key_begins() {
    let options = FabricOptions::parse("deaf=wfe+spin@0-3,7,depth=2").unwrap();
    let deaf = options.deaf.unwrap();
    assert_eq!(
        deaf.states.iter().collect::<Vec<_>>(),
        vec![StaleState::Wfe, StaleState::Spin]
    );
    assert_eq!(deaf.cpus, Some(CpuSet::parse("0-3,7").unwrap()));
    assert_eq!(options.depth, 2);
    assert_eq!(options.to_string(), "deaf=wfe+spin@0-3,7,depth=2");
}

#[test]
fn every_key_is_read_and_the_rest_has_its_default() {
    let options = FabricOptions::parse(
        "delay=50us,to=both,early-comp=on,fault=ic-ivau,heal=unlock,deaf=ticket-lock@77",
    )
    .unwrap();
    assert_eq!(options.delay_ns, 50_000);
    assert_eq!(options.to, DeafTo::Both);
    assert!(options.early_comp);
    assert_eq!(options.fault, Some(Maintenance::IcIvau));
    assert_eq!(options.heal, Some(Heal::By(Rung::Unlock)));
    let hold = FabricOptions::parse("hold=200ms/64@ic-ivau").unwrap();
    let held = Hold {
        ns: 200_000_000,
        every: 64,
        only: Some(Maintenance::IcIvau),
    };
    assert_eq!(hold.hold, Some(held));
    assert_eq!(hold.to_string(), "hold=200ms/64@ic-ivau");
    assert_eq!(
        FabricOptions::parse("hold=3us")
            .unwrap()
            .hold
            .unwrap()
            .every,
        1
    );
    let itself = FabricOptions::parse("heal=1500ms").unwrap();
    assert_eq!(itself.heal, Some(Heal::After(1_500_000_000)));
    assert_eq!(itself.to_string(), "heal=1500ms");
    assert_eq!(options.depth, 4);

    let options = FabricOptions::parse("deaf=spin").unwrap();
    assert_eq!(options.to, DeafTo::Dvm);
    assert_eq!((options.early_comp, options.delay_ns), (false, 0));
    assert_eq!((options.fault, options.heal), (None, None));
    assert_eq!(options.deaf.unwrap().cpus, None);
}

#[test]
fn each_mistake_names_itself_and_what_is_allowed() {
    for (text, parts) in [
        ("", ["''", "allowed: deaf="]),
        ("deaf", ["'deaf'", "allowed: deaf="]),
        ("hear=spin", ["hear: no such key", "allowed: deaf="]),
        ("deaf=", ["deaf: ''", "allowed: parked"]),
        ("deaf=spin+", ["deaf: ''", "allowed: parked"]),
        ("deaf=sleep", ["deaf: 'sleep'", "branch-self"]),
        ("deaf=spin@", ["deaf: '@'", "allowed: a CPU list"]),
        ("deaf=spin@3-1", ["deaf:", "backwards"]),
        ("deaf=spin@0-3,7x", ["deaf: '7x'", "0-23,25-127"]),
        ("deaf=spin@600", ["deaf: CPU 600", "at most 511"]),
        ("deaf=spin,7", ["'7'", "no CPU list"]),
        ("deaf=spin@1,,2", ["''", "no CPU list"]),
        ("deaf=spin@1,depth=2,7", ["'7'", "no CPU list"]),
        ("to=every", ["to: 'every'", "dvm, snoop, both, all"]),
        ("depth=0", ["depth: '0'", "1 to 64"]),
        ("depth=65", ["depth: '65'", "1 to 64"]),
        ("depth=+4", ["depth: '+4'", "1 to 64"]),
        ("early-comp=yes", ["early-comp: 'yes'", "on, off"]),
        ("delay=50", ["delay: '50'", "ns, us, ms"]),
        ("delay=us", ["delay: 'us'", "ns, us, ms"]),
        ("delay=11s", ["delay: '11s'", "up to 10s"]),
        (
            "delay=99999999999999999999ns",
            ["delay: '9999", "up to 10s"],
        ),
        ("hold=1ms/0", ["hold: '0'", "1 to"]),
        ("hold=1/3", ["hold: '1'", "ns, us, ms"]),
        ("hold=1ms@dsb-ish", ["hold: 'dsb-ish'", "allowed: dc-civac"]),
        ("hold=1ms@ic-iallu", ["sends a message", "tlbi-vmalle1is"]),
        ("fault=dsb-ish", ["fault: 'dsb-ish'", "allowed: dc-civac"]),
        (
            "fault=tlbi-vmalle1is",
            ["can fault", "dc-cvac, dc-ivac, ic-ivau"],
        ),
        ("lose=ic-ivau", ["'ic-ivau'", "allowed: tlbi-v"]),
        ("lose=tlbi-vmalle1", ["other cores'", "tlbi-vmalle1is"]),
        ("heal=hope", ["heal: 'hope'", "psci, never"]),
        ("heal=11s", ["heal: '11s'", "up to 10s"]),
        ("depth=2,depth=3", ["'depth' is given twice", "once"]),
    ] {
        let error = FabricOptions::parse(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn the_default_writes_something_to_read() {
    let text = FabricOptions::default().to_string();
    assert_eq!(text, "depth=4");
    assert_eq!(FabricOptions::parse(&text), Ok(FabricOptions::default()));
}

fn cpus() -> impl Strategy<Value = Option<CpuSet>> {
    let set = prop::collection::vec(0..crate::cpuset::MAX_CPUS, 1..8)
        .prop_map(|cpus| cpus.into_iter().collect());
    prop::option::of(set)
}

fn options() -> impl Strategy<Value = FabricOptions> {
    let states = prop::collection::vec(prop::sample::select(StaleState::ALL), 0..5);
    let deaf = (states, any::<bool>(), cpus()).prop_map(|(states, inherited, cpus)| Deaf {
        // There must be at least one.
        inherited: inherited || states.is_empty(),
        states: states.into_iter().collect(),
        cpus,
    });
    let delay = prop_oneof![
        Just(0),
        (1..=10_u64).prop_map(|s| s * 1_000_000_000),
        (1..=999_u64).prop_map(|us| us * 1_000),
        0..=MAX_DELAY_NS,
    ];
    let hold = (
        0..=MAX_DELAY_NS,
        1..=u32::MAX,
        prop::option::of(prop::sample::select(vec![
            Maintenance::DcCivac,
            Maintenance::IcIvau,
            Maintenance::TlbiVmalle1is,
        ])),
    )
        .prop_map(|(ns, every, only)| Hold { ns, every, only });
    let fault = prop::sample::select(vec![
        Maintenance::DcCivac,
        Maintenance::DcCvau,
        Maintenance::DcCvac,
        Maintenance::IcIvau,
    ]);
    (
        prop::option::of(deaf),
        prop::sample::select(DeafTo::ALL),
        1..=MAX_DEPTH,
        any::<bool>(),
        delay,
        prop::option::of(hold),
        prop::option::of(fault),
        prop::option::of(prop::sample::select(vec![
            Maintenance::TlbiVaae1is,
            Maintenance::TlbiVmalle1is,
        ])),
        prop::option::of(prop_oneof![
            prop::sample::select(Rung::ALL).prop_map(Heal::By),
            (0..=MAX_DELAY_NS).prop_map(Heal::After),
        ]),
    )
        .prop_map(
            |(deaf, to, depth, early_comp, delay_ns, hold, fault, lose, heal)| FabricOptions {
                deaf,
                to,
                depth,
                early_comp,
                delay_ns,
                hold,
                fault,
                lose,
                heal,
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(options in options()) {
        prop_assert_eq!(FabricOptions::parse(&options.to_string()), Ok(options));
    }

    #[test]
    fn never_panics(text in "((deaf|to|depth|delay|hold|heal|fault|lose)=)?[a-z0-9@+,=./-]{0,24}") {
        let _ = FabricOptions::parse(&text);
    }
}

#[test]
fn what_is_usual_may_be_said_and_is_not_repeated() {
    for (text, says) in [
        ("hold=3us", "hold=3us"),
        ("hold=3us/1", "hold=3us"),
        ("hold=3us/2", "hold=3us/2"),
        ("deaf=spin,heal=never", "deaf=spin"),
        ("deaf=spin+wfe+spin", "deaf=wfe+spin"),
        ("to=dvm,early-comp=off,delay=0ns,depth=8", "depth=8"),
    ] {
        assert_eq!(FabricOptions::parse(text).unwrap().to_string(), says);
    }
}
