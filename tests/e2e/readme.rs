//! The README taken at its word: each of its commands is run, or is in a list that
//! says why not; what it shows of an output is what comes, times aside.

use std::{fs, path::Path, process::Command};

use crate::{dist::built, fake::Ended, host::alone};

/// Commands that are not run here, by how they begin, and why. `make` itself is
/// what has built the files that these tests run.
const ELSEWHERE: &[(&str, &str)] = &[
    ("make run", "builds, and installs what is missing"),
    ("make test", "runs this test"),
    (
        "make install",
        "tests/e2e/install.rs, of files that are made up",
    ),
    (
        "make uninstall",
        "tests/e2e/install.rs, of files that are made up",
    ),
    ("make cargo-install", "builds everything anew"),
    ("make deb", "builds everything anew"),
    ("dist/stalecore run --boot", "tests/e2e/boot.rs"),
    (
        "dist/stalecore serial",
        "needs a board; tests/e2e/serial.rs plays one",
    ),
    ("dist/stalecore run", "run here, where its output is shown"),
];

/// A command of a document, and what is shown below it.
struct Shown {
    command: String,
    output: Vec<String>,
}

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// The commands of the blocks that a shell reads, without their comments.
fn commands(text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut language = None;
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            language = match language {
                None => Some(fence),
                Some(_) => None,
            };
            continue;
        }
        let command = match language {
            Some("sh") => Some(line),
            Some("console") => line.strip_prefix("$ "),
            _ => continue,
        };
        match command {
            Some(command) => {
                let command = command.split(" #").next().unwrap_or_default().trim();
                if !command.is_empty() {
                    found.push(Shown {
                        command: command.into(),
                        output: Vec::new(),
                    });
                }
            }
            None => found.last_mut().unwrap().output.push(line.into()),
        }
    }
    found
}

/// The words of a text, with what differs from run to run taken out: times,
/// ratios, the mark of what is slowed, addresses, sizes.
fn masked(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| word.parse::<f64>().is_ok();
    let unit = |word: &str| {
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        unit.len() < word.len() && ["ns", "µs", "ms", "s"].contains(&unit)
    };
    let mask = |(nth, word): (usize, &&str)| {
        let next = words.get(nth + 1).copied().unwrap_or_default();
        let plain = word.trim_end_matches('!');
        if unit(plain) {
            "TIME".into()
        } else if plain.starts_with('×') {
            "RATIO".into()
        } else if plain.starts_with("0x") {
            "ADDRESS".into()
        } else if number(word) && ["ms", "ms,", "KiB,", "s"].contains(&next) {
            "N".into()
        } else {
            (*word).to_string()
        }
    };
    words.iter().enumerate().map(mask).collect()
}

fn has(all: &[String], part: &[String]) -> bool {
    part.is_empty() || all.windows(part.len()).any(|window| window == part)
}

/// Lines of `shown` that `came` has not. What is elided (`…`) is passed over; of a
/// table's head the order of the columns, which are the worst first; and of the
/// answer, whether any case was slowed.
fn lacking<'a>(shown: &'a [String], came: &str) -> Vec<&'a str> {
    let all = masked(came);
    let rows: Vec<_> = came.lines().map(masked).collect();
    let answered = ["No:", "Not blocked:"]
        .iter()
        .any(|lead| came.starts_with(lead));
    let slowed = |line: &str| {
        ["Not blocked: all 9 cases returned", "worst ic-ivau under"]
            .iter()
            .any(|begin| line.starts_with(begin))
    };
    let there = |line: &str| {
        if slowed(line) {
            return answered && came.contains("all 9 cases returned");
        }
        let head = line.starts_with("      ");
        if head {
            let sorted = |words: &[String]| {
                let mut words = words.to_vec();
                words.sort();
                words
            };
            let wanted = sorted(&masked(line));
            return rows.iter().any(|row| sorted(row) == wanted);
        }
        line.split('…').all(|part| has(&all, &masked(part)))
    };
    // The end of the slowed sentence and the next begin on one line.
    let line = |line: &'a String| match line.split_once("). ") {
        Some((first, rest)) if slowed(first) => rest,
        _ => line.as_str(),
    };
    shown.iter().map(line).filter(|line| !there(line)).collect()
}

#[test]
fn each_command_of_the_readme_is_run_or_said_where() {
    let shown = commands(&document("README.md"));
    assert!(shown.len() > 12, "the blocks were not found");
    for Shown { command, .. } in &shown {
        let known = ELSEWHERE
            .iter()
            .find(|(begin, _)| command.starts_with(begin));
        assert!(known.is_some(), "nobody runs '{command}'");
    }
    for (begin, why) in ELSEWHERE {
        let used = shown.iter().any(|shown| shown.command.starts_with(begin));
        assert!(used, "the README has no '{begin}' ({why})");
    }
}

#[test]
fn the_chinese_readme_has_no_command_of_its_own() {
    let english = commands(&document("README.md"));
    let chinese = commands(&document("README.zh-CN.md"));
    assert!(!chinese.is_empty());
    let flags = |command: &str| {
        let mut words: Vec<_> = command.split(' ').map(String::from).collect();
        words.sort();
        words
    };
    for Shown { command, .. } in &chinese {
        let same = |shown: &Shown| flags(&shown.command) == flags(command);
        assert!(english.iter().any(same), "only in Chinese: '{command}'");
    }
}

#[test]
fn what_the_readme_shows_is_what_comes() {
    let mut seen = 0;
    for shown in commands(&document("README.md")) {
        if shown.output.iter().all(String::is_empty) {
            continue;
        }
        seen += 1;
        let words: Vec<_> = shown.command.split(' ').collect();
        assert_eq!(words[0], "dist/stalecore", "{}", shown.command);
        let dir = tempfile::tempdir().unwrap();
        let _alone = alone();
        let ended = Ended::of(
            Command::new(built("stalecore"))
                .current_dir(dir.path())
                .args(&words[1..]),
        );
        let lacking = lacking(&shown.output, &ended.out);
        assert!(
            lacking.is_empty(),
            "{}: {lacking:#?}\n{}",
            shown.command,
            ended.out
        );
    }
    assert_eq!(seen, 2, "examples with an output");
}

#[test]
fn an_example_that_is_not_so_is_found() {
    let shown = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    let came = "ic-ivau  12ns ×1.0  146ns ×6.9!\n  CPU 0 at x+92: ic ivau, address 0x40\n";
    let fine = shown("ic-ivau  146ns ×6.9!  1.2µs ×1.0\n  CPU 0 at x+92: …");
    assert!(lacking(&fine, came).is_empty());
    for wrong in [
        "dc-civac  12ns ×1.0",
        "  CPU 1 at x+92:",
        "  CPU 0 at x+88:",
    ] {
        assert_eq!(lacking(&shown(wrong), came).len(), 1, "{wrong}");
    }
}
