//! A board's serial line: first from tests that play the console server, where
//! every mishap can be had, then from QEMU as the board.

mod asking;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use stalecore_model::{glossary::Verdict, run::Run};
use tempfile::TempDir;

use crate::{
    consoles::{blocked, fine, sealed},
    dist::built,
    fake::{Ended, stalecore},
    host::alone,
};

/// A place that `stalecore serial` can be sent to, and room for its results.
struct Board {
    listener: TcpListener,
    dir: TempDir,
}

impl Board {
    fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    fn command(&self, port: &str, args: &str) -> Command {
        let mut command = stalecore();
        command
            .args(["serial", port, "--timeout", "20"])
            .args(["--out".as_ref(), self.dir.path().as_os_str()])
            .args(args.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it; what it reads is written by the test.
    fn read(&self, scheme: &str, args: &str) -> Child {
        let port = format!("{scheme}:{}", self.address());
        self.command(&port, args).spawn().unwrap()
    }

    fn connection(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream
    }

    fn saved(&self) -> Run {
        saved(self.dir.path())
    }
}

fn saved(dir: &Path) -> Run {
    serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap()
}

fn ended(child: Child) -> Ended {
    Ended::from(child.wait_with_output().unwrap())
}

fn verdicts(run: &Run) -> Vec<Verdict> {
    run.cases.iter().map(|c| c.verdict).collect()
}

#[test]
fn a_run_in_order_ends_with_its_code() {
    for (console, code) in [(fine(), 0), (blocked(), 4)] {
        let board = Board::new();
        let child = board.read("tcp", "");
        let mut line = board.connection();
        line.write_all(console.text().as_bytes()).unwrap();
        // The line stays open, as a board's does.
        let ended = ended(child);
        assert_eq!(ended.code, code, "{ended:?}");
        // Nobody said that this machine is emulated.
        assert!(!ended.out.contains("silicon"), "{ended:?}");
        let run = board.saved();
        assert_eq!(run.machine_command, [format!("tcp:{}", board.address())]);
        assert_eq!((run.exit, run.cases.len(), run.garbled), (code as u8, 4, 0));
        let serial = run.serial.unwrap();
        assert_eq!(
            (serial.garbled_bytes, serial.cuts, serial.lost_bytes),
            (0, 0, None)
        );
        for name in ["console.log", "report.html", "junit.xml"] {
            assert!(board.dir.path().join(name).exists(), "{name}");
        }
    }
}

#[test]
fn a_board_that_resets_itself_loses_nothing_that_had_ended() {
    let board = Board::new();
    let child = board.read("tcp", "");
    let mut line = board.connection();
    let console = fine();
    let begin = format!("{}{}", console.head, console.begin);
    let first = sealed(&format!("{begin}{}{}", console.cases[0], console.cases[1]));
    // In the middle of the third case's line, firmware begins.
    let half = &console.cases[2][..console.cases[2].len() / 2];
    let again = blocked();
    let skipped = console.cases[1].replace("\"completed\"", "\"skipped\",\"why\":\"done\"");
    assert_ne!(skipped, console.cases[1]);
    let second = sealed(&format!(
        "{begin}{}{skipped}{}{}{}{}{}",
        again.cases[0], console.cases[2], console.cases[3], again.tree, again.end, again.exit
    ));
    line.write_all(format!("{first}{half}\0\r\nUEFI firmware\r\n{second}").as_bytes())
        .unwrap();
    let ended = ended(child);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.out.contains("1 time the board began again"),
        "{ended:?}"
    );
    let run = board.saved();
    use Verdict::{Blocked, Completed};
    assert_eq!(verdicts(&run), [Blocked, Completed, Completed, Completed]);
    assert_eq!((run.restarts, run.garbled), (1, 1));
    let bytes = run.serial.unwrap().garbled_bytes;
    assert_eq!(bytes, half.len() as u64 + 2, "the half line, a NUL, a CR");
}

#[test]
fn a_line_that_drops_is_sought_again() {
    let board = Board::new();
    let child = board.read("tcp", "");
    let mut line = board.connection();
    let console = fine();
    let text = console.text();
    let third = text.find(console.cases[2].trim_end()).unwrap();
    line.write_all(&text.as_bytes()[..third + 20]).unwrap();
    drop(line);
    // What the server had meanwhile is lost, up to the middle of a line.
    let mut line = board.connection();
    line.write_all(&text.as_bytes()[third + 40..]).unwrap();
    let ended = ended(child);
    // One case is lost, so that the others are fine is no answer.
    assert_eq!(ended.code, 2, "{ended:?}");
    let folded: Vec<_> = ended.out.split_whitespace().collect();
    let folded = folded.join(" ");
    for part in [
        "1 time the line was lost",
        "20 bytes of the serial line were garbled",
        "No answer: of 4 cases 3 were read; record 5 of the console was lost.",
        "no record of case 3 was read",
    ] {
        assert!(folded.contains(part), "{part}: {ended:?}");
    }
    let run = board.saved();
    assert_eq!((run.cases.len(), run.serial.unwrap().cuts), (3, 1));
}

#[test]
fn a_last_line_that_is_lost_is_not_waited_for() {
    let board = Board::new();
    let child = board.read("tcp", "");
    let mut line = board.connection();
    let mut console = blocked();
    console.exit = "stalecore: e~it 4\n".into();
    let begin = Instant::now();
    line.write_all(console.text().as_bytes()).unwrap();
    let ended = ended(child);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(begin.elapsed() < Duration::from_secs(18));
}

#[test]
fn telnet_s_commands_are_answered_and_taken_out() {
    let board = Board::new();
    let child = board.read("telnet", "");
    let mut line = board.connection();
    line.write_all(b"\xff\xfb\x01\xff\xfd\x18Welcome\r\0\r\n\xff\xff\n")
        .unwrap();
    let mut answer = [0; 6];
    line.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"\xff\xfd\x01\xff\xfc\x18");
    let text = fine().text().replace('\n', "\r\n");
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    line.write_all(&[first, b"\xff\xf1", second].concat())
        .unwrap();
    let ended = ended(child);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!((board.saved().cases.len(), board.saved().garbled), (4, 0));
    let log = fs::read(board.dir.path().join("console.log")).unwrap();
    assert!(log.starts_with(b"Welcome\r\r\n\xff\nKTAP"), "{log:?}");
}

#[test]
fn silence_and_ctrl_c_keep_what_came() {
    let console = fine();
    let part = format!("{}{}{}", console.head, console.begin, console.cases[0]);
    let board = Board::new();
    let child = board.command(&format!("tcp:{}", board.address()), "--quiet");
    let silent = |mut child: Command| child.spawn().unwrap();
    let child = silent(child);
    let mut line = board.connection();
    line.write_all(part.as_bytes()).unwrap();
    let log = board.dir.path().join("console.log");
    until(|| fs::metadata(&log).is_ok_and(|f| f.len() == part.len() as u64));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let interrupted = ended(child);
    assert_eq!(interrupted.code, 2, "{interrupted:?}");
    interrupted.one_line(&["interrupted after 1 of 4 cases"]);
    assert_eq!(board.saved().cases.len(), 1);

    let board = Board::new();
    let mut command = stalecore();
    command
        .args(["serial", &format!("tcp:{}", board.address())])
        .args(["--quiet", "--timeout", "1", "--out"])
        .arg(board.dir.path());
    let begin = Instant::now();
    let child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = board.connection();
    line.write_all(b"Shell> ").unwrap();
    let silent = ended(child);
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert_eq!(silent.code, 124, "{silent:?}");
    silent.one_line(&["silent for 1 s", "its last words: Shell>"]);
}

#[test]
fn what_is_no_line_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (args, parts) in [
        ("", &["PORT"][..]),
        ("/nonexistent/tty", &["/nonexistent/tty", "No such file"]),
        (
            "/dev/null",
            &["/dev/null", "no serial line", "telnet:HOST:PORT"],
        ),
        ("tcp:somewhere", &["tcp:somewhere", "HOST:PORT"]),
        (&format!("tcp:{free}"), &["tcp:127.0.0.1", "refused"]),
        ("/dev/ptmx --baud 1", &["--baud", "50"]),
        ("/dev/ptmx --timeout 0", &["--timeout", "1 to 604800"]),
        (
            &format!("tcp:{free} --baud 9600"),
            &["--baud: 9600", "allowed with a device"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = stalecore();
        command.arg("serial").args(args.split_whitespace());
        let ended = Ended::of(command.arg("--out").arg(dir.path().join("out")));
        assert_eq!(ended.code, 2, "{args}: {ended:?}");
        ended.one_line(parts);
        assert!(!dir.path().join("out").exists(), "{args}");
    }
}

#[track_caller]
fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// QEMU as a board, with its serial line where `serial` says.
struct Qemu {
    child: Child,
    stdout: BufReader<ChildStdout>,
    _stderr: ChildStderr,
}

impl Qemu {
    fn start(serial: &str, bootargs: &str, more: &str) -> Self {
        let mut child = Command::new("qemu-system-aarch64")
            .args("-M virt,gic-version=3,virtualization=on -cpu cortex-a72 -smp 4".split(' '))
            .args("-m 512 -nodefaults -no-reboot -display none -serial".split(' '))
            .args([serial, "-append", bootargs, "-kernel"])
            .arg(built("stalecore.img"))
            .args(more.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdout: BufReader::new(child.stdout.take().unwrap()),
            _stderr: child.stderr.take().unwrap(),
            child,
        }
    }

    /// The first line of its standard output with `part` in it.
    fn says(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "no {part}");
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BOOTARGS: &str = "stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe";

#[test]
fn qemu_s_pty_is_a_serial_device() {
    let _alone = alone();
    // Stopped, so that nothing is said before anybody listens.
    let mut qemu = Qemu::start("pty", BOOTARGS, "-S -qmp stdio");
    let line = qemu.says("redirected to");
    let pty = line.split_whitespace().find(|w| w.starts_with("/dev/pts/"));
    let pty = PathBuf::from(pty.unwrap());
    let board = Board::new();
    let mut child = board.command(pty.to_str().unwrap(), "").spawn().unwrap();
    let mut says = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    says.read_line(&mut line).unwrap();
    assert!(line.starts_with("reading /dev/pts/"), "{line}");
    let go = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n";
    qemu.child.stdin.as_mut().unwrap().write_all(go).unwrap();
    // It ends by PSCI SYSTEM_OFF, and takes the pty with it.
    let ended = ended(child);
    assert_eq!(ended.code, 0, "{ended:?}");
    let run = board.saved();
    assert_eq!(
        (run.cases.len(), run.garbled, run.emulated),
        (4, 0, Some(true))
    );
    assert_eq!(run.machine_command[1], "115200 8N1");
    assert_eq!(run.serial.unwrap().cuts, 0);
}

/// Stands between QEMU and the host: puts noise between lines and into one of
/// them, loses some bytes, and drops the line once.
fn disturb(from: TcpStream, board: &TcpListener) -> usize {
    let mut to = board.accept().unwrap().0;
    let mut cases = 0;
    for line in BufReader::new(from).split(b'\n') {
        let mut line = line.unwrap();
        line.push(b'\n');
        if line.starts_with(b"# {\"case\"") {
            cases += 1;
            match cases {
                // A byte turned over, and one lost.
                1 => line[12] ^= 0x80,
                2 => drop(line.remove(30)),
                3 => {
                    to.write_all(&line[..25]).unwrap();
                    drop(to);
                    // The rest of that line came while nobody listened.
                    to = board.accept().unwrap().0;
                    continue;
                }
                _ => {}
            }
        }
        to.write_all(&line).unwrap();
        to.write_all(b"\xff\0\x1b[0m\x11~\r\n").unwrap();
    }
    // Until the host has read it all.
    let _ = to.read(&mut [0; 1]);
    cases
}

#[test]
fn noise_on_the_line_is_counted_and_survived() {
    let _alone = alone();
    let board = Board::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let serial = format!("tcp:{}", listener.local_addr().unwrap());
    let child = board.read("tcp", "");
    let bootargs = format!("{BOOTARGS} stalecore.lines=cold,shared");
    let _qemu = Qemu::start(&serial, &bootargs, "");
    let cases = disturb(listener.accept().unwrap().0, &board.listener);
    let ended = ended(child);
    // Three are lost, so that the others are fine is no answer.
    assert_eq!((ended.code, cases), (2, 8), "{ended:?}");
    let run = board.saved();
    let serial = run.serial.as_ref().unwrap();
    assert_eq!((run.cases.len(), run.garbled, serial.cuts), (5, 3, 1));
    assert!(serial.garbled_bytes > 25, "{serial:?}");
    for case in &run.cases {
        assert!(case.complete.count() > 0, "{case:?}");
    }
    let folded: Vec<_> = ended.out.split_whitespace().collect();
    assert!(
        folded.join(" ").contains("of 8 cases 5 were read"),
        "{ended:?}"
    );
}
