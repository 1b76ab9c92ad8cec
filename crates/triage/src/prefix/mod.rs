//! What precedes a kernel message on its line: the time stamps, log levels,
//! caller ids and host names that consoles, `dmesg`, the journal, vendors'
//! kernels and test runners add.

mod pieces;
mod vendor;
mod wrapped;

use memchr::memrchr;

pub use pieces::digits;
pub use vendor::peel;
pub use wrapped::unwrap;

/// Who printed a line, if the kernel was built to say so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// A task, by its pid: `[T2333]`.
    Task(u32),
    /// A CPU outside of any task: `[C24]`.
    Cpu(u32),
}

/// What was in front of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp<'a> {
    /// The most precise time given, as text.
    pub time: Option<&'a [u8]>,
    /// The kernel's own time in microseconds.
    pub micros: Option<u64>,
    /// Who printed it.
    pub caller: Option<Caller>,
    /// Did anything at all mark it as a line of a log?
    pub logged: bool,
}

/// Splits a line into its stamp and the message behind it.
pub fn split(line: &[u8]) -> (Stamp<'_>, &[u8]) {
    let mut stamp = Stamp::default();
    let mut rest = line;
    // Each round takes one piece off; ten are more than any tool chain adds.
    for _ in 0..10 {
        rest = trim_start(rest);
        match take(rest, &mut stamp) {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    (stamp, rest)
}

/// Splits after the kernel's last time stamp before `at`: a console shared with a
/// login prompt or with another writer shows messages that begin in the middle of a
/// line. Text in quotation marks is not taken.
pub fn split_before(line: &[u8], at: usize) -> Option<(Stamp<'_>, &[u8])> {
    let mut end = at;
    for _ in 0..3 {
        let open = memrchr(b'[', &line[..end])?;
        let (stamp, rest) = split(&line[open..]);
        if stamp.micros.is_some() && line.len() - rest.len() <= at {
            let quoted = open > 0 && matches!(line[open - 1], b'`' | b'"' | b'\'');
            return (!quoted).then_some((stamp, rest));
        }
        end = open;
    }
    None
}

fn trim_start(mut rest: &[u8]) -> &[u8] {
    // `>` and `|` quote in mail and Markdown; NULs come from a UART in reset.
    while let [b' ' | b'\t' | b'>' | b'|' | 0, tail @ ..] = rest {
        rest = tail;
    }
    rest
}

/// The text after a shell's prompt on the same line (`~ # `, `root@host:~# `,
/// `host login: `): it may be an unstamped message.
pub fn behind_prompt(line: &[u8]) -> Option<&[u8]> {
    let shown = &line[..line.len().min(60)];
    let at = [&b"# "[..], b"$ ", b"login: ", b"=> "]
        .iter()
        .filter_map(|end| memchr::memmem::rfind(shown, end).map(|at| (at, at + end.len())))
        .max()?;
    let before = line[..at.0].trim_ascii();
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"~/@:.-_[]() ".contains(b);
    (!before.is_empty() && before.iter().all(is_name)).then(|| line[at.1..].trim_ascii_start())
}

fn take<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    use pieces::{bracket, clock, date, epoch, export, host, kern, kmsg, level, runner, syslog};
    let piece = match *rest.first()? {
        b'<' => level(rest, stamp),
        b'[' => bracket(rest, stamp),
        b'0'..=b'9' => kmsg(rest, stamp)
            .or_else(|| date(rest, stamp))
            .or_else(|| clock(rest, stamp))
            .or_else(|| epoch(rest, stamp))
            .or_else(|| runner(rest, stamp)),
        b'k' => kern(rest, stamp),
        b'M' => syslog(rest, stamp).or_else(|| export(rest, stamp)),
        b'A'..=b'Z' => syslog(rest, stamp),
        b'#' => rest
            .strip_prefix(b"# ")
            .filter(|rest| rest.starts_with(b"[")),
        _ => None,
    };
    match piece {
        None if stamp.logged => host(rest),
        piece => piece,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> (Option<u64>, &str) {
        let (stamp, rest) = split(line.as_bytes());
        (stamp.micros, std::str::from_utf8(rest).unwrap())
    }

    #[test]
    fn every_known_prefix_comes_off() {
        let at = Some(8_489_810_600_917);
        for line in [
            "[8489810.600917] Bye!",
            "<6>[8489810.600917] Bye!",
            "[8489810.600917][ T2333] Bye!",
            "[8489810.600917] [   C24] Bye!",
            "> [8489810.600917] Bye!",
            "kern  :emerg : [8489810.600917] Bye!",
            "6,1234,8489810600917,-;Bye!",
            "6,1234,8489810600917,-,caller=T2333;Bye!",
            "Mar  3 12:00:01 node-7 kernel: [8489810.600917] Bye!",
            "2024-03-03T12:00:01.123456+08:00 node-7 kernel: [8489810.600917] Bye!",
            "[8489810.600917] node-7 kernel: Bye!",
            "[2024-03-03 12:00:01]  [8489810.600917] Bye!",
            "\0\0[8489810.600917] Bye!",
            "[8489810.600917 <    0.000123>] Bye!",
            "[8489810.600917 <    0.000123 >] host kernel: Bye!",
            "[8489810.600917s] Bye!",
            "[8489810.600917@2] Bye!",
            "# [8489810.600917] Bye!",
            "00031 [8489810.600917] Bye!",
            "<4>1 2024-03-03T12:00:01.123456+08:00 node-7 kernel - - - [8489810.600917] Bye!",
            "2024-03-03T12:00:01.123456Z 00O [8489810.600917] Bye!",
            "2024-03-03 12:00:01,123 <4>[8489810.600917] Bye!",
        ] {
            assert_eq!(message(line), (at, "Bye!"), "{line}");
        }
        for line in [
            "[Sat Mar  3 12:00:01 2024] Bye!",
            "Mar  3 12:00:01 node-7 kernel: Bye!",
            "2024-03-03T12:00:01,123456+08:00 Bye!",
            "[  +0.000012] Bye!",
            "12:00:01.123 Bye!",
            "kernel:Bye!",
            "[  T197] Bye!",
            "[    C2] Bye!",
            "Wed 2026-03-04 05:06:13 UTC host kernel: Bye!",
            "1709528773.123456 host kernel: Bye!",
            "Mar  3 12:00:01 node-7 kernel[0]: Bye!",
            "03-03 12:00:01.123     0     0 W kernel  : Bye!",
            "    MESSAGE=Bye!",
            "00031 Bye!",
        ] {
            assert_eq!(message(line), (None, "Bye!"), "{line}");
            assert!(split(line.as_bytes()).0.logged, "{line}");
        }
    }

    #[test]
    fn callers_are_told_apart() {
        let caller = |line: &'static str| split(line.as_bytes()).0.caller;
        assert_eq!(caller("[ 1.000000][ T12] x"), Some(Caller::Task(12)));
        assert_eq!(caller("[ 1.000000][  C3] x"), Some(Caller::Cpu(3)));
        assert_eq!(caller("5,1,2,-,caller=C3;x"), Some(Caller::Cpu(3)));
        assert_eq!(caller("[T12] x"), Some(Caller::Task(12)));
        assert_eq!(caller("[T12]x"), None);
    }

    #[test]
    fn other_text_stays() {
        for line in [
            "[containerd:2333] Bye!",
            "node sshd[12]: Bye!",
            "[<ffff000008081234>] el1_irq+0xb0/0x140",
            "1. Bye!",
            "pr_info(\"Bye!\\n\");",
        ] {
            assert_eq!(message(line), (None, line));
        }
    }

    #[test]
    fn a_prompt_may_share_the_line() {
        for line in [
            "~ # Bye!",
            "root@host:~# Bye!",
            "host login: Bye!",
            "[a@b c]$ Bye!",
        ] {
            assert_eq!(behind_prompt(line.as_bytes()), Some(&b"Bye!"[..]), "{line}");
        }
        for line in ["# Bye!", "it says \"$ Bye!\"", "Bye!"] {
            assert_eq!(behind_prompt(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn messages_in_mid_line_need_a_time_stamp() {
        let line = b"node login: [ 12.345678] Bye!";
        let (stamp, rest) = split_before(line, line.len()).unwrap();
        assert_eq!((stamp.micros, rest), (Some(12_345_678), &b"Bye!"[..]));
        assert_eq!(split_before(b"it prints Bye!", 10), None);
        assert_eq!(split_before(b"a healthy `[ 12.345678] Bye!`", 24), None);
    }
}
