//! A console server that the tests play, which can make every mishap happen.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use stalecore_model::{glossary::Verdict, run::Run};

use super::{Board, ended};
use crate::{
    consoles::{blocked, fine, sealed},
    fake::{Ended, stalecore},
    mishaps::until,
};

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
    let skipped =
        console.cases[1].replace("\"v\":\"ok\"", "\"verdict\":\"skipped\",\"why\":\"done\"");
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
    assert!(begin.elapsed() < Duration::from_secs(120));
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
        .args(["--quiet", "--timeout", "5", "--out"])
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
    assert!(begin.elapsed() < Duration::from_secs(120));
    assert_eq!(silent.code, 124, "{silent:?}");
    silent.one_line(&["silent for 5 s", "its last words: Shell>"]);
}

#[test]
fn what_is_no_line_is_refused() {
    // Nobody listens at the near end of a connection, and nobody else gets its port.
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(far.local_addr().unwrap()).unwrap();
    let free = near.local_addr().unwrap();
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
