//! A board's serial line: from tests that play the console server ([`server`]), and
//! from QEMU as the board.

mod asking;
mod ports;
mod server;
mod teletype;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
};

use stalecore_model::run::Run;
use tempfile::TempDir;

use crate::{
    bare::Bare,
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
            .args(["serial", port, "--timeout", "300"])
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

/// QEMU as a board, with its serial line where `serial` says.
struct Qemu {
    child: Child,
    stdout: BufReader<ChildStdout>,
    _stderr: ChildStderr,
    _files: Option<Bare>,
}

impl Qemu {
    fn start(serial: &str, bootargs: &str, more: &str) -> Self {
        let mut qemu = Command::new("qemu-system-aarch64");
        qemu.args("-M virt,gic-version=3,virtualization=on -smp 4 -m 512 -serial".split(' '))
            .args([serial, "-append", bootargs, "-kernel"])
            .arg(built("stalecore.img"))
            .args(more.split_whitespace());
        Self::of(qemu, None)
    }

    fn of(mut qemu: Command, files: Option<Bare>) -> Self {
        let mut child = qemu
            .args("-cpu cortex-a72 -nodefaults -no-reboot -display none".split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdout: BufReader::new(child.stdout.take().unwrap()),
            _stderr: child.stderr.take().unwrap(),
            _files: files,
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
