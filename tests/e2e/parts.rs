//! A plan with states that wait and others: two boots in other threads, one result.

use std::{fs, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use stalecore_model::{
    glossary::Verdict,
    options::{CaseNumbers, Options},
    plan::Plan,
    run::{Run, TcgThread},
};

use crate::{
    consoles::Console,
    dist::Booted,
    fake::{Ended, Fake, stalecore},
    mishaps::until,
};

/// Eight states that wait and one that does not.
const STATES: &str =
    "wfi-masked,wfe,wfe-masked,qspinlock,spin,cpu-off,cpu-suspend,crash-stopped,parked";
const CPUS: usize = 8;

fn options() -> String {
    format!("stalecore.stale={STATES}")
}

/// The console of the boot with the states that wait, or of the other.
fn console(waits: bool, found: Verdict) -> Console {
    let plan = Plan::new(&Options::from_bootargs(&options()).unwrap(), CPUS).unwrap();
    let groups = plan.groups.iter();
    let of = groups.filter(|group| group.state.gives_turn_away() == waits);
    let numbers = of
        .flat_map(|group| &group.cases)
        .map(|case| case.number as u32);
    let cases = CaseNumbers::of(numbers).unwrap();
    let options = format!("{} stalecore.cases={cases}", options());
    Console::of(&options, CPUS, |case| match case.number % 20 {
        3 => found,
        _ => Verdict::Completed,
    })
}

/// An emulator that prints one or the other, by the threads that it is told to use.
fn fake(first: &str, second: &str, code: u8, then: &str) -> Fake {
    let script = format!(
        "here=${{0%/*}}; case \"$*\" in *thread=single*) echo >>$here/first-boots; \
         cat $here/first; test -f $here/stays && exec sleep 1000; exit {code};; esac; echo >>$here/second-boots; {then} \
         cat $here/second; exit 0"
    );
    let fake = Fake::answering("QEMU emulator version 7.2.22 (Debian)", &script);
    fs::write(fake.path("first"), first).unwrap();
    fs::write(fake.path("second"), second).unwrap();
    fake
}

fn run(fake: &Fake) -> Ended {
    fake.run(&format!("--stale {STATES} --cpus {CPUS}"))
}

/// How often each of the two was booted.
fn boots(fake: &Fake) -> [usize; 2] {
    ["first-boots", "second-boots"]
        .map(|file| fs::read(fake.path(file)).map_or(0, |marks| marks.len()))
}

fn resumed(fake: &Fake) -> Ended {
    let mut command = stalecore();
    command.args(["run", "--resume"]).arg(fake.path("out"));
    command.arg("--qemu").arg(fake.path("qemu"));
    command.arg("--image").arg(fake.path("image"));
    Ended::of(&mut command)
}

fn numbers(run: &Run) -> Vec<u32> {
    run.cases.iter().map(|case| case.n).collect()
}

fn text(waits: bool) -> String {
    console(waits, Verdict::Completed).text()
}

#[test]
fn both_boots_are_one_result() {
    let fake = fake(&text(true), &text(false), 0, "");
    let ended = run(&fake);
    assert_eq!((ended.code, boots(&fake)), (0, [1, 1]), "{ended:?}");
    assert!(ended.out.starts_with("No: all 160 cases"), "{ended:?}");
    for said in [
        "180 cases in 9 groups",
        "boot 1 of 2: 160",
        "boot 2 of 2: 20",
    ] {
        assert!(ended.err.contains(said), "{said}: {ended:?}");
    }
    let run = fake.saved();
    assert_eq!(numbers(&run), (1..=180).collect::<Vec<_>>());
    assert_eq!(run.tcg_thread, Some(TcgThread::Split));
    assert_eq!(run.plan.as_ref().unwrap().cases, 180);
    assert!(run.end.is_some() && run.unread().is_none());
    assert!(run.notes.is_empty(), "{:?}", run.notes);
    let log = fs::read_to_string(fake.path("out/console.log")).unwrap();
    assert_eq!(log, text(true) + &text(false));
    assert_eq!(run.console_bytes, log.len() as u64);
}

#[test]
fn what_the_first_boot_has_found_counts() {
    let first = console(true, Verdict::Blocked).text();
    let fake = fake(&first, &text(false), 4, "");
    let ended = run(&fake);
    assert_eq!((ended.code, boots(&fake)), (4, [1, 1]), "{ended:?}");
    assert_eq!(fake.saved().cases.len(), 180);
}

#[test]
fn behind_a_boot_that_did_not_end_there_is_none() {
    let whole = text(true);
    let fake = fake(&whole[..whole.len() / 2], &text(false), 1, "");
    let ended = run(&fake);
    assert_eq!((ended.code, boots(&fake)), (2, [1, 0]), "{ended:?}");
    assert!(ended.out.contains("No answer"), "{ended:?}");
    assert!(fake.saved().end.is_none());
}

#[test]
fn a_host_that_goes_down_between_them_loses_nothing() {
    let fake = fake(
        &text(true),
        &text(false),
        0,
        "test -f $here/go || exec sleep 1000;",
    );
    let mut command = fake.command(&format!("--stale {STATES} --cpus {CPUS}"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    until(|| boots(&fake) == [1, 1]);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    until(|| !fake.alive());
    let saved = fake.saved();
    assert_eq!((saved.cases.len(), saved.end.is_some()), (160, false));
    fs::write(fake.path("go"), "").unwrap();
    let ended = resumed(&fake);
    assert_eq!((ended.code, boots(&fake)), (0, [1, 2]), "{ended:?}");
    assert_eq!(numbers(&fake.saved()), (1..=180).collect::<Vec<_>>());
}

/// The first has said that all of its own cases are over, which are not all.
#[test]
fn who_interrupts_the_first_behind_its_closing_record_has_no_answer_yet() {
    let whole = text(true);
    let (closed, last) = whole.trim_end().rsplit_once('\n').unwrap();
    assert!(last.starts_with("stalecore: exit"), "{last}");
    let fake = fake(&format!("{closed}\n"), &text(false), 0, "");
    fs::write(fake.path("stays"), "").unwrap();
    let mut command = fake.command(&format!("--stale {STATES} --cpus {CPUS}"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let log = fake.path("out/console.log");
    until(|| fs::read(&log).is_ok_and(|log| log.len() > closed.len()));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    until(|| !fake.alive());
    let saved = fake.saved();
    assert_eq!((saved.cases.len(), saved.end.is_some()), (160, false));
    assert!(
        saved.answer.contains("interrupted after 160 of 180"),
        "{}",
        saved.answer
    );
    let ended = resumed(&fake);
    assert_eq!((ended.code, boots(&fake)), (0, [1, 1]), "{ended:?}");
    assert_eq!(numbers(&fake.saved()), (1..=180).collect::<Vec<_>>());
}

#[test]
fn what_may_be_about_one_machine_is_not_split() {
    for more in ["--qemu-arg=-S", "--tcg-thread multi", "--initiators 0,1"] {
        let fake = fake(&text(true), &text(false), 0, "");
        fake.run(&format!("--stale {STATES} --cpus {CPUS} --quiet {more}"));
        assert_eq!(boots(&fake), [0, 1], "{more}");
    }
}

#[test]
fn the_real_image_runs_both() {
    let booted = Booted::new(&format!("--stale {STATES} --cpus {CPUS} --samples 4")).ends(0, &[]);
    assert_eq!(booted.run.tcg_thread, Some(TcgThread::Split));
    assert_eq!(numbers(&booted.run), (1..=180).collect::<Vec<_>>());
    assert!(booted.run.unread().is_none());
}
