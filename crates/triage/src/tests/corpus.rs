//! Every log in `tests/triage` has its expected reading beside it, in a form
//! that a person can check line by line. With `TRIAGE_WRITE=1` in the
//! environment the tests write the readings that they find, and fail: look at the
//! difference before you keep them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use stalecore_model::{
    options::{Options, Scenario},
    plan::Plan,
};

use super::{
    super::{Json, Words, outcome::Status, reading::Reading, scan, step::Step},
    read,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/triage")
}

fn logs() -> Vec<PathBuf> {
    let mut logs: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    logs.sort();
    logs
}

/// Keeps what was found, if asked to.
fn written(expected: &Path, found: &str) {
    if std::env::var_os("TRIAGE_WRITE").is_some() {
        fs::write(expected, found).unwrap();
    }
}

/// The reading as lines of `name value`, without the prose.
pub fn digest(readings: &[Reading]) -> String {
    let mut text = String::new();
    if readings.is_empty() {
        text.push_str("no crash found\n");
    }
    for reading in readings {
        one(&mut text, reading).unwrap();
    }
    text
}

fn one(text: &mut String, reading: &Reading) -> std::fmt::Result {
    let head = &reading.head;
    writeln!(text, "crash {}", head.number)?;
    writeln!(text, "  kind      {}", json(&head.kind))?;
    writeln!(text, "  outcome   {}", json(&head.outcome))?;
    let mut line = |name: &str, value: Option<String>| match value {
        Some(value) => writeln!(text, "  {name:<9} {value}"),
        None => Ok(()),
    };
    line("line", head.line.map(|l| l.to_string()))?;
    line("time", head.time.as_ref().map(ToString::to_string))?;
    line("cpu", head.cpu.map(|c| c.to_string()))?;
    line(
        "stuck",
        head.stuck_cpu.map(|cpu| match head.stuck_s {
            Some(seconds) => format!("CPU {cpu}, {seconds} s"),
            None => format!("CPU {cpu}"),
        }),
    )?;
    line(
        "task",
        head.comm
            .as_ref()
            .zip(head.pid)
            .map(|(c, p)| format!("{c}:{p}")),
    )?;
    line("panic", reading.panic.clone())?;
    line("oops", reading.oops.clone())?;
    line(
        "kernel",
        reading
            .kernel
            .as_ref()
            .map(|k| format!("{} era {}", k.release, k.era.unwrap_or("-"))),
    )?;
    line("hardware", reading.hardware.clone())?;
    line("kdump", reading.kdump_loaded.map(|l| l.to_string()))?;
    line(
        "cpus",
        reading
            .cpus
            .map(|c| format!("{} {}", c.count, json(&c.source))),
    )?;
    for status in [Status::Present, Status::Missing, Status::BeforeLog] {
        let steps: Vec<_> = reading
            .steps
            .iter()
            .filter(|s| s.status == status)
            .map(|s| json(&s.step))
            .collect();
        line(&json(&status), (!steps.is_empty()).then(|| steps.join(" ")))?;
    }
    let step = |step: Option<Step>| step.map(|s| json(&s));
    line("last", step(head.last_present))?;
    line("next", step(head.first_missing))?;
    line(
        "list",
        reading
            .failed_to_stop
            .as_ref()
            .map(|f| format!("{} {}", f.list, json(&f.meaning))),
    )?;
    line(
        "retry",
        reading
            .failed_to_stop
            .as_ref()
            .and_then(|f| f.nmi_retry.clone()),
    )?;
    line(
        "stack",
        reading.stack.as_ref().map(|s| {
            let mixed = if s.mixed { " mixed" } else { "" };
            let caller = s.caller.as_deref().unwrap_or("-");
            format!(
                "{} < {caller} {} {}{mixed}",
                s.pc,
                json(&s.place),
                s.stale_state
            )
        }),
    )?;
    for other in &reading.others {
        let mut words = format!("CPU {}", other.cpu);
        if other.complained {
            words.push_str(" complained");
        }
        if let Some(seconds) = other.stuck_s {
            write!(words, " {seconds} s")?;
        }
        if let Some((comm, pid)) = other.comm.as_ref().zip(other.pid) {
            write!(words, " {comm}:{pid}")?;
        }
        if let Some(stack) = &other.stack {
            write!(
                words,
                " {} {} {}",
                stack.pc,
                json(&stack.place),
                stack.stale_state
            )?;
        }
        line("other", Some(words))?;
    }
    line(
        "stale",
        reading
            .stale
            .as_ref()
            .map(|s| format!("{} {} {}", s.state, s.cpus, json(&s.basis))),
    )?;
    let findings: Vec<_> = reading.findings.iter().map(|f| f.id).collect();
    line("findings", Some(findings.join(" ")))?;
    line("command", reading.command.as_ref().map(|c| c.line()))?;
    line("none", reading.no_command.clone())
}

/// A value as JSON shows it, without quotation marks.
fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap();
    text.trim_matches('"').to_string()
}

#[test]
fn every_log_reads_as_expected() {
    let logs = logs();
    assert!(logs.len() >= 30, "the corpus is in {}", folder().display());
    let mut wrong = String::new();
    for log in &logs {
        let expected = log.with_extension("expected");
        let found = digest(&read(&fs::read(log).unwrap()));
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if found != wanted {
            written(&expected, &found);
            writeln!(
                wrong,
                "{} should read\n{wanted}\nand reads\n{found}",
                log.display()
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_expected_reading_has_its_log() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("log").exists(), "{}", path.display());
    }
}

/// The words of one crash, as a user sees them.
#[test]
fn the_words_for_the_report_are_as_written() {
    let log = fs::read(folder().join("soft-lockup-4.18-stopped.log")).unwrap();
    let mut out = Vec::new();
    let mut words = Words::new(&mut out);
    let size = scan(&log[..], 1, |crash, number| words.crash(crash, number));
    assert!(size.is_ok_and(|size| words.end(size).is_ok()));
    let found = String::from_utf8(out).unwrap();
    let expected = folder().join("soft-lockup-4.18-stopped.words");
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    if found != wanted {
        written(&expected, &found);
    }
    assert_eq!(found, wanted);
}

/// What `--json` writes is JSON, whatever the log holds.
#[test]
fn json_parses_for_every_log() {
    for path in logs() {
        let log = fs::read(&path).unwrap();
        let mut out = Vec::new();
        let mut json = Json::new(&mut out, "a \"name\"");
        let size = scan(&log[..], u64::MAX, |crash, number| {
            json.crash(&Reading::of(crash, number))
        });
        assert!(size.is_ok_and(|size| json.end(size).is_ok()));
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["log"], "a \"name\"");
        assert_eq!(value["bytes"], log.len());
        let crashes = value["crashes"].as_array().unwrap();
        assert_eq!(value["crash_count"], crashes.len());
    }
}

/// The commands use only words that the command line of a run knows, and give
/// every core one role.
#[test]
fn every_command_is_one_that_a_run_takes() {
    let mut seen = 0;
    for path in logs() {
        for command in read(&fs::read(&path).unwrap())
            .into_iter()
            .filter_map(|reading| reading.command)
        {
            assert_eq!(command.argv[..2], ["stalecore", "run"]);
            let mut options = Options::default();
            let mut cpus = 0;
            for flag in command.argv[2..].chunks(2) {
                let (name, value) = (&flag[0][2..], &flag[1]);
                match name {
                    "cpus" => cpus = value.parse().unwrap(),
                    _ => options.set(name, value).unwrap(),
                }
            }
            assert_eq!(options.scenario, Scenario::Kdump);
            Plan::new(&options, cpus).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            seen += 1;
        }
    }
    assert!(seen > 40);
}
