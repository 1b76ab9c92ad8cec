//! Logs that were copied out of something else: a mail, a web page, a JSON
//! document, a terminal, persistent storage. Only such small texts are looked
//! at as a whole; a large log is read piece by piece.

mod encoded;
mod json;
mod parts;
mod wrapped;

use std::borrow::Cow;

/// A text longer than this is no copy.
pub const LONGEST: usize = 4 << 20;

/// A line of the text, and the number of the line of the file that it begins in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its bytes without the line end.
    pub bytes: Cow<'a, [u8]>,
}

/// A text taken out of its wrapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpacked {
    /// The text.
    pub text: Vec<u8>,
    /// The number in the file of each of its lines.
    pub numbers: Vec<u64>,
}

/// Takes a text out of what it is wrapped in; `None` if it is already a plain log.
pub fn unpack(file: &[u8]) -> Option<Unpacked> {
    let decoded = encoded::utf16(file);
    let text = decoded.as_deref().unwrap_or(file);
    let mut changed = decoded.is_some();
    let mut rows = rows(text);
    for step in [
        json::unpack,
        encoded::base64,
        encoded::quoted_printable,
        encoded::entities,
        wrapped::split,
        wrapped::join,
        parts::order,
    ] {
        if let Some(better) = step(&rows) {
            rows = better.into_iter().map(owned).collect();
            changed = true;
        }
    }
    changed.then(|| {
        let ends = text.ends_with(b"\n");
        let mut out = Vec::with_capacity(text.len());
        let mut numbers = Vec::with_capacity(rows.len());
        for row in &rows {
            if !numbers.is_empty() {
                out.push(b'\n');
            }
            out.extend_from_slice(&row.bytes);
            numbers.push(row.number);
        }
        if ends {
            out.push(b'\n');
        }
        Unpacked { text: out, numbers }
    })
}

fn owned(row: Row<'_>) -> Row<'static> {
    Row {
        number: row.number,
        bytes: Cow::Owned(row.bytes.into_owned()),
    }
}

/// The lines of a text.
fn rows(text: &[u8]) -> Vec<Row<'_>> {
    let lines = text
        .strip_suffix(b"\n")
        .unwrap_or(text)
        .split(|b| *b == b'\n');
    lines
        .zip(1..)
        .map(|(bytes, number)| Row {
            number,
            bytes: Cow::Borrowed(bytes.strip_suffix(b"\r").unwrap_or(bytes)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read out of a text: lines with their numbers.
    pub fn read(file: &str) -> Option<Vec<(u64, String)>> {
        let unpacked = unpack(file.as_bytes())?;
        let text = String::from_utf8(unpacked.text).unwrap();
        Some(
            unpacked
                .numbers
                .into_iter()
                .zip(text.lines().map(String::from))
                .collect(),
        )
    }

    /// The same lines as one, with a bar between them.
    pub fn joined(file: &str) -> Option<String> {
        let lines: Vec<_> = read(file)?.into_iter().map(|(_, line)| line).collect();
        Some(lines.join("|"))
    }

    #[test]
    fn an_ordinary_log_stays() {
        let log = "[    1.000000] sysrq: Trigger a crash\r\nlogin: \n\n[    1.100000] Bye!\n";
        assert_eq!(unpack(log.as_bytes()), None);
        assert_eq!(unpack(b""), None);
    }
}
