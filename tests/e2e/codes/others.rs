//! The codes of the commands besides `run`, for the same page.

use std::{
    fmt::Write,
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
};

use tempfile::TempDir;

use super::{FAULTS, Input};
use crate::{
    consoles::{Console, blocked, fine},
    fake::{Ended, stalecore},
};
use stalecore_model::{glossary::Verdict, record::SCHEMA};

/// What can befall a log that is read: all that is not the emulator's doing.
pub const OF_LOGS: usize = 12;

/// What else can befall a log: another program has saved it.
pub const READ: [&str; 1] = ["saved by a terminal program, with stamps and CR LF"];

/// `stalecore read` of an input's console after this fault.
pub fn read(input: &Input, nth: usize) -> i32 {
    let files = Files::new();
    let text = input.console.text();
    let text = match FAULTS[..OF_LOGS].get(nth) {
        Some((_, befall, _)) => befall(&text),
        None => text
            .lines()
            .map(|line| format!("[2026-01-02 03:04:05] {line}\r\n"))
            .collect(),
    };
    let log = files.write("board.log", &text);
    files.code("read", &["--quiet", "--out", "read"], &[log])
}

/// What else can befall a line: it is lost in the middle of a case's record.
pub const SERIAL: [&str; 2] = [
    "lost for a moment, with 20 bytes of a `case`",
    "lost for good",
];

/// `stalecore serial` of an input's console after this fault.
pub fn serial(input: &Input, nth: usize) -> i32 {
    let files = Files::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    let text = input.console.text();
    let (first, rest) = match FAULTS[..OF_LOGS].get(nth) {
        Some((_, befall, _)) => (befall(&text), None),
        None => {
            let at = text.rfind("# {\"case\"").unwrap() + 30;
            let again = nth == OF_LOGS;
            let rest = again.then(|| text[at + 20..].to_string());
            (text[..at].to_string(), rest)
        }
    };
    let stays = nth < OF_LOGS;
    let board = thread::spawn(move || {
        let write = |text: &str| {
            let (mut line, _) = listener.accept().unwrap();
            line.write_all(text.as_bytes()).unwrap();
            line
        };
        let line = write(&first);
        let line = match rest {
            None if stays => line,
            None => return,
            Some(rest) => {
                drop(line);
                write(&rest)
            }
        };
        // Held until the command hangs up.
        let _ = std::io::copy(&mut &line, &mut std::io::sink());
    });
    let args = [&port, "--quiet", "--out", "serial", "--timeout", "2"];
    let code = files.code("serial", &args, &[]);
    board.join().unwrap();
    code
}

/// A directory of files for one command.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn code(&self, verb: &str, args: &[&str], paths: &[PathBuf]) -> i32 {
        let mut command = stalecore();
        command.current_dir(self.0.path()).arg(verb).args(args);
        Ended::of(command.args(paths)).code
    }

    /// The run that `read` makes of a console.
    fn run(&self, name: &str, console: &Console) -> PathBuf {
        let log = self.write(&format!("{name}.log"), &console.text());
        self.code("read", &["--quiet", "--out", name], &[log]);
        assert!(self.path(name).join("run.json").exists());
        self.path(name)
    }
}

/// Every other command with what it may meet: what, and the code.
pub fn rows() -> Vec<(String, i32)> {
    let files = Files::new();
    let good = files.run("good", &fine());
    let bad = files.run("bad", &blocked());
    let other = files.run(
        "other",
        &Console::of(
            "stalecore.ops=tlbi-vmalle1is stalecore.stale=wfe",
            4,
            |_| Verdict::Completed,
        ),
    );
    let whole = fs::read_to_string(good.join("run.json")).unwrap();
    let newer = whole.replacen(&format!("\"schema\":{SCHEMA}"), "\"schema\":1000", 1);
    let newer = files.write("newer.json", &newer);
    let half = files.write("half.json", &whole[..whole.len() / 2]);
    let none = files.path("nowhere");
    let text = files.write("thesis.txt", "It was a dark and stormy night.\n");
    let kernel =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/triage/debian-5.10-sysrq.log");
    let code = |verb: &str, args: &[&str], paths: &[&PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| (*path).clone()).collect();
        files.code(verb, args, &paths)
    };
    let mut rows = Vec::new();
    let mut row = |what: &str, code: i32| rows.push((what.to_string(), code));
    row("`read`: a file without a run", code("read", &[], &[&text]));
    row("`read`: no such file", code("read", &[], &[&none]));
    row(
        "`read --nth 2`: the log has one run",
        code("read", &["--nth", "2"], &[&files.path("good.log")]),
    );
    row(
        "`serial`: no such device",
        code("serial", &["/dev/nowhere"], &[]),
    );
    row(
        "`report`: runs, whatever they found",
        code("report", &["-o", "page.html"], &[&good, &bad]),
    );
    row(
        "`report -o`: over somebody's file",
        code("report", &["-o", "thesis.txt"], &[&good]),
    );
    for (what, file) in [
        ("half a run", &half),
        ("a run of a newer version", &newer),
        ("no such run", &none),
    ] {
        row(&format!("`report`: {what}"), code("report", &[], &[file]));
        row(
            &format!("`compare`: {what}"),
            code("compare", &[], &[&good, file]),
        );
    }
    row("`compare`: the same", code("compare", &[], &[&good, &good]));
    row("`compare`: worse", code("compare", &[], &[&good, &bad]));
    row("`compare`: better", code("compare", &[], &[&bad, &good]));
    row(
        "`compare`: no case in common",
        code("compare", &[], &[&good, &other]),
    );
    row("`triage`: a crash", code("triage", &[], &[&kernel]));
    row("`triage`: no crash in it", code("triage", &[], &[&text]));
    row("`triage`: no such file", code("triage", &[], &[&none]));
    row(
        "`triage --expect stopped-all`: they did",
        code("triage", &["--expect", "stopped-all"], &[&kernel]),
    );
    row(
        "`triage --expect saved`: it was not",
        code("triage", &["--expect", "saved"], &[&kernel]),
    );
    row(
        "`triage --expect`: what is no expectation",
        code("triage", &["--expect", "luck"], &[&kernel]),
    );
    row("`list`", code("list", &[], &[]));
    row("`run --list`", code("run", &["--list"], &[]));
    row(
        "`run --resume`: no such run",
        code("run", &["--resume", "nowhere"], &[]),
    );
    for verb in [
        "run", "read", "serial", "report", "compare", "triage", "list",
    ] {
        row(&format!("`{verb} --help`"), code(verb, &["--help"], &[]));
        row(
            &format!("`{verb}`: a flag that it has not"),
            code(verb, &["--no-such-flag"], &[]),
        );
    }
    rows
}

/// The rows as a table.
pub fn table() -> String {
    let mut text = String::from("| command | code |\n|---|---:|\n");
    for (what, code) in rows() {
        let _ = writeln!(text, "| {what} | {code} |");
    }
    text
}
