//! What stands in front of a kernel message: the time stamps, log levels,
//! caller ids and host names that consoles, `dmesg` and the journal add.

use memchr::{memchr, memrchr};

/// Who printed a line, where the kernel was built to say so.
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

/// Splits behind the kernel's time stamp nearest in front of `at`: a console
/// shared with a login prompt or with another writer shows messages that begin
/// in the middle of a line. Text in quotation marks is not taken.
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

fn take<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let piece = match *rest.first()? {
        b'<' => level(rest, stamp),
        b'[' => bracket(rest, stamp),
        b'0'..=b'9' => kmsg(rest, stamp)
            .or_else(|| date(rest, stamp))
            .or_else(|| clock(rest, stamp)),
        b'k' => kern(rest, stamp),
        b'A'..=b'Z' => syslog(rest, stamp),
        _ => None,
    };
    match piece {
        None if stamp.logged => host(rest),
        piece => piece,
    }
}

/// `<4>`.
fn level<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let close = memchr(b'>', rest.get(..6).unwrap_or(rest))?;
    digits(&rest[1..close])?;
    stamp.logged = true;
    Some(&rest[close + 1..])
}

/// `[  123.456789]`, `[  +0.000012]`, `[Sat Mar  3 12:00:01 2024]`, `[T12]`.
fn bracket<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let close = memchr(b']', rest.get(..48).unwrap_or(rest))?;
    let inside = rest[1..close].trim_ascii();
    let behind = &rest[close + 1..];
    if let Some(micros) = seconds(inside) {
        stamp.time = Some(inside);
        stamp.micros = Some(micros);
    } else if let [kind @ (b'T' | b'C'), number @ ..] = inside
        && let Some(number) = digits(number)
        && stamp.logged
    {
        let number = u32::try_from(number).ok()?;
        stamp.caller = Some(if *kind == b'T' {
            Caller::Task(number)
        } else {
            Caller::Cpu(number)
        });
    } else if is_wall_clock(inside) {
        stamp.time.get_or_insert(inside);
    } else if inside.strip_prefix(b"+").and_then(seconds).is_none() {
        return None;
    }
    stamp.logged = true;
    Some(behind)
}

/// `/dev/kmsg`: `level,sequence,microseconds,flags[,caller=T12];`.
fn kmsg<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let end = memchr(b';', rest.get(..96).unwrap_or(rest))?;
    let mut fields = rest[..end].split(|b| *b == b',');
    digits(fields.next()?)?;
    digits(fields.next()?)?;
    let time = fields.next()?;
    let micros = digits(time)?;
    fields.next()?;
    for field in fields {
        if let Some([kind, number @ ..]) = field.strip_prefix(b"caller=")
            && let Some(number) = digits(number).and_then(|n| u32::try_from(n).ok())
        {
            stamp.caller = Some(if *kind == b'C' {
                Caller::Cpu(number)
            } else {
                Caller::Task(number)
            });
        }
    }
    stamp.time = Some(time);
    stamp.micros = Some(micros);
    stamp.logged = true;
    Some(&rest[end + 1..])
}

/// `2024-03-03T12:00:01.123456+08:00` or `2024-03-03 12:00:01`, then a space.
fn date<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let shape = b"dddd-dd-dd dd:dd:dd";
    let head = rest.get(..shape.len())?;
    let fits = head.iter().zip(shape).all(|(b, s)| match s {
        b'd' => b.is_ascii_digit(),
        b' ' => matches!(b, b' ' | b'T' | b'_'),
        _ => b == s,
    });
    if !fits {
        return None;
    }
    let more = rest[shape.len()..]
        .iter()
        .position(|b| !matches!(b, b'0'..=b'9' | b'.' | b',' | b'+' | b'-' | b':' | b'Z'))?;
    let end = shape.len() + more;
    stamp.time.get_or_insert(&rest[..end]);
    stamp.logged = true;
    Some(&rest[end..])
}

/// `12:00:01` or `12:00:01.123`, then a space.
fn clock<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let end = memchr(b' ', rest.get(..20).unwrap_or(rest))?;
    let word = &rest[..end];
    if word.len() < 8 || !is_wall_clock(word) {
        return None;
    }
    stamp.time.get_or_insert(word);
    stamp.logged = true;
    Some(&rest[end..])
}

/// `kern  :emerg : ` of `dmesg -x`, or `kernel: ` alone.
fn kern<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    if let Some(behind) = rest.strip_prefix(b"kernel:") {
        stamp.logged = true;
        return Some(behind);
    }
    let level = rest.strip_prefix(b"kern")?.trim_ascii_start();
    let level = level.strip_prefix(b":")?;
    let colon = memchr(b':', level.get(..10).unwrap_or(level))?;
    let word = level[..colon].trim_ascii_end();
    if word.is_empty() || !word.iter().all(u8::is_ascii_lowercase) {
        return None;
    }
    stamp.logged = true;
    Some(&level[colon + 1..])
}

/// `Mar  3 12:00:01 ` of syslog and the journal.
fn syslog<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let head = rest.get(..16)?;
    let is_date = MONTHS.iter().any(|m| head.starts_with(*m))
        && head[3] == b' '
        && head[6] == b' '
        && is_wall_clock(&head[7..15]);
    if !is_date {
        return None;
    }
    let micros = memchr(b' ', &rest[7..]).map_or(rest.len(), |i| i + 7);
    stamp.time.get_or_insert(&rest[..micros]);
    stamp.logged = true;
    Some(&rest[micros..])
}

/// `host kernel: ` behind a date.
fn host(rest: &[u8]) -> Option<&[u8]> {
    let space = memchr(b' ', rest.get(..64).unwrap_or(rest))?;
    rest[space + 1..].strip_prefix(b"kernel:")
}

/// Does the text hold `dd:dd` and nothing that a date would not?
fn is_wall_clock(text: &[u8]) -> bool {
    text.windows(5)
        .any(|w| w[2] == b':' && [w[0], w[1], w[3], w[4]].iter().all(u8::is_ascii_digit))
        && text.iter().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b' ' | b':' | b'.' | b',' | b'+' | b'-')
        })
}

/// Reads `8489810.600917` as microseconds.
fn seconds(text: &[u8]) -> Option<u64> {
    let dot = memchr(b'.', text)?;
    let (whole, part) = (&text[..dot], &text[dot + 1..]);
    if !(3..=9).contains(&part.len()) {
        return None;
    }
    let scale = 10_u64.pow(9 - u32::try_from(part.len()).ok()?);
    let nanos = digits(part)? * scale;
    digits(whole)?
        .checked_mul(1_000_000)?
        .checked_add(nanos / 1000)
}

/// Reads a decimal number of at most 18 digits.
pub fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0_u64, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
    })
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
        assert_eq!(caller("[T12] x"), None);
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
    fn messages_in_mid_line_need_a_time_stamp() {
        let line = b"node login: [ 12.345678] Bye!";
        let (stamp, rest) = split_before(line, line.len()).unwrap();
        assert_eq!((stamp.micros, rest), (Some(12_345_678), &b"Bye!"[..]));
        assert_eq!(split_before(b"it prints Bye!", 10), None);
        assert_eq!(split_before(b"a healthy `[ 12.345678] Bye!`", 24), None);
    }
}
