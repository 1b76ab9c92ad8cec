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

use super::{FAULTS, Input, TWO};
use crate::{
    consoles::{Console, blocked, fine, first},
    fake::{Ended, Fake, stalecore},
    mishaps,
};
use rustix::process::{Pid, Signal, kill_process};
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
    let timeout = match rest.as_ref().unwrap_or(&first).contains("stalecore: exit") {
        true => "120",
        false => "2",
    };
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
    // Silence is waited out where no last line comes, and only there: until then the board
    // may be late.
    let args = [&port, "--quiet", "--out", "serial", "--timeout", timeout];
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

    /// The code of any command line.
    fn of(&self, args: &[&str]) -> i32 {
        Ended::of(stalecore().current_dir(self.0.path()).args(args)).code
    }

    /// The same with a file as its standard input.
    fn piped(&self, verb: &str, args: &[&str], file: &Path) -> i32 {
        let mut command = stalecore();
        command.current_dir(self.0.path()).arg(verb).args(args);
        Ended::of(command.stdin(fs::File::open(file).unwrap())).code
    }

    /// The run that `read` makes of a console.
    fn run(&self, name: &str, console: &Console) -> PathBuf {
        let log = self.write(&format!("{name}.log"), &console.text());
        self.code("read", &["--quiet", "--out", name], &[log]);
        assert!(self.path(name).join("run.json").exists());
        self.path(name)
    }
}

/// The commands that `--help` names, but for `help`.
const VERBS: [&str; 11] = [
    "run",
    "live",
    "deploy",
    "read",
    "serial",
    "report",
    "compare",
    "triage",
    "list",
    "completions",
    "man",
];

#[test]
fn every_command_of_the_help_has_its_codes() {
    let help = Ended::of(stalecore().arg("--help")).out;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    // What a command is may take several lines.
    let words = commands
        .lines()
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let mut named: Vec<_> = words.filter(|word| *word != "help").collect();
    named.sort_unstable();
    let mut known = VERBS;
    known.sort_unstable();
    assert_eq!(named, known);
}

const END: &str = "exit 0";

/// `run` on this emulator; of a flag that is given twice the last counts.
fn ended(fake: &Fake, args: &str) -> i32 {
    let mut command = fake.command("--quiet");
    command.current_dir(fake.path(""));
    Ended::of(command.args(args.split_whitespace())).code
}

fn interrupted() -> i32 {
    let fake = mishaps::half_a_run();
    let child = mishaps::started(&fake);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Ended::from(child.wait_with_output().unwrap()).code
}

fn full(fake: &Fake) -> i32 {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = fake.command("--quiet --json").stdout(full).status();
    status.unwrap().code().unwrap_or(-1)
}

/// Every other command with what it may meet: what, and the code.
pub fn rows() -> Vec<(String, i32)> {
    let files = Files::new();
    let good = files.run("good", &fine());
    let log = files.path("good.log");
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
    row(
        "`read`: a file with a run, none later",
        code("read", &["--quiet"], &[&log]),
    );
    row(
        "`read -`: from standard input",
        files.piped("read", &["--quiet", "-"], &log),
    );
    row(
        "`read --expect blocked`: it was",
        code(
            "read",
            &["--quiet", "--expect", "blocked"],
            &[&files.path("bad.log")],
        ),
    );
    row(
        "`read --expect blocked`: it was not",
        code("read", &["--quiet", "--expect", "blocked"], &[&log]),
    );
    row("`read`: a file without a run", code("read", &[], &[&text]));
    row(
        "`read --out`: a directory with other files",
        code("read", &["--out", "."], &[&log]),
    );
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
        "`serial`: what is no serial line",
        code("serial", &["/dev/null"], &[]),
    );
    row(
        "`serial`: nobody at that address",
        code("serial", &["tcp:127.0.0.1:1"], &[]),
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
    let undecided = files.run("undecided", &first(Verdict::Inconclusive));
    row(
        "`compare`: one case of four no longer decided",
        code("compare", &[], &[&good, &undecided]),
    );
    let nothing = files.run("nothing", &Console::of(TWO, 4, |_| Verdict::Inconclusive));
    row(
        "`compare`: nothing that could be compared",
        code("compare", &[], &[&good, &nothing]),
    );
    let damaged = super::flipped(&fine().text(), "case");
    let lost = files.write("lost.log", &damaged);
    files.code("read", &["--quiet", "--out", "lost"], &[lost]);
    let lost = files.path("lost");
    row(
        "`compare`: nothing worse, but a result was lost",
        code("compare", &[], &[&good, &lost]),
    );
    row(
        "`compare`: no case in common",
        code("compare", &[], &[&good, &other]),
    );
    row(
        "`compare --json`: worse",
        code("compare", &["--json"], &[&good, &bad]),
    );
    row(
        "`compare --threshold 0`: not allowed",
        code("compare", &["--threshold", "0"], &[&good, &bad]),
    );
    row("`triage`: a crash", code("triage", &[], &[&kernel]));
    row("`triage`: no crash in it", code("triage", &[], &[&text]));
    row(
        "`triage -`: nothing on standard input",
        code("triage", &["-"], &[]),
    );
    row(
        "`triage --json`: a crash",
        code("triage", &["--json"], &[&kernel]),
    );
    row("`triage`: no such file", code("triage", &[], &[&none]));
    row(
        "`triage`: a folder without a record",
        code("triage", &["."], &[]),
    );
    row(
        "`triage --junit`: where nothing can be written",
        code("triage", &["--junit", "nowhere/x"], &[&kernel]),
    );
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
    row("`list errata`", code("list", &["errata"], &[]));
    row(
        "`list`: what there is no list of",
        code("list", &["nothing"], &[]),
    );
    row("`completions bash`", code("completions", &["bash"], &[]));
    row(
        "`completions`: a shell that is not known",
        code("completions", &["tcsh"], &[]),
    );
    row("`man`", code("man", &[], &[]));
    row("`man DIR`", code("man", &["pages"], &[]));
    row(
        "`man DIR`: a directory that cannot be made",
        code("man", &["thesis.txt/x"], &[]),
    );
    row(
        "`flatten`: what is no ELF file",
        code("flatten", &["thesis.txt", "x.img"], &[]),
    );
    row(
        "`flatten`: no such file",
        code("flatten", &["nowhere", "x.img"], &[]),
    );
    row("`run --list`", code("run", &["--list"], &[]));
    row(
        "`run --cpus 0`: not allowed",
        code("run", &["--cpus", "0"], &[]),
    );
    row(
        "`run --image`: no such file",
        code("run", &["--image", "nowhere"], &[]),
    );
    row(
        "`run --image`: what is no image",
        code("run", &["--image", "thesis.txt"], &[]),
    );
    row(
        "`run --qemu`: no such program",
        ended(&Fake::new("", END), "--qemu nowhere"),
    );
    row(
        "`run --out`: a directory with other files",
        ended(&Fake::new("", END), "--out ."),
    );
    row("`run`: Ctrl-C", interrupted());
    row(
        "`run --json`: standard output is full",
        full(&Fake::new(fine().text(), "exit 0")),
    );
    row(
        "`run --resume`: no such run",
        code("run", &["--resume", "nowhere"], &[]),
    );
    row("`stalecore`: no command", files.of(&[]));
    row(
        "`stalecore`: a command that there is not",
        files.of(&["luck"]),
    );
    row("`--version`", files.of(&["--version"]));
    row("`--help`", files.of(&["--help"]));
    row("`help`", files.of(&["help"]));
    row("`help run`", files.of(&["help", "run"]));
    for verb in VERBS {
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
