//! A console that is damaged on its way: bytes changed, lines lost, doubled or inserted.
//! Nothing must look fine that is not.

use std::{fs, process::Command};

use stalecore_model::glossary::Verdict;

use crate::{
    consoles::{PLAN, blocked, fine},
    fake::{Ended, Fake},
};

#[test]
fn garbage_between_and_after() {
    let text = fine().text();
    let (begin, rest) = text.split_at(text.find("# {\"case\"").unwrap());
    let (cases, rest) = rest.split_at(rest.find("    KTAP").unwrap());
    let mut bytes = b"\xff\xfe\x1b[2J firmware\r\n\0\0".to_vec();
    bytes.extend(begin.bytes());
    bytes.extend(b"# {\"case\":{\"n\":1,\n# {\"weather\":{}}\n");
    bytes.extend(cases.bytes());
    bytes.extend(vec![b'x'; 200_000]);
    bytes.extend(format!("\n{rest}").bytes());
    let fake = Fake::new(bytes, "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains("3 lines of the console were garbled, 1 of them too long")
    );
    assert_eq!((fake.saved().garbled, fake.saved().cases.len()), (3, 4));
    // None of it steers the terminal.
    assert!(!ended.out.contains('\u{1b}'));
}

#[test]
fn nothing_but_garbage() {
    let fake = Fake::new("", "head -c 300000 /dev/urandom; exit 0");
    let ended = fake.run("--quiet");
    assert_eq!(ended.code, 2);
    ended.one_line(&["no closing record before the first case"]);
}

#[test]
fn a_flood() {
    let fake = Fake::new("", "exec yes flood");
    let ended = fake.run("--quiet");
    assert_eq!(ended.code, 2);
    ended.one_line(&["flooded"]);
    assert!(!fake.alive());
    assert!(fs::metadata(fake.path("out/console.log")).unwrap().len() < 80 << 20);
}

#[test]
fn a_record_that_never_ends() {
    let begin = r#"# {"note":{"text":""#;
    let fake = Fake::new(begin, "exec tr '\\0' x </dev/zero");
    let inner = fake.command("--quiet");
    let mut command = Command::new("sh");
    // It is not gathered in memory: 400 MiB of address space.
    command
        .args(["-c", "ulimit -v 409600; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 2);
    ended.one_line(&["flooded"]);
    assert!(!fake.alive());
}

#[test]
fn records_that_come_twice_or_in_another_order() {
    let mut console = fine();
    let again = blocked().cases.remove(0);
    console.cases.reverse();
    console.cases.push(again);
    // The plan again; a second machine would be one that was reset.
    let plan = console.begin.lines().nth(1).unwrap().to_string();
    console.begin += &format!("{plan}\n");
    let fake = Fake::new(console.text(), "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.out.contains("2 lines of the console were garbled"),
        "{ended:?}"
    );
    // The first of each counts: a second one cannot change what was found.
    let saved = fake.saved();
    assert_eq!((saved.garbled, saved.cases.len()), (2, 4));
    assert!(saved.cases.iter().all(|c| c.verdict == Verdict::Completed));
}

/// Without its lines that have `part` in them: lost on the way.
pub fn without(text: &str, part: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.contains(part)).collect()
}

#[test]
fn a_lost_case_is_no_answer() {
    // Lost on the way: a gap in the numbers.
    let fake = Fake::new(without(&fine().text(), "\"n\":2,"), "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 2);
    for part in ["of 4 cases 3 were read", "record 4 of the console was lost"] {
        assert!(ended.err.contains(part), "{part}: {ended:?}");
    }
    assert!(
        ended.out.contains("no record of case 2 was read"),
        "{ended:?}"
    );
    assert_eq!(fake.saved().lost, [[4, 4]]);
    let junit = fs::read_to_string(fake.path("out/junit.xml")).unwrap();
    assert!(junit.contains("<error") && junit.contains("of 4 cases 3 were read"));
    // Lost without a gap: the closing record counts otherwise.
    let mut console = fine();
    console.cases.remove(1);
    let fake = Fake::new(console.text(), "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("of 4 cases 3 were read"), "{ended:?}");
    // What blocked is still known, and the rest is not called fine.
    let fake = Fake::new(without(&blocked().text(), "\"n\":2,"), "exit 4");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 4);
    assert!(ended.out.contains("Of 4 cases 3 were read"), "{ended:?}");
}

#[test]
fn whatever_byte_is_damaged_nothing_looks_fine_that_is_not() {
    let text = blocked().text();
    // Forty of them, spread over the console; the tree and its plan say nothing
    // that the records do not.
    let records: Vec<_> = text
        .match_indices("# {")
        .flat_map(|(at, _)| at..at + text[at..].find('\n').unwrap())
        .collect();
    for nth in 0..40 {
        let mut bytes = text.clone().into_bytes();
        let at = records[nth * records.len() / 40];
        bytes[at] ^= 1 << (nth % 7);
        let fake = Fake::new(&bytes, "exit 4");
        let ended = fake.run(&format!("{PLAN} --quiet"));
        let saved = fake.saved();
        assert!(matches!(ended.code, 2 | 4), "byte {at}: {ended:?}");
        let lost = saved.unread().is_some() || saved.end.is_none();
        assert!(lost, "byte {at}: {ended:?}");
    }
}

#[test]
fn a_machine_that_is_not_known_is_not_taken_for_silicon() {
    let fake = Fake::new(without(&fine().text(), "\"machine\""), "exit 0");
    let ended = fake.run(PLAN);
    // Every case was read; times without the counter's frequency are no times.
    assert_eq!(ended.code, 0, "{ended:?}");
    let folded: Vec<_> = ended.out.split_whitespace().collect();
    let folded = folded.join(" ");
    assert!(
        folded.contains("All 4 cases were read; record 1 of the console was lost."),
        "{folded}"
    );
    assert!(folded.contains("? ×1.5"), "{folded}");
}

#[test]
fn what_a_console_server_says_again_changes_nothing() {
    let text = blocked().text();
    let at = text.find("# {\"case\"").unwrap();
    let twice = format!(
        "{}{}",
        &text[..at + text[at..].find('\n').unwrap() + 1],
        &text[at..]
    );
    let fake = Fake::new(twice, "exit 4");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 4);
    let saved = fake.saved();
    assert_eq!(
        (saved.garbled, saved.restarts, saved.cases.len()),
        (0, 0, 4)
    );
    assert_eq!(saved.unread(), None);
}

#[test]
fn another_run_behind_the_end_is_not_mixed_in() {
    let fake = Fake::new(fine().text() + &blocked().text(), "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains("behind the end of this run 1 other run began"),
        "{ended:?}"
    );
    let saved = fake.saved();
    assert_eq!(
        (saved.garbled, saved.followed_by, saved.restarts),
        (0, 1, 0)
    );
    assert!(saved.cases.iter().all(|c| c.verdict == Verdict::Completed));
}
