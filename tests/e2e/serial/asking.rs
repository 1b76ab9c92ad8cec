//! A line that loses lines in both directions, between QEMU and `serial --ask`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use stalecore_model::run::Run;

use super::{
    BOOTARGS, Board, Qemu, ended, ports,
    teletype::{self, Heard},
};
use crate::{fake::Ended, host::alone};

/// What comes of a pass over the line.
struct Passed {
    ended: Ended,
    run: Run,
}

/// Which records are lost on their first way to the host, by number; the closing
/// one, which is the last, too.
fn lost(line: &str) -> bool {
    let number = line
        .rsplit_once(' ')
        .and_then(|(_, seal)| seal.split_once(':'));
    let number = number.and_then(|(number, _)| number.parse::<u32>().ok());
    line.starts_with("# {") && (line.contains("{\"end\"") || number.is_some_and(|n| n % 3 == 1))
}

/// What stands between board and host speaks to the host as this.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Bytes,
    Telnet { binary: bool },
}

/// Hands what the host asks on to the board, a request at a time: with a bit flipped in
/// the first one and in every third.
fn ask(host: &TcpStream, board: &mut TcpStream, speaks: Speaks) {
    let (mut heard, mut request, mut nth) = (Heard::default(), Vec::new(), 0);
    let mut bytes = [0; 256];
    // Then the host hangs up.
    while let Ok(n @ 1..) = { host }.read(&mut bytes) {
        match speaks {
            Speaks::Bytes => request.extend_from_slice(&bytes[..n]),
            Speaks::Telnet { .. } => request.extend(heard.take(&bytes[..n])),
        }
        // A request is an empty line and its own.
        if request.iter().filter(|byte| **byte == b'\n').count() < 2 {
            continue;
        }
        if nth % 3 == 0 {
            let middle = request.len() / 2;
            request[middle] ^= 4;
        }
        nth += 1;
        if board.write_all(&request).is_err() {
            break;
        }
        request.clear();
    }
    if let Speaks::Telnet { binary } = speaks {
        heard.check(binary);
    }
}

/// Stands between the board and the host. To the host it loses each record of
/// [`lost`] the first `times` that it comes, and damages every fourth offer; to the
/// board see [`ask`].
fn pass(board: TcpStream, host: TcpStream, speaks: Speaks, times: usize) {
    let (mut to_host, mut to_board) = (host.try_clone().unwrap(), board.try_clone().unwrap());
    let back = thread::spawn(move || ask(&host, &mut to_board, speaks));
    if let Speaks::Telnet { binary } = speaks {
        to_host.write_all(&teletype::greeting(binary)).unwrap();
        // A byte of its own that is the command's.
        to_host.write_all(b"\xff\xff\r\n").unwrap();
    }
    let mut came = std::collections::BTreeMap::<String, usize>::new();
    let mut offers = 0;
    for line in BufReader::new(board).split(b'\n') {
        let Ok(line) = line else { break };
        let mut text = String::from_utf8_lossy(&line).trim_end().to_string();
        if lost(&text) {
            let came = came.entry(text.clone()).or_default();
            *came += 1;
            if *came <= times {
                continue;
            }
        }
        if text == stalecore_model::again::OFFER {
            offers += 1;
            if offers % 4 == 1 {
                text = text.replace("again", "ag\u{1}in");
            }
        }
        let line = format!("{text}\r\n").into_bytes();
        let line = match speaks {
            Speaks::Bytes => line,
            Speaks::Telnet { .. } => teletype::sent(&line),
        };
        if to_host.write_all(&line).is_err() {
            break;
        }
    }
    // The machine is off.
    let _ = to_host.shutdown(Shutdown::Write);
    back.join().unwrap();
}

/// A board whose line is a connection to this address, with these boot arguments.
type Machine = fn(&str, &str) -> Qemu;

fn pl011(address: &str, bootargs: &str) -> Qemu {
    Qemu::start(&format!("tcp:{address}"), bootargs, "")
}

fn read(bootargs: &str, flags: &str, times: usize) -> Passed {
    read_by(pl011, Speaks::Bytes, bootargs, flags, times)
}

fn read_by(machine: Machine, speaks: Speaks, bootargs: &str, flags: &str, times: usize) -> Passed {
    let _alone = alone();
    let board = Board::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = match speaks {
        Speaks::Bytes => board.read("tcp", flags),
        Speaks::Telnet { .. } => board.read("telnet", flags),
    };
    let host = board.connection();
    let _qemu = machine(&listener.local_addr().unwrap().to_string(), bootargs);
    let line = listener.accept().unwrap().0;
    let between = thread::spawn(move || pass(line, host, speaks, times));
    let ended = ended(child);
    between.join().unwrap();
    let run = board.saved();
    Passed { ended, run }
}

/// All came in the end, and the answer is of all.
#[track_caller]
fn whole(passed: &Passed) {
    let Passed { ended, run } = passed;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!((run.lost_records(), run.cases.len()), (0, 4), "{ended:?}");
    assert_eq!((run.restarts, run.followed_by), (0, 0), "{ended:?}");
    assert!(run.unread().is_none() && run.machine.is_some() && run.end.is_some());
    let numbers: Vec<_> = run.cases.iter().map(|case| case.n).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(
        ended.out.contains("records were lost on the way, and came"),
        "{ended:?}"
    );
    assert!(
        ended.out.starts_with("No: all 4 cases")
            || ended.out.starts_with("Not blocked: all 4 cases"),
        "{ended:?}"
    );
}

#[test]
fn what_a_line_lost_both_ways_is_asked_for_and_comes() {
    let asks = format!("{BOOTARGS} stalecore.ask=on");
    whole(&read(&asks, "--ask", 1));
}

#[test]
fn a_16550_is_asked_too() {
    let asks = format!("{BOOTARGS} stalecore.ask=on");
    let passed = read_by(ports::at, Speaks::Bytes, &asks, "--ask", 1);
    whole(&passed);
    assert_eq!(passed.run.machine.unwrap().console, "16550");
}

#[test]
fn what_is_asked_goes_through_telnet() {
    let asks = format!("{BOOTARGS} stalecore.ask=on");
    for binary in [false, true] {
        let speaks = Speaks::Telnet { binary };
        let passed = read_by(pl011, speaks, &asks, "--ask", 1);
        whole(&passed);
        // No command has become part of a line.
        assert_eq!(passed.run.garbled, 0, "{:?}", passed.ended);
    }
}

#[test]
fn nobody_is_asked_unless_both_ends_are_told() {
    // The image offers, and nobody asks: it ends by itself.
    let asks = format!("{BOOTARGS} stalecore.ask=on");
    let Passed { ended, run } = read(&asks, "", 1);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(run.lost_records() > 0);
    assert!(ended.out.contains("serial --ask asks"), "{ended:?}");
    // The host would ask, and nothing is offered.
    let Passed { ended, run } = read(BOOTARGS, "--ask", 1);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(run.lost_records() > 0 && !ended.out.contains("--ask"));
}

#[test]
fn what_never_comes_is_given_up() {
    let asks = format!("{BOOTARGS} stalecore.ask=on");
    let Passed { ended, run } = read(&asks, "--ask", usize::MAX);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(run.lost_records() > 0 && run.end.is_none(), "{ended:?}");
}
