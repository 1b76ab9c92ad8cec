//! Whatever bytes come, each of these returns: `STALECORE_FUZZ` says which of them reads
//! them. One program for all, so that it is built once.

#![no_main]

use std::{ops::Range, sync::LazyLock};

use crc::{CRC_32_ISO_HDLC, Crc};
use libfuzzer_sys::fuzz_target;
use stalecore_model::{
    acpi,
    console::{Line, Lines},
    options::Options,
    plan::Plan,
    platform::devicetree,
    reader::Reader,
    recorder::{Kind, Recorder},
    run::Run,
    symbols::Symbols,
};

/// Parts of the command, which is no library.
#[allow(dead_code)]
#[path = "../../../crates/cli/src"]
mod cli {
    pub mod flatten;
    pub mod store;
    pub mod whole_file;

    pub mod saved_log {
        pub mod capture;
        pub mod prefix;
    }
    pub mod serial {
        pub mod telnet;
    }
}
use cli::{flatten, saved_log as logs, serial, store, whole_file};

/// Reads bytes as one kind of input.
type Parser = fn(&[u8]);

/// All of them, by the name of their corpus.
const PARSERS: &[(&str, Parser)] = &[
    ("device-tree", device_tree),
    ("acpi", tables),
    ("boot-arguments", boot_arguments),
    ("console", console),
    ("run-json", run_json),
    ("kernel-log", kernel_log),
    ("recorder", recorder),
    ("saved-log", saved_log),
    ("telnet", telnet),
    ("elf", elf),
    ("symbols", symbols),
];

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    let name = std::env::var("STALECORE_FUZZ").unwrap_or_default();
    let found = PARSERS.iter().find(|(known, _)| *known == name);
    let names: Vec<_> = PARSERS.iter().map(|(known, _)| *known).collect();
    found
        .unwrap_or_else(|| panic!("STALECORE_FUZZ: {name}; allowed: {names:?}"))
        .1
});

fuzz_target!(|bytes: &[u8]| PARSER(bytes));

fn device_tree(bytes: &[u8]) {
    if let Ok(tree) = devicetree::Tree::new(bytes) {
        let _ = (tree.bootargs(), tree.platform());
    }
}

/// The bytes are memory from one address on; the RSDP is its begin.
fn tables(bytes: &[u8]) {
    const AT: u64 = 0x4000_0000;
    let memory = |address: u64, length: usize| {
        let from = usize::try_from(address.checked_sub(AT)?).ok()?;
        bytes.get(from..from.checked_add(length)?)
    };
    let _ = acpi::read(AT, memory);
}

fn boot_arguments(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(options) = Options::from_bootargs(&text) {
        let again = Options::from_bootargs(&options.to_bootargs());
        assert_eq!(again.as_ref(), Ok(&options));
        for cpus in [1, 8, 512] {
            let _ = Plan::new(&options, cpus);
        }
    }
}

fn console(bytes: &[u8]) {
    let (mut run, mut lines, mut reader) = (Run::default(), Lines::default(), Reader::asking());
    let mut sink = |line| {
        if let Line::Record(record, seal) = line {
            reader.take(&mut run, record, seal);
        }
    };
    for piece in bytes.chunks(97) {
        lines.feed(piece, &mut sink);
    }
    lines.finish(&mut sink);
    let _ = reader.request(&run);
    run.take_back_starved();
    let _ = run.unread();
    for case in &run.cases {
        let _ = run.found(case);
    }
}

fn run_json(bytes: &[u8]) {
    if let Ok(run) = store::parse(bytes) {
        for case in &run.cases {
            let _ = run.found(case);
        }
        let _ = Run::of_boots(vec![run.clone(), run]);
    }
}

fn kernel_log(bytes: &[u8]) {
    stalecore_triage::write_words(bytes, std::io::sink()).expect("nothing fails here");
    let mut json = Vec::new();
    stalecore_triage::write_json(bytes, "log", &mut json).expect("nothing fails here");
    serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
}

/// As they are, and once more with each checksum right: nobody guesses those.
fn recorder(bytes: &[u8]) {
    for mut bytes in [bytes.to_vec(), repaired(bytes.to_vec())] {
        if let Ok(Some(mut recorder)) = Recorder::resume(&mut bytes, || ()) {
            let log = recorder.log();
            let _ = (log.to_text(), log.begun(), log.flight(), log.trials(1));
            let _ = (log.first_entered(), log.idle_boots(), log.is_worth_saving());
            let before = log.entries().count();
            let flight = log.flight();
            recorder.set_in_flight(flight.as_ref());
            let more = recorder.append(Kind::Step, "more");
            assert_eq!(recorder.log().entries().count(), before + usize::from(more));
        }
    }
}

/// A region with its magic, version and checksums set right, as far as it goes.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    const PLAN: usize = 256;
    const JOURNAL: usize = 4096;
    if bytes.len() < JOURNAL + 8 {
        return bytes;
    }
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let half = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + 4)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let seal = |bytes: &mut [u8], over: Range<usize>, at: usize| {
        let sum = crc.checksum(&bytes[over]);
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    };
    bytes[..8].copy_from_slice(b"stalerec");
    bytes[8..12].copy_from_slice(&3_u32.to_le_bytes());
    let plan = half(&bytes, 12).unwrap_or(0).min(JOURNAL - PLAN);
    seal(&mut bytes, PLAN..PLAN + plan, 16);
    seal(&mut bytes, 0..24, 24);
    for slot in [64, 160] {
        let words = bytes[slot..slot + 64].chunks_exact(8);
        let sum = words.fold(u64::from_le_bytes(*b"stalerec"), |sum, word| {
            let word = u64::from_le_bytes(*word.first_chunk().expect("eight"));
            (sum.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        bytes[slot + 64..slot + 72].copy_from_slice(&sum.to_le_bytes());
    }
    let mut at = JOURNAL;
    while let Some(length) = half(&bytes, at).filter(|length| *length > 0) {
        let body = at + 8..at + 8 + length;
        if body.end > bytes.len() {
            break;
        }
        seal(&mut bytes, body.clone(), at + 4);
        at = body.end.next_multiple_of(8);
    }
    bytes
}

fn saved_log(bytes: &[u8]) {
    let _ = logs::capture::capture(bytes);
}

fn telnet(bytes: &[u8]) {
    let (mut bytes, mut answer) = (bytes.to_vec(), Vec::new());
    let length = serial::telnet::Telnet::default().take(&mut bytes, &mut answer);
    assert!(length <= bytes.len() && answer.len() <= 3 * bytes.len());
}

fn elf(bytes: &[u8]) {
    let _ = flatten::flat(bytes);
}

fn symbols(bytes: &[u8]) {
    if let Some(symbols) = Symbols::read(bytes) {
        for offset in [0, 1, 0x1000, u64::MAX] {
            let found = symbols.find_with_room(offset);
            let _ = found.map(|(name, ..)| name.to_string());
        }
    }
}
