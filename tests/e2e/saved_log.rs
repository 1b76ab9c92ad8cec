//! `stalecore read`: logs as terminal programs save them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use stalecore_model::run::Run;
use tempfile::TempDir;

use crate::{
    consoles::{blocked, fine},
    fake::{Ended, stalecore},
};

struct Log {
    dir: TempDir,
}

impl Log {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let log = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(log.path("board.log"), content).unwrap();
        log
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, args: &str) -> Ended {
        let mut command = stalecore();
        command
            .arg("read")
            .arg(self.path("board.log"))
            .args(["--out".as_ref(), self.path("out").as_os_str()])
            .args(args.split_whitespace());
        Ended::of(&mut command)
    }

    fn saved(&self) -> Run {
        serde_json::from_slice(&fs::read(self.path("out/run.json")).unwrap()).unwrap()
    }
}

/// Each line with something before it.
fn stamped(text: &str, stamp: impl Fn(usize) -> String) -> String {
    let lines = text.lines().enumerate();
    lines
        .map(|(n, line)| format!("{}{line}\n", stamp(n)))
        .collect()
}

#[test]
fn a_log_of_any_terminal_program_gives_the_run_s_verdict() {
    let text = blocked().text();
    let minute = |n: usize| format!("{:02}:{:02}", n / 60, n % 60);
    for (what, saved) in [
        ("as it came", text.clone()),
        ("crlf", text.replace('\n', "\r\n")),
        (
            "ts",
            stamped(&text, |n| format!("Nov 26 07:{} ", minute(n))),
        ),
        (
            "tio",
            stamped(&text, |n| format!("[07:{}.{n:03}] ", minute(n))).replace('\n', "\r\n"),
        ),
        (
            "ts %.s",
            stamped(&text, |n| format!("1764142{n:03}.123456 ")),
        ),
        (
            "screen",
            format!("\x1b[2J\x1b[1;1H{}", text.replace('\n', "\x1b[K\r\n")),
        ),
        (
            "picocom",
            format!(
                "picocom v3.1\r\nport is : /dev/ttyUSB0\r\n\r\nTerminal ready\r\n{text}\r\n\
                 Terminating...\r\nThanks for using picocom\r\n"
            ),
        ),
        (
            "wrapped at 80 columns",
            text.lines()
                .flat_map(|line| {
                    let line: Vec<char> = line.chars().collect();
                    let rows = line.chunks(80).map(|row| row.iter().collect::<String>());
                    rows.collect::<Vec<_>>()
                })
                .collect::<Vec<_>>()
                .join("\r\n"),
        ),
    ] {
        let log = Log::new(saved);
        let ended = log.read("");
        assert_eq!(ended.code, 4, "{what}: {ended:?}");
        let run = log.saved();
        assert_eq!((run.cases.len(), run.garbled), (4, 0), "{what}");
        assert_eq!(run.host, format!("log {}", log.path("board.log").display()));
        for file in ["console.log", "report.html", "junit.xml"] {
            assert!(log.path("out").join(file).exists(), "{what}: {file}");
        }
    }
}

#[test]
fn a_log_that_was_cut_says_so() {
    let console = fine();
    let head = format!("{}{}", console.head, console.begin);
    let cut = format!("{head}{}{}", console.cases[0], &console.cases[1][..40]);
    let log = Log::new(&cut);
    let ended = log.read("");
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended
            .err
            .contains("no closing record after 1 of 4 cases: the log ends there"),
        "{ended:?}"
    );
    assert_eq!(log.saved().cases.len(), 1);
    // The beginning is missing: the rest is read.
    let log = Log::new(&fine().text()[200..]);
    log.read("");
    assert_eq!(log.saved().cases.len(), 4);
}

/// If EL3 has the same UART, it prints whenever it likes: into a record, or between two.
#[test]
fn a_record_that_firmware_prints_into_is_counted_as_lost() {
    const SAYS: &str = "ft2500 pwr domain on";
    let text = fine().text();
    let record = text.find("# {\"case\":{\"n\":2,").unwrap();
    let end = record + text[record..].find('\n').unwrap();
    for at in [
        record + 1,
        record + 20,
        (record + end) / 2,
        end - 6,
        end - 1,
    ] {
        for says in [SAYS.to_string(), format!("{SAYS}\r\n")] {
            let (before, after) = text.split_at(at);
            let log = Log::new(format!("{before}{says}{after}"));
            let ended = log.read("");
            assert_eq!(ended.code, 2, "{at}: {ended:?}");
            for part in ["of 4 cases 3 were read", "record 4 of the console was lost"] {
                assert!(ended.err.contains(part), "{at}: {part}: {ended:?}");
            }
            let saved = log.saved();
            assert_eq!(
                (saved.cases.len(), &saved.lost[..]),
                (3, &[[4, 4]][..]),
                "{at}"
            );
        }
    }
    let (before, after) = text.split_at(record);
    let between = Log::new(format!("{before}{SAYS}\r\n{after}"));
    assert_eq!(between.read("").code, 0);
    assert_eq!(between.saved().cases.len(), 4);
}

#[test]
fn of_a_log_with_several_runs_one_is_read() {
    let joined = format!("{}{}", blocked().text(), fine().text());
    let log = Log::new(&joined);
    let last = log.read("");
    assert_eq!(last.code, 0, "{last:?}");
    assert!(
        last.out.contains("the log has 2 runs, this is number 2"),
        "{last:?}"
    );
    assert_eq!(log.read("--nth 1").code, 4);
    let none = log.read("--nth 3");
    assert_eq!(none.code, 2);
    none.one_line(&["--nth: 3", "allowed: 1 to 2"]);
}

#[test]
fn what_holds_no_run_is_one_clear_line() {
    let log = Log::new("[    0.000000] Booting Linux on physical CPU 0x0\n");
    let ended = log.read("");
    assert_eq!(ended.code, 2);
    ended.one_line(&["board.log", "no line of stalecore's", "stalecore triage"]);
    assert!(!log.path("out").exists());
    fs::remove_file(log.path("board.log")).unwrap();
    let ended = log.read("");
    assert_eq!(ended.code, 2);
    ended.one_line(&["board.log", "No such file"]);
    let mut endless = stalecore();
    let ended = Ended::of(endless.args(["read", "/dev/zero"]));
    assert_eq!(ended.code, 2);
    ended.one_line(&["/dev/zero", "larger than 256 MiB"]);
    assert!(Path::new("/dev/zero").exists());
}
