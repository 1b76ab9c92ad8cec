//! The README taken at its word: `make follow` knows each of its commands, and finds
//! one that ends otherwise; what it shows of an output is what comes, times aside.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{dist::built, fake::Ended, host::alone};

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
/// ratios, the mark of what is slowed or too noisy to say and what explains it,
/// addresses, sizes.
fn masked(text: &str) -> Vec<String> {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for noise in [
        "; ? perhaps so: too noisy to say, so it is the interval that is told",
        "; ? perhaps so: too noisy to say",
        "; < earlier by as much",
        ", the median over rounds, or where those show nothing the larger of the medians' ratios \
         with the DSB and without",
        ", the median over rounds",
    ] {
        text = text.replace(noise, "");
    }
    // Of nine cases.
    for noisy in 1..=9 {
        for be in ["is", "are"] {
            text = text.replace(&format!("; {noisy} {be} too noisy to say"), "");
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| word.parse::<f64>().is_ok();
    let unit = |word: &str| {
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        unit.len() < word.len() && ["ns", "µs", "ms", "s"].contains(&unit)
    };
    let mask = |(nth, word): (usize, &&str)| {
        let next = words.get(nth + 1).copied().unwrap_or_default();
        let plain = word.trim_end_matches(['!', '?', '<']);
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
fn each_command_of_the_readme_is_followed_or_said_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = Ended::of(Command::new(root.join("tools/follow")).arg("--list"));
    assert_eq!(listed.code, 0, "{listed:?}");
    let shown = commands(&document("README.md"));
    assert!(shown.len() > 12, "the blocks were not found");
    for Shown { command, .. } in &shown {
        let named = listed
            .out
            .lines()
            .filter(|line| line.contains(&format!("   {command}: ")));
        assert_eq!(named.count(), 1, "{command}: {}", listed.out);
    }
    assert!(
        listed
            .out
            .contains("not run   dist/stalecore serial /dev/ttyUSB0: needs a board")
    );
}

/// A project that has this README, and `make` as it is given.
fn project(makefile: &str, more: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::create_dir(dir.path().join("tools")).unwrap();
    // If this process wrote it, a child that another test is just forking could hold it open,
    // and it could not be run.
    let mut install = Command::new("install");
    install.arg(root.join("tools/follow"));
    install.arg(dir.path().join("tools/follow"));
    assert!(install.status().unwrap().success());
    let readme = document("README.md") + more;
    fs::write(dir.path().join("README.md"), readme).unwrap();
    fs::write(dir.path().join("Makefile"), makefile).unwrap();
    for words in [
        "init -q",
        "add .",
        "-c user.name=n -c user.email=e commit -q -m made",
    ] {
        let mut git = Command::new("git");
        git.current_dir(&dir).args(words.split(' '));
        assert!(git.status().unwrap().success());
    }
    dir
}

#[test]
fn a_command_that_ends_otherwise_or_leaves_nothing_is_found() {
    let follow = |makefile: &str, more: &str| {
        let project = project(makefile, more);
        let mut follow = Command::new(project.path().join("tools/follow"));
        Ended::of(follow.args(["--only", "make run"]))
    };
    let fine =
        "run:\n\tmkdir out\n\ttouch out/run.json out/console.log out/junit.xml out/report.html\n";
    let ended = follow(fine, "");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("make run: as it says"), "{ended:?}");
    for (makefile, said) in [
        ("run:\n\t@echo so; exit 4\n", "ended with 2, and not 0"),
        ("run:\n\ttrue\n", "left no out/run.json"),
    ] {
        let ended = follow(makefile, "");
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.out.contains(said), "{said}: {ended:?}");
    }
    let ended = follow(fine, "\n`make coffee` makes coffee.\n");
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.one_line(&["make coffee"]);
}

#[test]
fn the_chinese_readme_has_the_same_commands() {
    let words = |name: &str| {
        let mut all: Vec<_> = commands(&document(name))
            .into_iter()
            .map(|shown| shown.command)
            .collect();
        all.sort();
        all
    };
    let (english, chinese) = (words("README.md"), words("README.zh-CN.md"));
    assert!(!english.is_empty());
    assert_eq!(english, chinese);
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
    let came = "ic-ivau  12ns ×1.0  146ns ×6.9!\n  CPU 0 at x+92: ic ivau, address 0x40\n\
                none later; 2 are too noisy\nto say. The machine (! slowed; ? perhaps so: too\n\
                noisy to say), the median over rounds; the empty\n";
    let noisy = shown("none later. The machine (! slowed); the empty");
    assert!(lacking(&noisy, came).is_empty());
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
