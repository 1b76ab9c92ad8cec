//! What must hold for any log, and for any piece of a log.

use std::{fs, path::Path};

use proptest::prelude::*;
use serde_json::Value;

use super::read;
use crate::{outcome::Status, reading::Reading};

/// Logs of the corpus to cut and mix: one crash each, stamped.
const BASES: &[&str] = &[
    "soft-lockup-4.18-stopped",
    "soft-lockup-5.10-saved",
    "hard-lockup-6.12-silent-capture",
    "soft-lockup-5.17-reset-after-bye",
    "sysrq-6.12-backtraces",
    "oops-5.4-silent-capture",
    "prefix-caller",
    "prefix-journal-iso",
];

fn base(index: usize) -> Vec<u8> {
    let name = format!("../../tests/triage/{}.log", BASES[index]);
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The steps present, by the order of the path.
fn present(reading: &Reading) -> Vec<usize> {
    let steps = reading.steps.iter().enumerate();
    steps
        .filter(|(_, s)| s.status == Status::Present)
        .map(|(i, _)| i)
        .collect()
}

/// A reading without its line numbers.
fn without_lines(reading: &Reading) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for place in ["line", "lines", "last_line", "last_text", "last_time"] {
                    fields.remove(place);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(reading).unwrap();
    strip(&mut value);
    value
}

/// Lines of a busy console that say nothing about a crash.
fn unrelated() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{2,8} [0-9]{4}:[0-9a-f]{2}:00.0: link is (up|down)",
        "audit: type=1400 audit\\([0-9]{10}.[0-9]{3}:[0-9]{1,4}\\): avc:  denied",
        "x[0-9]{2}: ffff[0-9a-f]{12} x[0-9]{2}: 0000[0-9a-f]{12}",
        "Modules linked in: [a-z_]{3,9} [a-z_]{3,9}",
        "CPU[0-9]: Booted secondary processor",
        "smp: [a-z ]{0,20}",
        "Kernel [a-z ]{0,20}",
        "[ -~]{0,60}[^ -~]{0,9}",
    ]
}

proptest! {
    /// Any bytes are read without a panic.
    #[test]
    fn any_bytes_are_read(log in proptest::collection::vec(any::<u8>(), 0..2000)) {
        read(&log);
    }

    /// So are the kernel's words in any order and any damage.
    #[test]
    fn any_mixture_of_messages_is_read(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("watchdog: BUG: soft lockup - CPU#".to_string()),
                Just(" stuck for 23s! [a:1]".to_string()),
                Just("Watchdog detected hard LOCKUP on cpu ".to_string()),
                Just("Kernel panic - not syncing: ".to_string()),
                Just("SMP: failed to stop secondary CPUs ".to_string()),
                Just("SMP: retry stop with NMI for CPUs ".to_string()),
                Just("SMP: stopping secondary CPUs".to_string()),
                Just("Starting crashdump kernel...".to_string()),
                Just("Some CPUs may be stale, kdump will be unreliable.".to_string()),
                Just("Bye!".to_string()),
                Just("CPU: 1 UID: 0 PID: 2 Comm: ".to_string()),
                Just(" Not tainted 6.1.0 #1".to_string()),
                Just("Call trace:".to_string()),
                Just("pc : f+0x1/0x2".to_string()),
                Just("f+0x10/0x20".to_string()),
                Just("---[ end trace 0 ]---".to_string()),
                Just("Booting Linux on physical CPU 0x0".to_string()),
                Just("Linux version 6.1.0 ".to_string()),
                Just("```".to_string()),
                Just("\n".to_string()),
                Just("\r".to_string()),
                Just("[ 1.000000] ".to_string()),
                Just("[ 9.000000][ T1] ".to_string()),
                "[0-9,\\-]{0,12}",
                "\\PC{0,6}",
            ],
            0..60,
        ),
    ) {
        for reading in read(pieces.concat().as_bytes()) {
            prop_assert!(reading.head.first_missing > reading.head.last_present
                || reading.head.first_missing.is_none());
        }
    }

    /// A log that ends early shows nothing that the whole log does not.
    #[test]
    fn cutting_the_end_invents_no_steps(index in 0..BASES.len(), at in 0.0..1.0_f64) {
        let log = base(index);
        let whole = read(&log);
        let cut = read(&log[..(log.len() as f64 * at) as usize]);
        prop_assert!(cut.len() <= whole.len());
        for (cut, whole) in cut.iter().zip(&whole) {
            let (some, all) = (present(cut), present(whole));
            prop_assert!(some.iter().all(|s| all.contains(s)), "{some:?} of {all:?}");
            let list = |r: &Reading| r.failed_to_stop.as_ref().filter(|f| f.whole)
                .map(|f| f.list.clone());
            prop_assert!(list(cut).is_none() || list(cut) == list(whole));
            prop_assert!(cut.head.stuck_s.is_none() || cut.head.stuck_s == whole.head.stuck_s);
        }
    }

    /// Nor does one that begins late; at most, one crash falls apart.
    #[test]
    fn cutting_the_beginning_invents_no_steps(index in 0..BASES.len(), at in 0.0..1.0_f64) {
        let log = base(index);
        let all: Vec<_> = read(&log).iter().flat_map(present).collect();
        for cut in read(&log[(log.len() as f64 * at) as usize..]) {
            let some = present(&cut);
            prop_assert!(some.iter().all(|s| all.contains(s)), "{some:?} of {all:?}");
        }
    }

    /// Nor does one with a piece missing.
    #[test]
    fn cutting_the_middle_invents_no_steps(
        index in 0..BASES.len(),
        from in 0.0..1.0_f64,
        length in 0.0..1.0_f64,
    ) {
        let log = base(index);
        let from = (log.len() as f64 * from) as usize;
        let to = from + ((log.len() - from) as f64 * length) as usize;
        let all: Vec<_> = read(&log).iter().flat_map(present).collect();
        for cut in read(&[&log[..from], &log[to..]].concat()) {
            let some = present(&cut);
            prop_assert!(some.iter().all(|s| all.contains(s)), "{some:?} of {all:?}");
        }
    }

    /// Other lines in between, with stamps or without, change nothing.
    #[test]
    fn unrelated_lines_change_nothing(
        index in 0..BASES.len(),
        noise in proptest::collection::vec((0.0..1.0_f64, unrelated(), any::<bool>()), 0..40),
    ) {
        let log = base(index);
        let mut lines: Vec<Vec<u8>> = log.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let end = lines.pop();
        prop_assert_eq!(end, Some(Vec::new()), "the base ends with a line end");
        for (place, text, stamped) in noise {
            let at = (lines.len() as f64 * place) as usize;
            let stamp = lines[at].iter().position(|b| *b == b' ').filter(|_| stamped);
            let close = lines[at].iter().position(|b| *b == b']').filter(|_| stamp.is_some());
            let mut line = close.map_or(Vec::new(), |i| lines[at][..=i].to_vec());
            line.extend_from_slice(b" ");
            line.extend_from_slice(text.as_bytes());
            lines.insert(at, line);
        }
        let mixed = [lines.join(&b'\n'), b"\n".to_vec()].concat();
        let (plain, mixed) = (read(&log), read(&mixed));
        let plain: Vec<_> = plain.iter().map(without_lines).collect();
        let mixed: Vec<_> = mixed.iter().map(without_lines).collect();
        prop_assert_eq!(plain, mixed);
    }
}
