//! The command that runs one case of a run by itself.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{options::PREFIX, record::CaseRecord, run::Run, shell};

/// Flags that choose the cases, and flags that say where the results go: another run has
/// its own. All take a value except [`SWITCHES`].
const REPLACED: &[&str] = &["ops", "stale", "lines", "cases", "out", "resume", "expect"];
const SWITCHES: &[&str] = &[
    "--json",
    "--list",
    "--quiet",
    "-q",
    "--verbose",
    "-v",
    "--all-states",
];

/// What to type to run the case alone, on the machine of its run: the run's own command
/// with the case instead of the plan; where the run came over a serial line, the board's
/// boot arguments.
pub fn alone(run: &Run, case: &CaseRecord) -> String {
    let chosen = [
        ("ops", case.op.to_string()),
        ("stale", case.state.to_string()),
        ("lines", case.line.to_string()),
    ];
    let ours = |word: &String| word == "run" || word == "live";
    if !run.command.get(1).is_some_and(ours) {
        let words = chosen.map(|(key, value)| format!("{PREFIX}{key}={value}"));
        return words.join(" ");
    }
    let mut words: Vec<String> = Vec::new();
    let mut given = run.command.iter();
    while let Some(word) = given.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        let replaced = name
            .strip_prefix("--")
            .is_some_and(|name| REPLACED.contains(&name));
        if replaced && value.is_none() {
            given.next();
        } else if !replaced && !SWITCHES.contains(&word.as_str()) {
            words.push(word.clone());
        }
    }
    // The crash path is one case, and takes no others.
    if !is_kdump(&words) {
        for (key, value) in chosen {
            words.extend([format!("--{key}"), value]);
        }
    }
    shell::quoted(&words)
}

fn is_kdump(words: &[String]) -> bool {
    let pair = |pair: &[String]| pair == ["--scenario", "kdump"];
    words.iter().any(|word| word == "--scenario=kdump") || words.windows(2).any(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{LineState, StaleState, Subject, Verdict},
        plan::Case,
    };

    fn of(command: &str) -> String {
        let run = Run {
            command: command.split(' ').map(String::from).collect(),
            ..Run::default()
        };
        let case = Case {
            number: 7,
            subject: Subject::IcIvau,
            state: StaleState::Spin,
            line: LineState::Cold,
        };
        alone(&run, &CaseRecord::blank(&case, Verdict::Completed, None))
    }

    #[test]
    fn the_machine_stays_and_the_plan_goes() {
        assert_eq!(
            of("dist/stalecore run --cpus 4 --ops all --stale=spin,wfe --out x -q --samples 9"),
            "dist/stalecore run --cpus 4 --samples 9 --ops ic-ivau --stale spin --lines cold"
        );
        assert_eq!(
            of("stalecore run --fabric deaf=spin --json --resume d --icount"),
            "stalecore run --fabric deaf=spin --icount --ops ic-ivau --stale spin --lines cold"
        );
    }

    #[test]
    fn the_crash_path_is_run_as_it_was() {
        assert_eq!(
            of("stalecore run --scenario kdump --cpus 4 --out x"),
            "stalecore run --scenario kdump --cpus 4"
        );
    }

    #[test]
    fn a_board_gets_boot_arguments() {
        let expected = "stalecore.ops=ic-ivau stalecore.stale=spin stalecore.lines=cold";
        assert_eq!(of("stalecore serial /dev/ttyUSB0"), expected);
        assert_eq!(of(""), expected);
    }
}
