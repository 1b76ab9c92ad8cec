//! Everything that can happen to a run, on an emulator that makes it happen.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use stalecore_model::{glossary::Verdict, record::SCHEMA};

use crate::{
    consoles::{PLAN, blocked, fine, sealed},
    fake::{Ended, Fake, stalecore},
};

#[test]
fn a_run_in_order() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.out.starts_with("No: all 4 cases returned"),
        "{ended:?}"
    );
    assert!(ended.out.contains("about the harness only"), "{ended:?}");
    assert!(ended.out.contains("ic-ivau   150ns ×1.5"), "{ended:?}");
    assert!(
        ended.err.contains("-machine virt,gic-version=3"),
        "{ended:?}"
    );
    assert!(!ended.out.contains("host:"), "{ended:?}");
    let saved = fake.saved();
    assert_eq!((saved.exit, saved.cases.len(), saved.garbled), (0, 4, 0));
    assert_eq!(
        fs::read_to_string(fake.path("out/console.log")).unwrap(),
        fine().text()
    );
}

#[test]
fn quiet_and_json() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = fake.run(&format!("{PLAN} --quiet --json"));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let saved = fs::read_to_string(fake.path("out/run.json")).unwrap();
    assert_eq!(ended.out, saved);
}

#[test]
fn a_block_and_what_was_expected() {
    for (args, code, says) in [
        (
            "",
            4,
            "Yes: ic-ivau had not returned, with the stale cores in spin",
        ),
        ("--expect blocked", 0, "As expected (blocked)"),
        ("--expect incoherent", 4, "Not as expected"),
    ] {
        let fake = Fake::new(blocked().text(), "exit 4");
        let ended = fake.run(&format!("{PLAN} {args}"));
        assert_eq!(ended.code, code, "{args}: {ended:?}");
        assert!(ended.out.contains(says), "{args}: {ended:?}");
    }
    let fake = Fake::new(fine().text(), "exit 0");
    assert_eq!(fake.run(&format!("{PLAN} --expect blocked")).code, 1);
}

#[test]
fn an_emulator_that_dies_at_once() {
    let fake = Fake::new("", "echo 'qemu: unable to find CPU model' >&2; exit 1");
    let ended = fake.run("--quiet");
    assert_eq!(ended.code, 2);
    ended.one_line(&["status 1", "unable to find CPU model"]);
}

#[test]
fn an_emulator_that_is_killed() {
    let fake = Fake::new(fine().head, "kill -9 $$");
    let ended = fake.run("--quiet");
    assert_eq!(ended.code, 2);
    ended.one_line(&["no closing record", "signal 9"]);
}

#[test]
fn a_status_that_is_not_the_image_s() {
    // QEMU's own 1, and the image's 0.
    let fake = Fake::new(fine().text(), "exit 1");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .err
            .contains("exit code 0, but QEMU ended with status 1"),
        "{ended:?}"
    );
    // Without semihosting the status is QEMU's alone, and must be 0.
    let fake = Fake::new(blocked().text(), "exit 0");
    assert_eq!(fake.run(&format!("{PLAN} --no-semihosting")).code, 4);
    let fake = Fake::new(blocked().text(), "exit 0");
    assert_eq!(fake.run(PLAN).code, 2);
}

#[test]
fn no_closing_record() {
    let mut console = fine();
    console.end.clear();
    let fake = Fake::new(console.text(), "exit 0");
    let ended = fake.run(PLAN);
    assert_eq!(ended.code, 2);
    assert!(
        ended.err.contains("no closing record after 4 of 4 cases"),
        "{ended:?}"
    );
    // What was measured is shown and kept all the same.
    assert!(ended.out.contains("150ns ×1.5"), "{ended:?}");
    assert_eq!(fake.saved().cases.len(), 4);
}

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
    // Nothing of it steers the terminal.
    assert!(!ended.out.contains('\u{1b}'));
}

#[test]
fn a_loader_that_gives_up_is_quoted_at_once() {
    let console = "\x1b[2J\x1b[01;01HBdsDxe: starting Boot0001\r\n\
                   stalecore: the MADT has no GIC\r\nback to the firmware in 10 s\r\n";
    let fake = Fake::new(console, "exec sleep 1000");
    let begin = Instant::now();
    let ended = fake.run("--quiet");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(ended.code, 2);
    ended.one_line(&["the loader gave up: the MADT has no GIC"]);
    assert!(!fake.alive());
}

#[test]
fn firmware_that_finds_nothing_to_boot_is_quoted() {
    let fake = Fake::new("EFI Shell version 2.70\r\nShell> ", "exec sleep 1000");
    let ended = fake.run("--quiet --timeout 1");
    assert_eq!(ended.code, 124);
    ended.one_line(&["before the first case", "its last words: Shell>"]);
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

#[test]
fn an_image_that_is_newer_than_the_command() {
    let mut console = fine();
    let newer = format!("\"schema\":{}", SCHEMA + 1);
    console.begin = console
        .begin
        .replace(&format!("\"schema\":{SCHEMA}"), &newer);
    let fake = Fake::new(console.text(), "exit 0");
    let ended = fake.run(&format!("{PLAN} --quiet"));
    assert_eq!(ended.code, 2);
    ended.one_line(&["records of schema", "reads up to"]);
}

/// Without its lines that have `part` in them: lost on the way.
fn without(text: &str, part: &str) -> String {
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
    // What blocked is known all the same, and the rest is not called fine.
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

#[test]
fn what_the_fabric_made_is_said_everywhere() {
    let fake = Fake::new(blocked().text(), "exit 4");
    let ended = fake.run(&format!("{PLAN} --fabric deaf=spin"));
    assert_eq!(ended.code, 4);
    let made = "the fabric, a model";
    assert!(
        ended
            .out
            .starts_with("Made by the fabric, a model: ic-ivau"),
        "{ended:?}"
    );
    assert!(!ended.out.contains("Yes"), "{ended:?}");
    for name in ["run.json", "junit.xml", "report.html"] {
        let text = fs::read_to_string(fake.path("out").join(name)).unwrap();
        assert!(text.contains(made), "{name}");
    }
    let plain = Fake::new(blocked().text(), "exit 4");
    assert!(!plain.run(PLAN).out.contains("made by"));
    // And so in two runs side by side.
    let both = |verb: &str| {
        let mut command = stalecore();
        command
            .arg(verb)
            .args([plain.path("out"), fake.path("out")]);
        if verb == "report" {
            command.arg("-o").arg(fake.path("both.html"));
        }
        Ended::of(&mut command)
    };
    let compared = both("compare");
    assert!(
        compared
            .err
            .contains("the new run was made by the fabric, a model"),
        "{compared:?}"
    );
    assert_eq!(both("report").code, 0);
    assert!(
        fs::read_to_string(fake.path("both.html"))
            .unwrap()
            .contains("made by the fabric")
    );
}

#[test]
fn a_plugin_of_qemu_s_is_said() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = fake.run(&format!("{PLAN} --qemu-arg -plugin --qemu-arg x.so"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .starts_with("With a plugin of QEMU's: all 4 cases"),
        "{ended:?}"
    );
}

#[test]
fn silence() {
    let console = fine();
    let fake = Fake::new(
        sealed(&format!("{}{}", console.head, console.begin)),
        "exec sleep 1000",
    );
    let begin = Instant::now();
    let ended = fake.run(&format!("{PLAN} --timeout 1"));
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(ended.code, 124);
    assert!(ended.err.contains("0 of 4 cases"), "{ended:?}");
    assert!(!fake.alive());
    assert_eq!(
        (fake.saved().exit, fake.saved().plan.unwrap().cases),
        (124, 4)
    );
}

#[test]
fn a_machine_that_stays_on_after_the_last_line() {
    let fake = Fake::new(blocked().text(), "exec sleep 1000");
    let ended = fake.run(&format!("{PLAN} --no-semihosting"));
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.out.contains("did not end after its last line"),
        "{ended:?}"
    );
    assert!(!fake.alive());
}

#[test]
fn a_disk_that_is_full() {
    let fake = Fake::new(fine().text(), "head -c 1000000 /dev/zero; exit 0");
    let inner = fake.command(&format!("{PLAN} --quiet"));
    let mut command = Command::new("sh");
    // A limit on the size of files fails a write as a full disk does.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 2);
    ended.one_line(&["console.log cannot be written", "File too large"]);
}

/// Starts a run, and waits until the machine runs and has said something.
pub fn started(fake: &Fake) -> Child {
    let child = fake
        .command(PLAN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| fs::metadata(fake.path("out/console.log")).is_ok_and(|f| f.len() > 0));
    child
}

#[track_caller]
pub fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

pub fn half_a_run() -> Fake {
    let console = fine();
    let text = format!(
        "{}{}{}{}",
        console.head, console.begin, console.cases[0], console.cases[1]
    );
    Fake::new(sealed(&text), "exec sleep 1000")
}

#[test]
fn ctrl_c_ends_the_machine_and_keeps_what_was_measured() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let fake = half_a_run();
        let child = started(&fake);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(
            ended.err.contains("interrupted after 2 of 4 cases"),
            "{ended:?}"
        );
        assert!(ended.out.contains("150ns"), "{ended:?}");
        assert!(!fake.alive());
        assert_eq!(fake.saved().cases.len(), 2);
    }
}

#[test]
fn even_a_killed_host_leaves_no_machine_behind() {
    let fake = half_a_run();
    let mut child = started(&fake);
    assert!(fake.alive());
    child.kill().unwrap();
    child.wait().unwrap();
    until(|| !fake.alive());
    // Its files are there, and say that the run has not ended.
    assert_eq!(fake.saved().exit, 2);
    assert!(fs::metadata(fake.path("out/console.log")).unwrap().len() > 0);
}
