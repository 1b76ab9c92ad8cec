//! What is said during and after a run, to terminals of every kind and to none.

use crate::{
    consoles::{PLAN, blocked, fine},
    fake::{Ended, Fake},
};

fn run(args: &str, environment: &[(&str, &str)]) -> Ended {
    let fake = Fake::new(blocked().text(), "exit 4");
    let mut command = fake.command(&format!("{PLAN} {args}"));
    command.envs(environment.iter().copied());
    Ended::of(&mut command)
}

#[test]
fn the_plan_is_listed_and_nothing_is_started() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = fake.run(&format!("{PLAN} --list"));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    for part in [
        "4 cases in 2 groups on 4 CPUs: initiator 0, stale 1-2, sentinel 3; about",
        "spin (dirty-here), cases 1-2:\n  ic-ivau dc-civac\n",
        "wfe (dirty-here), cases 3-4:",
    ] {
        assert!(ended.out.contains(part), "{part}: {ended:?}");
    }
    assert!(!fake.path("pid").exists() && !fake.path("out").exists());
    let json = fake.run(&format!("{PLAN} --list --json"));
    let cases: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(cases.as_array().unwrap().len(), 4);
    assert_eq!(cases[3]["op"], "dc-civac");
    let mistake = fake.run("--list --initiators 99");
    assert_eq!(mistake.code, 2);
    mistake.one_line(&["--initiators"]);
}

#[test]
fn how_long_it_takes_is_said_at_the_start() {
    let ended = run("", &[]);
    assert!(
        ended.err.contains("4 cases in 2 groups, about "),
        "{ended:?}"
    );
}

#[test]
fn each_case_is_said_where_that_is_asked_for() {
    let ended = run("-v", &[]);
    let cases = ended.err.lines().filter(|l| l.starts_with("case "));
    assert_eq!(cases.count(), 4, "{ended:?}");
    assert!(
        ended
            .err
            .contains("ic-ivau under spin, dirty-here: blocked"),
        "{ended:?}"
    );
    assert!(!run("", &[]).err.contains("under spin"));
    let both = run("-v -q", &[]);
    assert_eq!(both.code, 2);
    both.one_line(&["--verbose", "--quiet"]);
}

#[test]
fn colour_is_for_who_wants_it() {
    let coloured = |environment| run("", environment).out.contains("\x1b[");
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    // What a program reads has none.
    let json = run("--json -q", &[("CLICOLOR_FORCE", "1")]);
    assert!(!json.out.contains('\x1b'), "{json:?}");
}

#[test]
fn a_narrow_terminal_is_filled_and_not_overrun() {
    let ended = run("-q", &[("COLUMNS", "40")]);
    for line in ended.out.lines() {
        // A longer word has a line of its own.
        let words = line.split_whitespace().count();
        assert!(line.chars().count() <= 40 || words == 1, "{line}");
    }
    let wide = run("-q", &[("COLUMNS", "160")]);
    assert!(wide.out.lines().count() < ended.out.lines().count());
}
