//! `docs/adding.md` says in which places one more of a kind is added. Each step is
//! checked against the sources and carried out on a copy.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The sections, with how many places there may be.
const MOST: [(&str, usize); 6] = [
    ("A stale state", 3),
    ("An operation", 3),
    ("A routine", 3),
    ("A way to boot", 5),
    ("A kernel era", 3),
    ("An erratum", 1),
];

/// A step: ``1. `file`, before `line`: what goes there.``
#[derive(Debug)]
struct Step {
    section: String,
    file: String,
    /// A part of the line that the new ones go next to, if the file already exists, and
    /// whether they go after it.
    place: Option<(String, bool)>,
    /// An example of what goes there.
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let (title, body) = section.split_once('\n').expect("a heading");
        let numbered = format!("\n{body}");
        for (nth, text) in
            (1..).map_while(|n| Some((n, numbered.split_once(&format!("\n{n}. "))?.1)))
        {
            let text = text
                .split(&format!("\n{}. ", nth + 1))
                .next()
                .unwrap_or(text);
            let (words, code) = text.split_once("```\n").unwrap_or((text, ""));
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let quoted: Vec<&str> = words.split('`').collect();
            let place = match quoted[2] {
                ", before " => Some((quoted[3].into(), false)),
                ", after " => Some((quoted[3].into(), true)),
                other => {
                    assert!(other.starts_with(':'), "{title}, step {nth}: {words}");
                    None
                }
            };
            let code = code.split("   ```").next().unwrap_or_default();
            steps.push(Step {
                section: title.into(),
                file: quoted[1].into(),
                place,
                code: code
                    .lines()
                    .map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line)))
                    .collect(),
            });
        }
    }
    steps
}

/// What is wrong with a step, if anything.
fn fault(step: &Step, root: &Path) -> Option<String> {
    let path = root.join(&step.file);
    let Some((line, _)) = &step.place else {
        return (!path.exists()).then(|| format!("{} is not there", step.file));
    };
    let Ok(text) = fs::read_to_string(&path) else {
        return Some(format!("{} is not there", step.file));
    };
    let found = text.lines().filter(|l| l.contains(line)).count();
    (found != 1).then(|| format!("{}: '{line}' is there {found} times", step.file))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/adding.md")).expect("docs/adding.md")
}

#[test]
fn each_step_names_one_place_and_there_are_few() {
    let steps = steps(&page());
    for (section, most) in MOST {
        let count = steps.iter().filter(|s| s.section == section).count();
        assert!((1..=most).contains(&count), "{section}: {count} places");
    }
    let known = |s: &Step| MOST.iter().any(|(section, _)| s.section == *section);
    assert!(steps.iter().all(known), "{steps:?}");
    let faults: Vec<_> = steps.iter().filter_map(|s| fault(s, &root())).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_step_that_drifted_is_seen() {
    let gone = "\n## A stale state\n\n1. `src/stuck/gone.rs`, before `x`: a row.\n";
    let moved = "\n## A stale state\n\n1. `src/stuck/table.rs`, before `no such line`: a row.\n";
    let often = "\n## A stale state\n\n1. `src/stuck/table.rs`,\n   after `assembly!`: a row.\n";
    for page in [gone, moved, often] {
        let steps = steps(page);
        assert_eq!(steps.len(), 1);
        assert!(fault(&steps[0], &root()).is_some(), "{page}");
    }
}

/// Puts a step's example where it belongs.
fn carry_out(step: &Step, root: &Path) {
    let path = root.join(&step.file);
    let text = fs::read_to_string(&path).expect("a file");
    let (line, after) = step.place.as_ref().expect("a place");
    let lines = text.lines().map(|l| match l.contains(line) {
        true if *after => format!("{l}\n{}", step.code),
        true => format!("{}{l}\n", step.code),
        false => format!("{l}\n"),
    });
    fs::write(&path, lines.collect::<String>()).expect("written");
}

fn said(command: &mut Command) -> String {
    let out = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {errors}");
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// A made-up state, operation and routine, by the steps alone: the copy builds,
/// lists them, and runs them.
#[test]
#[ignore = "builds everything once more: make adding"]
fn adding_by_the_steps_alone_is_enough() {
    let copy = tempfile::tempdir().expect("a directory");
    let files = said(
        Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(root()),
    );
    for file in files.split_terminator('\0') {
        let (from, to) = (root().join(file), copy.path().join(file));
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(from, to).expect("copied");
    }
    let steps = steps(&page());
    let examples = steps.iter().filter(|s| !s.code.is_empty());
    let mut touched = 0;
    for step in examples {
        carry_out(step, copy.path());
        touched += usize::from(step.section == "A stale state");
    }
    assert_eq!(touched, 3);
    let target = root().join("target/adding");
    let cargo = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(copy.path())
            .env("CARGO_TARGET_DIR", &target);
        command.args(["--offline", "--locked"]).args(args);
        command
    };
    let image = ["build", "--release", "-p", "stalecore-image"];
    said(cargo(&image).args(["--target", "aarch64-unknown-none"]));
    let run = |args: &[&str]| {
        let mut command = cargo(&["run", "--release", "-q", "-p", "stalecore-cli", "--"]);
        said(command.args(args))
    };
    assert!(run(&["list", "errata"]).contains("1234567\n"));
    let list = run(&["list"]);
    for (name, about) in [
        ("nop-loop", "a loop of nops"),
        ("tlbi-vale1 ", "control: this core's last-level TLB entry"),
        ("icache-inval-all-pou", "ic ialluis and its barriers"),
    ] {
        let line = list.lines().find(|l| l.trim_start().starts_with(name));
        assert!(line.is_some_and(|l| l.contains(about)), "{name}: {list}");
    }
    let elf = target.join("aarch64-unknown-none/release/stalecore-image");
    let out = copy.path().join("out");
    let json = run(&[
        "run",
        "--json",
        "--quiet",
        "--cpus=4",
        "--stale=nop-loop",
        "--ops=tlbi-vale1,icache-inval-all-pou",
        &format!("--image={}", elf.display()),
        &format!("--out={}", out.display()),
    ]);
    let run: serde_json::Value = serde_json::from_str(&json).expect("run.json");
    let cases = run["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let verdict = case["verdict"].as_str();
        assert_eq!(case["state"], "nop-loop");
        assert!(matches!(verdict, Some("completed" | "slowed")), "{case}");
    }
}
