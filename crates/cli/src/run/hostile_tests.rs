//! Consoles broken in every way, put through everything that is made from a run.

use std::path::Path;

use proptest::prelude::*;
use stalecore_model::{
    console::{Line, Lines},
    cpuset::CpuSet,
    glossary::Subject,
    kdump::{KdumpRecord, Step},
    reader::Reader,
    record::{Record, SEALED},
    run::Run,
};

use super::{judge, show, watch::Stop};
use crate::{
    junit, report, store,
    synthetic::{self, Shape},
};

/// What stands on the console of a run with a block, a fault and a bisection.
fn console() -> Vec<String> {
    let run = synthetic::run(&Shape {
        cases: 24,
        samples: 40,
        sweep: true,
        initiators: 2,
        ..Shape::default()
    });
    let mut machine = run.machine.unwrap();
    // Without number and checksum, so that damaged records are read too.
    machine.schema = SEALED - 1;
    let mut records = vec![Record::Machine(Box::new(machine))];
    records.extend(run.marks.map(Record::Marks));
    records.extend(run.cores.into_iter().map(Record::Cores));
    records.extend(run.plan.map(Record::Plan));
    records.extend(run.groups.into_iter().map(Record::Group));
    let cases = run.cases.into_iter();
    records.extend(cases.map(|case| Record::Case(Box::new(case))));
    records.extend(run.blocks.into_iter().map(Record::Block));
    records.extend(run.bisections.into_iter().map(Record::Bisect));
    records.push(Record::Fault(synthetic::plain::fault(2, Subject::IcIvau)));
    records.push(Record::Kdump(KdumpRecord {
        step: Step::FlushIcache,
        at_ms: 1200,
        cpu: 0,
        cpus: Some(CpuSet::first(2)),
        detail: Some("said".into()),
    }));
    records.extend(run.icount.map(Record::Icount));
    records.extend(run.end.map(Record::End));
    let line = |record: &Record| format!("# {}", record.to_json().unwrap());
    records.iter().map(line).collect()
}

/// What a number is replaced with.
const NUMBERS: [&str; 8] = [
    "0",
    "4294967295",
    "18446744073709551615",
    "-1",
    "NaN",
    "1e999",
    "[[[[]]]]",
    "\"0xffffffffffffffff\"",
];

/// One thing that goes wrong on the way.
#[derive(Clone, Debug)]
enum Mishap {
    Lost(usize),
    Twice(usize, usize),
    Swapped(usize, usize),
    Cut(usize, usize),
    Joined(usize),
    Flipped(usize, usize, u8),
    Number(usize, usize, usize),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let (line, place) = (0..1000_usize, 0..1000_usize);
    prop_oneof![
        line.clone().prop_map(Mishap::Lost),
        (line.clone(), line.clone()).prop_map(|(a, b)| Mishap::Twice(a, b)),
        (line.clone(), line.clone()).prop_map(|(a, b)| Mishap::Swapped(a, b)),
        (line.clone(), place.clone()).prop_map(|(a, b)| Mishap::Cut(a, b)),
        line.clone().prop_map(Mishap::Joined),
        (line.clone(), place.clone(), any::<u8>()).prop_map(|(a, b, c)| Mishap::Flipped(a, b, c)),
        (line, place, 0..NUMBERS.len()).prop_map(|(a, b, c)| Mishap::Number(a, b, c)),
    ]
}

fn befall(lines: &mut Vec<Vec<u8>>, mishap: &Mishap) {
    let count = lines.len();
    if count == 0 {
        return;
    }
    match *mishap {
        Mishap::Lost(at) => drop(lines.remove(at % count)),
        Mishap::Twice(from, to) => lines.insert(to % count, lines[from % count].clone()),
        Mishap::Swapped(a, b) => lines.swap(a % count, b % count),
        Mishap::Cut(at, length) => lines[at % count].truncate(length),
        Mishap::Joined(at) => {
            let first = lines.remove(at % count);
            if let Some(next) = lines.get_mut(at % count) {
                next.splice(0..0, first);
            }
        }
        Mishap::Flipped(at, place, byte) => {
            let line = &mut lines[at % count];
            let length = line.len();
            if let Some(slot) = line.get_mut(place % length.max(1)) {
                *slot = byte;
            }
        }
        Mishap::Number(at, nth, with) => {
            let line = &mut lines[at % count];
            let text = String::from_utf8_lossy(line).into_owned();
            let starts: Vec<_> = text.match_indices(':').map(|(i, _)| i + 1).collect();
            let Some(start) = starts.get(nth % starts.len().max(1)) else {
                return;
            };
            let value = &text[*start..];
            let digits = value.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                *line = format!("{}{}{}", &text[..*start], NUMBERS[with], &value[digits..]).into();
            }
        }
    }
}

/// The run that a session reads from a console.
fn read(bytes: &[u8]) -> Run {
    let mut run = Run {
        schema: stalecore_model::record::SCHEMA,
        answer: "none".into(),
        console_bytes: bytes.len() as u64,
        ..Run::default()
    };
    let mut reader = Reader::default();
    let mut take = |line| match line {
        Line::Record(record, seal) => drop(reader.take(&mut run, record, seal)),
        Line::Garbled { .. } | Line::TooLong { .. } => run.garbled += 1,
        _ => {}
    };
    let mut lines = Lines::default();
    lines.feed(bytes, &mut take);
    lines.finish(&mut take);
    run
}

#[test]
fn an_unbroken_console_is_read_whole() {
    let run = read(console().join("\n").as_bytes());
    assert_eq!((run.garbled, run.cases.len()), (0, 24));
    assert!(!run.blocks.is_empty() && !run.bisections.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_befalls_a_console(mishaps in prop::collection::vec(mishap(), 0..40)) {
        let mut lines: Vec<Vec<u8>> = console().into_iter().map(Vec::from).collect();
        for mishap in &mishaps {
            befall(&mut lines, mishap);
        }
        let run = read(&lines.join(&b'\n'));
        // What can be written can be read, and is written the same. A histogram that was
        // damaged may be finer than one that is written.
        let kept = serde_json::to_string(&run).unwrap();
        let again = store::parse(kept.as_bytes()).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), &*kept);
        prop_assert_eq!(store::parse(kept.as_bytes()).unwrap(), again);
        judge::judge(&run, &judge::Ending::new(Stop::Closed), None);
        for width in [40, 80] {
            for line in show::text(&run, width, true).lines() {
                prop_assert!(!line.contains('\u{1b}'), "{line:?}");
            }
        }
        let nowhere = Path::new("/dev/null");
        report::write_html(std::slice::from_ref(&run), nowhere).unwrap();
        junit::write(&run, nowhere).unwrap();
    }
}
