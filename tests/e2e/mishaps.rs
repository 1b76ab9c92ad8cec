//! Everything that can happen to a run, on an emulator that makes it happen.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use stalecore_model::record::SCHEMA;

use crate::{
    consoles::{PLAN, blocked, fine, sealed},
    fake::{Ended, Fake},
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
fn an_image_that_was_entered_elsewhere_than_asked_for_says_so() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = fake.run(&format!("{PLAN} --el 1"));
    let said = "host: EL1 was asked for, the image was entered at EL2";
    assert!(ended.out.contains(said), "{ended:?}");
    assert!(fake.saved().notes.contains(&said.into()));
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
    // What was measured is still shown and kept.
    assert!(ended.out.contains("150ns ×1.5"), "{ended:?}");
    assert_eq!(fake.saved().cases.len(), 4);
}

#[test]
fn a_loader_that_gives_up_is_quoted_at_once() {
    let console = "\x1b[2J\x1b[01;01HBdsDxe: starting Boot0001\r\n\
                   stalecore: the MADT has no GIC\r\nback to the firmware in 10 s\r\n";
    let fake = Fake::new(console, "exec sleep 1000");
    let begin = Instant::now();
    let ended = fake.run("--quiet");
    // Silence would be waited out for longer.
    assert!(begin.elapsed() < Duration::from_secs(25));
    assert_eq!(ended.code, 2);
    ended.one_line(&["the loader gave up: the MADT has no GIC"]);
    assert!(!fake.alive());
}

#[test]
fn firmware_that_finds_nothing_to_boot_is_quoted() {
    let fake = Fake::new("EFI Shell version 2.70\r\nShell> ", "exec sleep 1000");
    let ended = fake.run("--quiet --timeout 5");
    assert_eq!(ended.code, 124);
    ended.one_line(&["before the first case", "its last words: Shell>"]);
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

#[test]
fn silence() {
    let console = fine();
    let fake = Fake::new(
        sealed(&format!("{}{}", console.head, console.begin)),
        "exec sleep 1000",
    );
    let begin = Instant::now();
    let ended = fake.run(&format!("{PLAN} --timeout 5"));
    assert!(begin.elapsed() < Duration::from_secs(25));
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
    // A limit on the size of files makes a write fail as a full disk does.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 2);
    ended.one_line(&["console.log cannot be written", "File too large"]);
}

/// Starts a run, and waits until the machine runs and all that it says has been read.
pub fn started(fake: &Fake) -> Child {
    let child = fake
        .command(PLAN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let length = |name| fs::metadata(fake.path(name)).map_or(0, |file| file.len());
    let whole = length("console");
    until(|| length("out/console.log") == whole);
    child
}

/// Waits for something that comes; for how long it may take here is only there so that
/// nothing hangs.
#[track_caller]
pub fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
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
