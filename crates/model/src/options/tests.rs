use super::*;
use proptest::prelude::*;

#[test]
fn the_report_own_run_round_trips() {
    let text = "console=ttyAMA0 stalecore.ops=ic-ivau,flush-icache-range stalecore.stale=spin \
                stalecore.stale-cpus=0-23,25-127 stalecore.initiators=24 stalecore.sentinel=off \
                stalecore.max-slowdown=1.5 stalecore.deadline-ms=500";
    let options = Options::from_bootargs(text).unwrap();
    assert_eq!(options.initiators, CpuSet::one(24));
    assert_eq!(options.max_slowdown, Some(1500));
    assert_eq!(Options::from_bootargs(&options.to_bootargs()), Ok(options));
}

#[test]
fn each_mistake_names_itself_and_what_is_allowed() {
    for (text, parts) in [
        ("stalecore.op=ic-ivau", ["op:", "allowed: preset, ops"]),
        ("stalecore.ops=ic-iva", ["'ic-iva'", "ic-ivau"]),
        ("stalecore.stale=", ["''", "spin"]),
        ("stalecore.samples=0", ["'0'", "1 to"]),
        ("stalecore.samples", ["samples", "no '='"]),
        ("stalecore.max-slowdown=0.5", ["0.5", "1.0 to"]),
        ("stalecore.max-slowdown=2.", ["'2.'", "1.0 to"]),
        ("stalecore.max-slowdown=.5", ["'.5'", "1.0 to"]),
        ("stalecore.max-slowdown=+2", ["'+2'", "1.0 to"]),
        ("stalecore.max-slowdown=2.+5", ["'2.+5'", "1.0 to"]),
        ("stalecore.max-slowdown=1.2345", ["'1.2345'", "up to 3"]),
        ("stalecore.max-slowdown=1000001", ["'1000001'", "1000000"]),
        ("stalecore.max-slowdown=10000000", ["'10000000'", "1000000"]),
        ("stalecore.initiators=", ["initiators", "at least one"]),
        ("stalecore.sentinel=x", ["'x'", "auto, off"]),
        ("stalecore.semihosting=yes", ["'yes'", "on, off"]),
        ("stalecore.scenario=crash", ["'crash'", "plan, kdump"]),
        (
            "stalecore.framebuffer=yes",
            ["framebuffer: 'yes'", "auto, on, off, or ADDRESS"],
        ),
        ("stalecore.preset=none", ["'none'", "first-light, kdump"]),
        ("stalecore.wait=0s", ["'0s'", "1ms to 86400s"]),
        ("stalecore.dwell=1s,2h", ["'2h'", "0ms to 3600s"]),
        (
            "stalecore.device-stuck-at=4096",
            ["'4096'", "like 0x9010000"],
        ),
        (
            "stalecore.device-stuck-at=0x9010002",
            ["0x9010002", "a multiple of 4"],
        ),
        (
            "stalecore.device-stuck-at=0x1000000000000",
            ["0x1", "below"],
        ),
        (
            "stalecore.device-stuck-at=0x0",
            ["'0x0'", "a multiple of 4"],
        ),
        ("stalecore.kernel=5.4", ["'5.4'", "5.10, 5.16"]),
        ("stalecore.watchdog-thresh=0", ["'0'", "10ms to 60s"]),
        ("stalecore.watchdog-thresh=+1s", ["'+1s'", "10ms to 60s"]),
    ] {
        let error = Options::from_bootargs(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn a_crash_round_trips() {
    let text = "stalecore.scenario=kdump stalecore.kernel=6.12 stalecore.trace=on \
                stalecore.watchdog-thresh=10";
    let options = Options::from_bootargs(text).unwrap();
    assert_eq!(options.scenario, Scenario::Kdump);
    assert_eq!(
        (options.kernel, options.watchdog_ms),
        (Kernel::V6_12, 10_000)
    );
    assert_eq!(Options::from_bootargs(&options.to_bootargs()), Ok(options));
}

/// Wherever it stands, the other words depart from it.
#[test]
fn a_preset_is_departed_from() {
    for preset in Preset::ALL {
        let text = std::format!("stalecore.preset={}", preset.name());
        for word in preset.words().split(' ') {
            let (key, value) = word.split_once('=').unwrap();
            assert_eq!(Options::default().set(key, value), Ok(()), "{word}");
        }
        let options = Options::from_bootargs(&text).unwrap();
        assert_eq!(
            (options.preset, options.to_bootargs()),
            (Some(*preset), text)
        );
    }
    let text = "stalecore.samples=9 stalecore.preset=first-light stalecore.stale=wfe";
    let options = Options::from_bootargs(text).unwrap();
    assert_eq!(
        (options.samples, &options.stale[..]),
        (9, &[StaleState::Wfe][..])
    );
    assert_eq!(options.ops, Options::of(Preset::FirstLight).ops);
    let text = options.to_bootargs();
    assert_eq!(
        text,
        "stalecore.preset=first-light stalecore.stale=wfe stalecore.samples=9"
    );
    assert_eq!(Options::from_bootargs(&text), Ok(options));
    // What a preset sets can be set back.
    let text = "stalecore.preset=kdump stalecore.scenario=plan";
    let options = Options::from_bootargs(text).unwrap();
    assert_eq!(options.scenario, Scenario::Plan);
    assert_eq!(options.to_bootargs(), text);
}

/// A value that is not the default's is read and written by the same row.
#[test]
fn each_key_writes_what_it_reads() {
    let values = [
        ("preset", "first-light"),
        ("ops", "ic-ivau,dsb-sy"),
        ("stale", "spin"),
        ("allow", "device-stuck,cpu-off-abandoned"),
        ("device-stuck-at", "0x9010000"),
        ("stale-cpus", "1-3"),
        ("initiators", "2"),
        ("lines", "cold,shared"),
        ("cases", "1-3,7"),
        ("samples", "7"),
        ("deadline-ms", "70"),
        ("max-slowdown", "1.250"),
        ("sweep", "off"),
        ("sentinel", "5"),
        ("counter", "cntvct"),
        ("dsb", "osh"),
        ("stage2", "on"),
        ("icount", "on"),
        ("witness", "off"),
        ("fabric", "deaf=spin"),
        ("bisect", "on"),
        ("recorder", "off"),
        ("wait", "9ms"),
        ("dwell", "0ms,9ms"),
        ("after-block", "reset"),
        ("disturb-inherited", "on"),
        ("then", "reset"),
        ("ramoops", "on"),
        ("framebuffer", "off"),
        ("ask", "on"),
        ("semihosting", "on"),
        ("hold", "on"),
        ("scenario", "kdump"),
        ("kernel", "6.1"),
        ("trace", "on"),
        ("watchdog-thresh", "10ms"),
    ];
    assert!(
        values
            .iter()
            .map(|(key, _)| *key)
            .eq(KEYS.iter().map(|k| k.name))
    );
    for (key, value) in values {
        let text = std::format!("stalecore.{key}={value}");
        assert_eq!(Options::from_bootargs(&text).unwrap().to_bootargs(), text);
    }
}

#[test]
fn the_default_needs_no_words() {
    assert_eq!(Options::default().to_bootargs(), "");
    assert_eq!(Options::from_bootargs("quiet"), Ok(Options::default()));
}

proptest! {
    #[test]
    fn never_panics(text in "(stalecore\\.[a-z-]{1,12}=.{0,20} ?){0,4}") {
        let _ = Options::from_bootargs(&text);
    }

    #[test]
    fn every_key_is_known(index in 0..KEYS.len(), value in "[a-z0-9.,-]{0,8}") {
        if let Err(error) = Options::default().set(KEYS[index].name, &value) {
            prop_assert!(!error.contains("no such key"), "{}", error);
        }
    }
}

/// A board that is told to come back does, whatever else is wrong.
#[test]
fn the_end_is_known_beside_words_that_are_wrong() {
    for (text, end) in [
        ("stalecore.then=reset stalecore.bogus=1", Then::Reset),
        ("stalecore.ops stalecore.then=reset", Then::Reset),
        ("stalecore.then=reset stalecore.then=soon", Then::Reset),
        ("stalecore.bogus=1", Then::Off),
        ("then=reset", Then::Off),
    ] {
        assert_eq!(Options::end_of(text), end, "{text}");
    }
}
