//! The pieces of which a prefix is made; each takes one off and notes what it
//! says.

use std::sync::LazyLock;

use memchr::{memchr, memchr2, memmem::Finder};

use super::{Caller, Stamp};

/// `<4>`.
pub fn level<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let close = memchr(b'>', rest.get(..6).unwrap_or(rest))?;
    digits(&rest[1..close])?;
    stamp.logged = true;
    let behind = &rest[close + 1..];
    // The syslog protocol's version.
    Some(behind.strip_prefix(b"1 ").unwrap_or(behind))
}

/// `[  123.456789]`, `[  123.456789 <    0.000012>]`, `[  +0.000012]`,
/// `[  123.456789s]`, `[  123.456789@2]`, `[Sat Mar  3 12:00:01 2024]`, `[T12]`.
pub fn bracket<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    if let Some((time, micros, behind)) = ordinary(rest) {
        stamp.time = Some(time);
        stamp.micros = Some(micros);
        stamp.logged = true;
        return Some(behind);
    }
    let close = memchr(b']', rest.get(..64).unwrap_or(rest))?;
    let inside = rest[1..close].trim_ascii();
    let behind = &rest[close + 1..];
    let end = memchr2(b'<', b'@', inside).unwrap_or(inside.len());
    let time = inside[..end].trim_ascii_end();
    let time = time.strip_suffix(b"s").unwrap_or(time);
    if let Some(micros) = seconds(time) {
        stamp.time = Some(time);
        stamp.micros = Some(micros);
    } else if let [kind @ (b'T' | b'C'), number @ ..] = inside
        && let Some(number) = digits(number)
        && (stamp.logged || behind.starts_with(b" "))
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

/// `[  123.456789]` as nearly every line has it, in one pass: the time, in
/// microseconds, and what stands behind it.
fn ordinary(rest: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let from = rest.iter().skip(1).position(|b| *b != b' ')? + 1;
    let whole = rest.get(from..from + 16)?;
    let dot = whole.iter().position(|b| !b.is_ascii_digit())?;
    let end = from + dot + 7;
    let part = rest.get(from + dot..=end)?;
    if part[0] != b'.' || part[7] != b']' {
        return None;
    }
    let seconds = digits(&whole[..dot])?;
    let micros = seconds.checked_mul(1_000_000)? + digits(&part[1..7])?;
    Some((&rest[from..end], micros, &rest[end + 1..]))
}

/// `/dev/kmsg`: `level,sequence,microseconds,flags[,caller=T12];`.
pub fn kmsg<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
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
pub fn date<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let shape = b"dddd-dd-dd dd:dd:dd";
    let head = rest.get(..shape.len())?;
    let fits = head.iter().zip(shape).all(|(b, s)| match s {
        b'd' => b.is_ascii_digit(),
        b' ' => matches!(b, b' ' | b'T' | b'_'),
        _ => b == s,
    });
    if !fits {
        return logcat(rest, stamp);
    }
    let more = rest[shape.len()..]
        .iter()
        .position(|b| !matches!(b, b'0'..=b'9' | b'.' | b',' | b'+' | b'-' | b':' | b'Z'))?;
    let end = shape.len() + more;
    stamp.time.get_or_insert(&rest[..end]);
    stamp.logged = true;
    Some(&rest[end..])
}

/// `03-03 12:00:01.123 ` of Android's `logcat`.
fn logcat<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let day = rest.get(..6)?;
    let is_day =
        day[2] == b'-' && day[5] == b' ' && digits(&day[..2]).and(digits(&day[3..5])).is_some();
    is_day.then(|| clock(&rest[6..], stamp)).flatten()
}

/// `12:00:01` or `12:00:01.123`, then a space.
pub fn clock<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
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
pub fn kern<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
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

/// `Mar  3 12:00:01 ` of syslog and the journal; `Wed 2026-03-04 05:06:13 UTC `
/// of `journalctl -o short-full`.
pub fn syslog<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    const DAYS: [&[u8; 4]; 7] = [
        b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun ",
    ];
    // Both are three letters and a space.
    if rest.get(3) != Some(&b' ') {
        return None;
    }
    if DAYS.iter().any(|d| rest.starts_with(*d)) {
        let behind = date(&rest[4..], stamp)?;
        let zone = behind.strip_prefix(b" ")?;
        let end = memchr(b' ', zone.get(..10).unwrap_or(zone))?;
        let is_zone = zone[..end]
            .iter()
            .all(|b| b.is_ascii_uppercase() || matches!(b, b'+' | b'-' | b'0'..=b'9'));
        return Some(if is_zone { &zone[end..] } else { behind });
    }
    let head = rest.get(..16)?;
    let is_date = MONTHS.iter().any(|m| head.starts_with(*m))
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

/// `1709528773.123456 host ` of `journalctl -o short-unix` and of `ts %.s`.
pub fn epoch<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let end = memchr(b' ', rest.get(..24).unwrap_or(rest))?;
    let since_1970 = seconds(&rest[..end])?;
    // Anything less is no time of day but some other number.
    if since_1970 < 1_000_000_000_000_000 {
        return None;
    }
    stamp.time.get_or_insert(&rest[..end]);
    stamp.logged = true;
    Some(&rest[end..])
}

/// `00031 ` of a test runner that counts seconds, `00O ` of a CI's streams.
pub fn runner<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    if stamp.logged && rest.len() > 4 && matches!(&rest[2..4], b"O " | b"E ") {
        return digits(&rest[..2]).map(|_| &rest[4..]);
    }
    let behind = rest.get(5..)?.strip_prefix(b" ")?;
    digits(&rest[..5])?;
    stamp.time.get_or_insert(&rest[..5]);
    stamp.logged = true;
    Some(behind)
}

/// `MESSAGE=` of `journalctl -o verbose` and `-o export`.
pub fn export<'a>(rest: &'a [u8], stamp: &mut Stamp<'a>) -> Option<&'a [u8]> {
    let behind = rest.strip_prefix(b"MESSAGE=")?;
    stamp.logged = true;
    Some(behind)
}

/// `host kernel: ` behind a date, with what syslog daemons and Android's
/// `logcat` put around it.
pub fn host(rest: &[u8]) -> Option<&[u8]> {
    let shown = rest.get(..96).unwrap_or(rest);
    static KERNEL: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("kernel"));
    let at = KERNEL.find(shown)?;
    let before = &rest[..at];
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || b" -._:/@".contains(b);
    if !(before.is_empty() || before.ends_with(b" ") && before.iter().all(is_word)) {
        return None;
    }
    let behind = &rest[at + b"kernel".len()..];
    if let Some(structured) = behind.strip_prefix(b" - - ") {
        return structured.strip_prefix(b"- ").or(Some(structured));
    }
    let behind = match behind.strip_prefix(b"[") {
        Some(pid) => &pid[memchr(b']', pid.get(..12).unwrap_or(pid))? + 1..],
        None => behind,
    };
    behind.trim_ascii_start().strip_prefix(b":")
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
