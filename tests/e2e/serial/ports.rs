//! QEMU as a board whose console is a 16550.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use stalecore_model::{
    glossary::{StaleState, Verdict},
    record::CaseRecord,
};

use super::{Board, Qemu, ended};
use crate::{bare::Bare, host::alone, mishaps::until};

/// Three CPUs, and a 16550 whose line goes where QEMU's character device says.
pub fn board(chardev: &str, bootargs: &str, more: &str) -> Qemu {
    let mut files = Bare::new(0x4040_0000, ("firmware.dts", 0x4030_0000));
    files.set("/chosen", "bootargs", "-ts", &[bootargs]);
    files.set("/uart@9000000", "compatible", "-ts", &["ns16550a"]);
    let place = ["0", "0x3eff1000", "0", "8"];
    files.set("/uart@9000000", "reg", "-tx", &place);
    files.code("pci-serial.S", 0x4020_0000);
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args("-M virt,gic-version=3,virtualization=on,highmem=off -smp 3 -m 1G".split(' '))
        .args(["-chardev", chardev])
        .args("-device pci-serial,chardev=line,addr=1".split(' '))
        .args("-device loader,addr=0x40200000,cpu-num=0".split(' '))
        .args(more.split_whitespace());
    files.load(&mut qemu);
    Qemu::of(qemu, Some(files))
}

/// The same with its line at a place of this host's network.
pub fn at(address: &str, bootargs: &str) -> Qemu {
    let (host, port) = address.rsplit_once(':').unwrap();
    let chardev = format!("socket,id=line,host={host},port={port}");
    board(&chardev, bootargs, "")
}

/// A host that does not read for a while, as one that is suspended: the image waits for
/// no line. It says what was lost, and sends it again.
#[test]
fn what_a_line_that_stops_has_lost_is_told_and_comes_again() {
    let _alone = alone();
    let bootargs = "stalecore.ask=on stalecore.samples=4 stalecore.sweep=off";
    let mut qemu = board("pty,id=line", bootargs, "-S -qmp stdio");
    let said = qemu.says("redirected to");
    let pty = said.split_whitespace().find(|w| w.starts_with("/dev/pts/"));
    let pty = pty.unwrap();
    let board = Board::new();
    let mut child = board.command(pty, "--ask").spawn().unwrap();
    let mut says = BufReader::new(child.stderr.take().unwrap());
    says.read_line(&mut String::new()).unwrap();
    let go = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n";
    qemu.child.stdin.as_mut().unwrap().write_all(go).unwrap();
    let log = board.dir.path().join("console.log");
    let came = |bytes| fs::metadata(&log).is_ok_and(|log| log.len() >= bytes);
    until(|| came(2 << 10));
    let begin = Instant::now();
    until(|| came(12 << 10));
    let host = Pid::from_child(&child);
    kill_process(host, Signal::STOP).unwrap();
    // The host's kernel keeps up to 20 KiB for it; meanwhile 35 of 85 are written.
    let least = Duration::from_secs(8);
    thread::sleep(least.max(begin.elapsed() * 7 / 2));
    kill_process(host, Signal::CONT).unwrap();
    let ended = ended(child);
    let run = board.saved();
    let told = |note: &&String| note.contains("the console had stopped: ");
    assert!(run.notes.iter().any(|note| told(&note)), "{:?}", run.notes);
    // On a busy host this state may have passed before the first operation.
    let undecided = |case: &CaseRecord| {
        case.verdict == Verdict::Inconclusive && case.state == StaleState::CpuOffInflight
    };
    let undecided = run.cases.iter().any(undecided);
    let code = if undecided { 6 } else { 0 };
    assert_eq!((ended.code, run.lost_records()), (code, 0), "{ended:?}");
    // The line that was cut off, and nothing else.
    assert!(run.garbled <= 1 && run.end.is_some(), "{ended:?}");
}
