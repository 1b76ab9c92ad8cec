//! Lines that a mail program or a terminal broke, and lines that a web form
//! joined.

use std::borrow::Cow;

use super::{
    super::{prefix, wording},
    Row,
};

/// Columns at which mail programs and terminals break lines.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=132;

/// Reasons for panics, to tell when one is not whole.
const REASONS: [&[u8]; 9] = [
    b"softlockup: hung tasks",
    b"Hard LOCKUP",
    b"RCU Stall",
    b"sysrq triggered crash",
    b"hung_task: blocked tasks",
    b"Fatal exception",
    b"Fatal exception in interrupt",
    b"Fatal hardware error!",
    b"Asynchronous SError Interrupt",
];

/// Splits lines that hold several of the kernel's time stamps, before each stamp.
pub fn split<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let mut found = Vec::new();
    let mut changed = false;
    for row in rows {
        let starts = stamps(&row.bytes);
        if starts.len() < 2 {
            found.push(row.clone());
            continue;
        }
        changed = true;
        let mut from = 0;
        for start in starts.into_iter().skip(1).chain([row.bytes.len()]) {
            found.push(Row {
                number: row.number,
                bytes: Cow::Owned(row.bytes[from..start].trim_ascii_end().to_vec()),
            });
            from = start;
        }
    }
    changed.then_some(found)
}

/// Where messages with the kernel's own time begin in a line; a stamp right after
/// another belongs to the same message.
fn stamps(line: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open = false;
    for at in memchr::memchr_iter(b'[', line) {
        if at > 0 && !matches!(line[at - 1], b' ' | b'>' | b'\t' | b'\\') {
            continue;
        }
        let (stamp, behind) = prefix::split(&line[at..]);
        let own = line[at..]
            .iter()
            .skip(1)
            .find(|b| **b != b' ')
            .is_some_and(u8::is_ascii_digit);
        if stamp.micros.is_none() || !own {
            continue;
        }
        let text = line.len() - behind.len();
        if open && found.last().is_some_and(|(_, end)| *end >= at) {
            continue;
        }
        // The level belongs to its stamp.
        let level = line[..at]
            .ends_with(b">")
            .then(|| memchr::memrchr(b'<', &line[..at]));
        let start = level.flatten().filter(|open| at - open <= 4).unwrap_or(at);
        found.push((start, text));
        open = true;
    }
    found.into_iter().map(|(start, _)| start).collect()
}

/// Joins lines that were broken at a column.
pub fn join<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let logged: Vec<bool> = rows.iter().map(|row| is_logged(&row.bytes)).collect();
    let stamped = logged.iter().filter(|l| **l).count();
    // In a log with stamps, only the lines that have one are measured.
    let all = stamped * 3 < rows.len();
    let measured = rows
        .iter()
        .zip(&logged)
        .filter(|(_, l)| all || **l)
        .map(|(row, _)| &row.bytes);
    let widest = measured
        .clone()
        .map(|line| line.trim_ascii_end().len())
        .max()?;
    if widest > *WIDTHS.end() {
        return None;
    }
    let full = measured.filter(|line| line.len() == widest).count();
    let hard = (full >= 2 && WIDTHS.contains(&widest)).then_some(widest);
    let mut found: Vec<Row<'a>> = Vec::new();
    let mut changed = false;
    // The length of the last line's last piece.
    let mut piece = 0;
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        let line = found.last().filter(|_| !logged[at]);
        let joined = line.and_then(|before| continued(&before.bytes, piece, row, hard));
        if let Some((before, joined)) = found.last_mut().zip(joined) {
            before.bytes = Cow::Owned(joined);
            changed = true;
        } else {
            found.push(row.clone());
        }
        piece = row.bytes.len();
        at += 1;
        // A message that lacks its end may go on for up to three pieces.
        if let Some(last) = found.last_mut()
            && let Some((pieces, whole)) = completed(&last.bytes, &rows[at..], &logged[at..])
        {
            last.bytes = Cow::Owned(whole);
            changed = true;
            piece = rows[at + pieces - 1].bytes.len();
            at += pieces;
        }
    }
    changed.then_some(found)
}

/// The text of a continuation, without what quotes it.
fn continuation<'a>(row: &'a Row<'_>) -> &'a [u8] {
    let mut text = row.bytes.trim_ascii();
    while let [b'>', rest @ ..] = text {
        text = rest.trim_ascii_start();
    }
    text
}

/// Completes a message that lacks its end: the number of pieces taken, and the whole.
fn completed(line: &[u8], next: &[Row<'_>], logged: &[bool]) -> Option<(usize, Vec<u8>)> {
    if !lacks(prefix::split(line).1) {
        return None;
    }
    let mut whole = line.trim_ascii_end().to_vec();
    for (number, (row, logged)) in (1..=3).zip(next.iter().zip(logged)) {
        let text = continuation(row);
        if *logged || text.is_empty() || wording::parse(text, true).is_some() {
            return None;
        }
        whole.push(b' ');
        whole.extend_from_slice(text);
        if !lacks(prefix::split(&whole).1) {
            return Some((number, whole));
        }
    }
    None
}

fn is_logged(line: &[u8]) -> bool {
    prefix::split(line).0.logged
}

/// The line joined with the next one, if that is its continuation.
fn continued(before: &[u8], piece: usize, row: &Row<'_>, hard: Option<usize>) -> Option<Vec<u8>> {
    let raw = &row.bytes[..];
    let text = continuation(row);
    let (stamp, message) = prefix::split(before);
    // A message of its own is no continuation.
    if text.is_empty()
        || wording::parse(text, true).is_some()
        || prefix::behind_prompt(raw).is_some()
    {
        return None;
    }
    let own = wording::parse(message, true);
    let open = lacks(message) || own.as_ref().is_none_or(|m| m.is_step());
    if open && stamp.logged && hard == Some(piece) && !raw.starts_with(b" ") {
        return Some([before, raw].concat());
    }
    let with_space = [before.trim_ascii_end(), b" ", text].concat();
    let (_, joined) = prefix::split(&with_space);
    let tells = wording::parse(joined, true).is_some_and(|m| m.is_step());
    let made = tells && own.is_none();
    made.then_some(with_space)
}

/// Is it a message whose end is missing?
fn lacks(message: &[u8]) -> bool {
    let message = message.trim_ascii();
    let has = |word: &[u8]| memchr::memmem::find(message, word).is_some();
    if message.starts_with(b"CPU: ") && has(b" PID: ") {
        return !has(b" #");
    }
    if let Some(name) = message.strip_prefix(b"Hardware name: ") {
        // It ends with "(DT)", or with the date of its firmware.
        let last = name.rsplit(|b| *b == b' ').next().unwrap_or_default();
        let numbers = last.iter().filter(|b| b.is_ascii_digit()).count();
        let parted = last.iter().any(|b| matches!(b, b'/' | b'-' | b':' | b'.'));
        return !(name.ends_with(b")") || numbers >= 4 && parted);
    }
    if let Some(reason) = message.strip_prefix(b"Kernel panic - not syncing: ") {
        // The whole reason, or the part after its last colon.
        let begun = |text: &[u8]| {
            let longer = |known: &&&[u8]| {
                known
                    .strip_prefix(text)
                    .is_some_and(|rest| rest.starts_with(b" "))
            };
            !REASONS.contains(&text) && REASONS.iter().any(|known| longer(&known))
        };
        let colon = memchr::memmem::rfind(reason, b": ").map_or(0, |at| at + 2);
        return begun(reason) || begun(&reason[colon..]);
    }
    let cut: [&[u8]; 5] = [
        b"SMP: failed to stop secondary CPUs",
        b"SMP: failed to stop secondary",
        b"SMP: failed to stop",
        b"Kernel panic - not syncing:",
        b"Unable to handle kernel",
    ];
    cut.contains(&message)
        || message.ends_with(b"-") && message.starts_with(b"SMP: failed to stop")
        || message.ends_with(b",") && message.starts_with(b"SMP: failed to stop")
}

#[cfg(test)]
mod tests {
    use super::super::tests::joined;

    #[test]
    fn broken_lines_are_joined() {
        for (file, wanted) in [
            (
                "[ 4371.000100] CPU: 0 PID: 4084 Comm: a Tainted: G\n    X ---  5.14.0-1.el9 #1\n[ 4371.000200] x\n",
                "[ 4371.000100] CPU: 0 PID: 4084 Comm: a Tainted: G X ---  5.14.0-1.el9 #1|[ 4371.000200] x",
            ),
            (
                "[ 4371.000100] Hardware name: Maker\nBoard X1, BIOS 1.0 02/06/2015\n[ 4371.000200] x\n",
                "[ 4371.000100] Hardware name: Maker Board X1, BIOS 1.0 02/06/2015|[ 4371.000200] x",
            ),
            (
                "[ 4371.000100] SMP: failed to stop secondary\nCPUs 0-2\n[ 4371.000200] x\n",
                "[ 4371.000100] SMP: failed to stop secondary CPUs 0-2|[ 4371.000200] x",
            ),
            (
                "[ 4371.000100] Kernel panic - not\nsyncing: Fatal exception\n[ 4371.000200] x\n",
                "[ 4371.000100] Kernel panic - not syncing: Fatal exception|[ 4371.000200] x",
            ),
            (
                "[ 4371.000100] Kernel panic - not syncing: Oops: Fatal exception in\ninterrupt\n[ 4371.000200] x\n",
                "[ 4371.000100] Kernel panic - not syncing: Oops: Fatal exception in interrupt|[ 4371.000200] x",
            ),
            (
                "> [ 4371.000100] Kernel panic - not\n> syncing: Fatal exception\n> [ 4371.000200] x\n",
                "> [ 4371.000100] Kernel panic - not syncing: Fatal exception|> [ 4371.000200] x",
            ),
        ] {
            assert_eq!(joined(file).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn a_terminal_breaks_inside_of_words() {
        let file = "[    1.000000] SMP: failed to stop secondary CPUs 0-23,25-127 and more\n\
                    x\n[    1.000000] 4567890123456789012345678901234567890123456789012345678\n9\n";
        assert!(joined(file).unwrap().starts_with(
            "[    1.000000] SMP: failed to stop secondary CPUs 0-23,25-127 and morex|"
        ));
    }

    #[test]
    fn joined_lines_are_split() {
        let file =
            "[    1.000000] sysrq: Trigger a crash [    1.100000] <6>x <4>[    1.200000] Bye!\n";
        assert_eq!(
            joined(file).as_deref(),
            Some(
                "[    1.000000] sysrq: Trigger a crash|[    1.100000] <6>x|<4>[    1.200000] Bye!"
            )
        );
        let file = "[2024-03-03 12:00:01] [    1.100000] a\n[    1.000000][    1.000000] b\n";
        assert_eq!(joined(file), None);
    }

    #[test]
    fn what_only_stands_behind_stays() {
        for file in [
            "[    1.000000] Bye!\nhost login: \n[    1.100000] x\n",
            "[    1.000000] Hardware name: linux,dummy-virt (DT)\nSegmentation fault\n",
        ] {
            assert_eq!(joined(file), None, "{file}");
        }
    }
}
