//! Standard output: for machines, and for whoever closes the pipe early. Whatever the words
//! in it came from, a console, a file, its name: nothing in it steers a terminal.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::Context;
use stalecore_model::console::steers;

use crate::colour;

/// Writes text to standard output. It is no error if the reader has seen enough
/// (`| head`).
///
/// # Errors
/// Any other failure, as on a full disk.
pub fn print(text: &str) -> anyhow::Result<()> {
    write(&plain(text))
}

/// The same, with its verdicts in colour where that is wanted.
///
/// # Errors
/// As [`print()`].
pub fn print_coloured(text: &str) -> anyhow::Result<()> {
    let text = plain(text);
    match colour::wanted(io::stdout().is_terminal()) {
        true => write(&colour::coloured(&text)),
        false => write(&text),
    }
}

/// Writes JSON: what would steer a terminal is escaped there, so that it means the same.
///
/// # Errors
/// As [`print()`].
pub fn print_json(text: &str) -> anyhow::Result<()> {
    write(&escaped(text))
}

/// The text, lines and tabs as they are, without what steers a terminal.
pub fn plain(text: &str) -> String {
    let one = |c| match c {
        '\n' | '\t' => c,
        c if steers(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(one).collect()
}

/// All of these stand within strings, and none needs more than four digits.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if c != '\n' && steers(c) => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

/// Passes on whole lines of text or JSON, as [`print()`] and [`print_json`] do.
pub struct Lines<W: Write> {
    out: W,
    json: bool,
    line: Vec<u8>,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`.
    pub const fn new(out: W, json: bool) -> Self {
        let line = Vec::new();
        Self { out, json, line }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                let safe = match self.json {
                    true => escaped(&line),
                    false => plain(&line),
                };
                self.out.write_all(safe.as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_steers_is_left_and_json_means_the_same(text in "(\\PC|[\\x00-\\x1f\\x7f-\\u{9f}\\u{200b}-\\u{202e}\\u{2066}-\\u{2069}\\u{feff}]){0,40}") {
            prop_assert!(!plain(&text).chars().any(|c| c != '\n' && c != '\t' && steers(c)));
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let safe = escaped(&json);
            prop_assert!(!safe.chars().any(|c| c != '\n' && steers(c)));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [text]);
        }
    }
}
