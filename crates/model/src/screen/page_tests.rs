//! What is on the page after which records.

use super::*;
use crate::{
    cpuset::CpuSet,
    glossary::LineState,
    plan::Case,
    record::{GroupRecord, Maker, PlanRecord},
};
use proptest::prelude::*;

fn plan(cases: u32) -> Record {
    Record::Plan(PlanRecord {
        cases,
        initiators: CpuSet::one(0),
        stale: CpuSet::parse("1-6").unwrap(),
        samples: 64,
        deadline_ms: 1000,
        threshold: 2000,
        strict: false,
        options: None,
        under_test: None,
    })
}

fn group(first: u32, cases: u32) -> Record {
    Record::Group(GroupRecord {
        state: StaleState::Spin,
        line: LineState::DirtyHere,
        first,
        cases,
    })
}

const fn case(number: usize) -> Case {
    Case {
        number,
        subject: Subject::IcIvau,
        state: StaleState::Spin,
        line: LineState::DirtyHere,
    }
}

fn ended(number: usize, verdict: Verdict, by: Option<Maker>) -> Record {
    let mut record = CaseRecord::blank(&case(number), verdict, None);
    record.by = by;
    Record::Case(record.into())
}

fn block(number: usize) -> Record {
    let seen = crate::mark::Seen {
        sequence: 1,
        site: None,
        address: 0,
        returned: 0,
    };
    Record::Block(case(number).block(0, &seen, 1200, "sentinel"))
}

fn end(exit: u8, verdicts: &[(Verdict, u32)]) -> Record {
    Record::End(End {
        exit,
        verdicts: verdicts.to_vec(),
        elapsed_ms: 12_345,
    })
}

fn after(columns: usize, rows: usize, records: &[Record]) -> Page {
    let mut page = Page::new(columns, rows);
    assert!(records.iter().all(|record| page.take(record)));
    page
}

fn texts(page: &Page) -> Vec<String> {
    page.lines().into_iter().map(|(_, text)| text).collect()
}

fn has(page: &Page, part: &str) {
    let lines = texts(page);
    assert!(
        lines.iter().any(|line| line.contains(part)),
        "{part}: {lines:?}"
    );
}

#[test]
fn it_says_how_far_the_run_is() {
    let mut page = after(120, 24, &[plan(24), group(13, 4)]);
    assert!(texts(&page)[0].starts_with("stalecore 0."));
    has(&page, "CPU 0 against CPUs 1-6, 64 samples");
    has(
        &page,
        "0 of 24 done; cases 13-16: stale cores in spin, lines dirty-here",
    );
    page.now(13, 15, Subject::DcCivac);
    has(&page, "lines dirty-here; now 13-15");
    page.now(15, 15, Subject::IcIvau);
    has(&page, "lines dirty-here; now 15, ic-ivau");
    assert!(page.take(&ended(13, Verdict::Completed, None)));
    assert!(page.take(&ended(14, Verdict::Slowed, None)));
    has(&page, "2 of 24 done");
    has(&page, "1 completed, 1 slowed");
}

#[test]
fn it_says_what_machine_it_is_and_goes_on_where_a_reset_left_it() {
    let machine = crate::run::tests::machine();
    let said = format!(
        "{}: {} cores, {} MiB, entered at EL{}",
        machine.model, machine.cpus, machine.memory_mib, machine.entry_el
    );
    let resume = crate::record::Resume {
        boots: 2,
        finished: 7,
        unfinished: None,
    };
    let mut page = after(120, 24, &[Record::Machine(machine.into()), plan(9)]);
    has(&page, &said);
    assert!(page.take(&Record::Resume(resume)));
    has(&page, "7 of 9 done");
    for number in 8..=10 {
        assert!(page.take(&ended(number, Verdict::Completed, None)));
    }
    // Not more than there are.
    has(&page, "9 of 9 done");
    has(&page, "3 completed");
}

#[test]
fn what_has_no_room_is_counted_with_what_is_not_kept() {
    let mut page = after(80, 24, &[plan(400)]);
    assert!((1..=2).all(|number| page.take(&block(number))));
    let shown = |room| {
        let lines: Vec<String> = page
            .findings(room)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        let more = lines
            .last()
            .filter(|line| line.starts_with("and "))
            .cloned();
        (lines.len(), more)
    };
    assert_eq!(shown(2), (2, None));
    assert_eq!(shown(1), (1, Some("and 2 more".into())));
    assert_eq!(shown(0), (0, None));
    for number in 3..=40 {
        assert!(page.take(&block(number)));
    }
    let last = |room| page.findings(room).pop().map(|(_, text)| text);
    assert_eq!(last(33).as_deref(), Some("and 8 more"));
    assert_eq!(last(99).as_deref(), Some("and 8 more"));
    assert_eq!(last(32).as_deref(), Some("and 9 more"));
}

#[test]
fn a_line_is_full_to_its_last_column_and_no_further() {
    let page = Page::new(40, 12);
    let lines = |text: &str| -> Vec<String> {
        let lines = page.wrapped(Ink::Plain, text);
        lines.into_iter().map(|(_, line)| line).collect()
    };
    let full = "a".repeat(40);
    assert_eq!(lines(&full).join("|"), full);
    assert_eq!(lines(&format!("{full}b")), [full.clone(), "b".into()]);
    assert_eq!(lines(&format!("{full} b")), [full.clone(), "b".into()]);
    assert_eq!(
        lines("tab\there, and no letter \u{7}"),
        ["tab here, and no letter ?"]
    );
    // Three lines, and then dots; not where all is there.
    assert_eq!(
        lines(&full.repeat(3)),
        [full.clone(), full.clone(), full.clone()]
    );
    let cut = format!("{}...", &full[..37]);
    assert_eq!(lines(&full.repeat(4)), [full.clone(), full, cut]);
}

#[test]
fn cores_that_are_parked_are_in_no_state() {
    let said = |state, why| others_in(state, why);
    assert_eq!(said(StaleState::Parked, None), "every other core parked");
    assert_eq!(said(StaleState::Spin, None), "stale cores in spin");
    let baseline = said(StaleState::Spin, Some(BASELINE_BLOCKED));
    assert_eq!(baseline, "every other core parked");
    assert_eq!(
        said(StaleState::Spin, Some("another")),
        "stale cores in spin"
    );
}

#[test]
fn a_block_is_there_as_soon_as_it_is_found_and_once() {
    let mut page = after(120, 24, &[plan(2), group(1, 2), block(2)]);
    has(
        &page,
        "case 2: CPU 0 had not returned from ic ivau after 1200 ms",
    );
    assert!(page.lines().iter().any(|(ink, _)| *ink == Ink::Bad));
    assert!(page.take(&ended(2, Verdict::Blocked, None)));
    let all = texts(&page).join("\n");
    assert_eq!(all.matches("case 2:").count(), 1, "{all}");
    assert!(page.take(&ended(1, Verdict::Faulted, Some(Maker::Fabric))));
    has(
        &page,
        "case 1: faulted: ic-ivau, stale cores in spin, made by the fabric, a model",
    );
}

#[test]
fn the_answer_is_what_the_code_stands_for() {
    use Verdict::{Blocked, Completed, Inconclusive, Slowed};
    for (exit, found, verdicts, ink, answer) in [
        (
            0,
            Completed,
            (Completed, 3),
            Ink::Good,
            "No case blocked, faulted or was slowed",
        ),
        (
            0,
            Slowed,
            (Slowed, 2),
            Ink::Good,
            "No case blocked or faulted; 2 were slowed",
        ),
        (
            1,
            Slowed,
            (Slowed, 1),
            Ink::Doubt,
            "Slowed: case 1, ic-ivau, stale cores in spin",
        ),
        (
            4,
            Blocked,
            (Blocked, 3),
            Ink::Bad,
            "Blocked: case 1, ic-ivau, stale cores in spin, and 2 more",
        ),
        (
            6,
            Inconclusive,
            (Inconclusive, 1),
            Ink::Doubt,
            "Inconclusive: case 1, ic-ivau",
        ),
        (
            6,
            Completed,
            (Verdict::Skipped, 1),
            Ink::Doubt,
            "Nothing was decisively tested",
        ),
    ] {
        let page = after(
            120,
            24,
            &[plan(3), ended(1, found, None), end(exit, &[verdicts])],
        );
        let line = page
            .lines()
            .into_iter()
            .find(|(_, text)| text.starts_with(answer));
        assert_eq!(
            line.map(|(ink, _)| ink),
            Some(ink),
            "{answer}: {:?}",
            texts(&page)
        );
        has(&page, &format!("exit code {exit}: "));
        has(&page, "ended after 12 s");
    }
}

#[test]
fn why_the_harness_ends_is_the_answer() {
    let mut page = Page::new(40, 12);
    page.fail("ramoops: nothing says where it is; allowed: a node in the device tree");
    has(&page, "ramoops: nothing says where it is;");
    page.stays(Some(60_000));
    has(&page, "ended; this stays for 60 s");
    assert_eq!(page.lines().last().unwrap().0, Ink::Bad);
}

#[test]
fn the_answer_is_seen_whatever_was_found() {
    for rows in 12..40 {
        let mut page = after(40, rows, &[plan(400)]);
        for number in 1..=200 {
            assert!(page.take(&block(number)));
            assert!(page.lines().len() <= rows);
            assert!(page.take(&ended(number, Verdict::Blocked, None)));
        }
        has(&page, "more");
        assert!(page.take(&end(4, &[(Verdict::Blocked, 200)])));
        let lines = texts(&page);
        assert!(lines.len() <= rows);
        let last = lines.last().unwrap();
        assert!(last.starts_with("exit code 4: blocked"), "{lines:?}");
        has(&page, "Blocked: case 1, ic-ivau,");
    }
}

#[test]
fn every_one_found_is_shown_or_counted() {
    let mut page = after(80, 20, &[plan(50)]);
    for number in 1..=50 {
        assert!(page.take(&ended(number, Verdict::Faulted, None)));
    }
    let lines = texts(&page);
    let shown = lines
        .iter()
        .filter(|line| line.contains(": faulted:"))
        .count();
    has(&page, &format!("and {} more", 50 - shown));
    assert!(shown > 5, "{lines:?}");
}

proptest! {
    #[test]
    fn lines_are_no_longer_than_the_screen_and_ascii(
        columns in 40_usize..200,
        rows in 12_usize..80,
        why in "\\PC{0,600}",
    ) {
        let mut page = Page::new(columns, rows);
        page.fail(&why);
        for (_, line) in page.lines() {
            prop_assert!(line.len() <= columns);
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn wrapping_keeps_each_word_that_there_is_room_for(words in proptest::collection::vec("[a-z]{1,12}", 0..8)) {
        let text = words.join(" ");
        let lines = Page::new(40, 12).wrapped(Ink::Plain, &text);
        let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        if text.len() <= 80 {
            prop_assert_eq!(lines.join(" "), text);
        }
    }
}
