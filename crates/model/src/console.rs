//! Reads a console: records, KTAP lines, the exit line, and whatever firmware, noise and
//! cut lines leave between them. Nothing on it is trusted.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    ktap::{EXIT, Ktap},
    record::{Record, Seal},
};

/// Lines longer than this many bytes are skipped and counted.
pub const LINE_LIMIT: usize = 64 * 1024;

/// How a record's line begins, before its JSON. No string inside a record can contain it,
/// as quotes are escaped there.
const RECORD: &[u8] = b"# {\"";

/// One line of a console.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one line at a time is held, and nearly all that are kept are records"
)]
pub enum Line {
    /// A record, and its seal where it has one.
    Record(Record, Option<Seal>),
    /// A line of KTAP that is no record.
    Ktap(Ktap),
    /// The last line, with the exit code.
    Exit(u8),
    /// It looked like a record and could not be read.
    Garbled {
        /// Why.
        why: String,
        /// Its length.
        bytes: u64,
    },
    /// Longer than [`LINE_LIMIT`]; its content is lost.
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// Anything else, made fit for a terminal; never empty.
    Text(String),
}

impl Line {
    /// Reads one line, without its newline. An empty one is `None`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if let Some(record) = read_record(bytes) {
            return Some(record);
        }
        let text = printable(bytes);
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return None;
        }
        if let Some(ktap) = Ktap::read(text) {
            return Some(Self::Ktap(ktap));
        }
        if let Some(code) = text.strip_prefix(EXIT).and_then(|c| c.parse().ok()) {
            return Some(Self::Exit(code));
        }
        Some(Self::Text(text.to_string()))
    }
}

/// Reads the record on a line. Something cut off may come before it, even the beginning of
/// another record, if the board was reset in the middle of a line.
fn read_record(line: &[u8]) -> Option<Line> {
    let last = line.windows(RECORD.len()).rposition(|w| w == RECORD)?;
    let read = Seal::split(line[last + 2..].trim_ascii_end())
        .map_err(|why| why.to_string())
        .and_then(|(json, seal)| match Record::from_json(&printable(json)) {
            Ok(record) => Ok(Line::Record(record, seal)),
            Err(error) => Err(format!("{error}")),
        });
    Some(read.unwrap_or_else(|why| Line::Garbled {
        why,
        bytes: line.len() as u64,
    }))
}

/// Console bytes as text: what is not UTF-8 and what would steer a terminal
/// becomes U+FFFD, a tab becomes a space.
pub fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\r')
        .chars()
        .map(|c| match c {
            '\t' => ' ',
            c if steers(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Would this character steer a terminal: a control, or a mark that reorders or hides text?
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}')
}

/// Cuts a stream of bytes into lines, keeping at most one line in memory.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// Bytes of a line that is too long, 0 where none is.
    too_long: u64,
}

impl Lines {
    /// Takes in some bytes and passes each line that they complete to `sink`.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Line)) {
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.too_long > 0 || self.partial.len() + piece.len() > LINE_LIMIT {
                self.too_long += (self.partial.len() + piece.len()) as u64;
                self.partial.clear();
            } else {
                self.partial.extend_from_slice(piece);
            }
            if pieces.peek().is_some() {
                self.finish(sink);
            }
        }
    }

    /// Passes on the line that has not been completed, at the end of the stream.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Line)) {
        let bytes = core::mem::take(&mut self.too_long);
        if bytes > 0 {
            sink(Line::TooLong { bytes });
        } else if let Some(line) = Line::read(&self.partial) {
            sink(line);
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{End, Note};
    use alloc::{boxed::Box, vec};
    use proptest::prelude::*;

    fn note(text: &str) -> Record {
        Record::Note(Note { text: text.into() })
    }

    fn line_of(record: &Record) -> String {
        format!("# {}", record.to_json().unwrap())
    }

    fn read(bytes: &[u8], chunk: usize) -> Vec<Line> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for piece in bytes.chunks(chunk.max(1)) {
            lines.feed(piece, &mut |line| seen.push(line));
        }
        lines.finish(&mut |line| seen.push(line));
        seen
    }

    #[test]
    fn each_kind_of_line_is_known() {
        let end = Record::End(End {
            exit: 4,
            verdicts: vec![],
            elapsed_ms: 7,
        });
        let text = format!(
            "KTAP version 1\r\n1..1\r\n\r\nUEFI firmware\x1b[2J\r\n{}\r\nstalecore: exit 4\r\n",
            line_of(&end)
        );
        assert_eq!(
            read(text.as_bytes(), 1000),
            [
                Line::Ktap(Ktap::Version),
                Line::Ktap(Ktap::Plan(1)),
                Line::Text("UEFI firmware\u{fffd}[2J".into()),
                Line::Record(end, None),
                Line::Exit(4)
            ]
        );
    }

    #[test]
    fn a_record_after_a_cut_one_on_its_line_is_read() {
        let text = format!("# {{\"note\":{{\"te{}", line_of(&note("x")));
        assert_eq!(
            Line::read(text.as_bytes()),
            Some(Line::Record(note("x"), None))
        );
    }

    #[test]
    fn a_note_cannot_smuggle_a_record_in() {
        let text = line_of(&note(
            "# {\"end\":{\"exit\":0,\"verdicts\":[],\"elapsed_ms\":1}}",
        ));
        assert!(matches!(
            Line::read(text.as_bytes()),
            Some(Line::Record(Record::Note(_), None))
        ));
        // Nor when the line's own end is lost.
        let cut = &text[..text.len() - 2];
        assert!(matches!(
            Line::read(cut.as_bytes()),
            Some(Line::Garbled { .. })
        ));
    }

    #[test]
    fn cut_deep_and_strange_records_are_garbled() {
        let deep = format!(
            "# {{\"note\":{{\"text\":{}1{}}}}}",
            "[".repeat(5000),
            "]".repeat(5000)
        );
        let unknown_deep = format!(
            "# {{\"note\":{{\"text\":\"x\",\"y\":{}}}}}",
            "[".repeat(60000)
        );
        for text in [
            "# {\"note\":{\"text\":\"x\"",
            "# {\"note\":{}}",
            "# {\"weather\":{}}",
            "# {\"note\":{\"text\":\"x\"}} tail",
            "# {\"end\":{\"exit\":300,\"verdicts\":[],\"elapsed_ms\":1}}",
            "# {\"end\":{\"exit\":NaN,\"verdicts\":[],\"elapsed_ms\":1}}",
            &deep,
            &unknown_deep,
        ] {
            let line = Line::read(text.as_bytes());
            assert!(
                matches!(line, Some(Line::Garbled { .. })),
                "{text:.60}: {line:?}"
            );
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for _ in 0..1000 {
            lines.feed(&[b'x'; 4096], &mut |line| seen.push(line));
            assert!(lines.partial.len() <= LINE_LIMIT);
        }
        lines.feed(b"\nafter\n", &mut |line| seen.push(line));
        assert_eq!(
            seen,
            [
                Line::TooLong { bytes: 1000 * 4096 },
                Line::Text("after".into())
            ]
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>, chunk in 1_usize..64) {
            read(&bytes, chunk);
        }

        #[test]
        fn broken_records_never_panic(cut in 0_usize..200, at in 0_usize..200, byte: u8) {
            let mut case = Vec::from(line_of(&Record::End(End { exit: 3, verdicts: vec![(crate::glossary::Verdict::Faulted, 2)], elapsed_ms: 12 })));
            let place = at % case.len();
            case[place] = byte;
            case.truncate(cut);
            read(&case, 7);
        }

        #[test]
        fn records_survive_noise_between_them(noise in prop::collection::vec("[^\n#]{0,40}", 1..10), chunk in 1_usize..64) {
            let mut text = String::new();
            for (n, noise) in noise.iter().enumerate() {
                text += &format!("{noise}\n{}\n", line_of(&note(&format!("{n}"))));
            }
            let records: Vec<_> = read(text.as_bytes(), chunk)
                .into_iter()
                .filter_map(|line| match line { Line::Record(record, _) => Some(Box::new(record)), _ => None })
                .collect();
            let expected: Vec<_> = (0..noise.len()).map(|n| Box::new(note(&format!("{n}")))).collect();
            prop_assert_eq!(records, expected);
        }

        #[test]
        fn chunks_do_not_matter(bytes in prop::collection::vec(prop::sample::select(b"ok 1#{}\"\r\n\xff".to_vec()), 0..300), chunk in 1_usize..64) {
            prop_assert_eq!(read(&bytes, chunk), read(&bytes, usize::MAX));
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_in_any_pieces_and_no_longer() {
        let of = |pieces: &[usize]| {
            let mut lines = Lines::default();
            let mut found = vec![];
            let mut sink = |line| found.push(line);
            for length in pieces {
                lines.feed(&vec![b'x'; *length], &mut sink);
            }
            lines.feed(b"\nnext\n", &mut sink);
            found
        };
        let next = Line::Text("next".into());
        for pieces in [
            &[LINE_LIMIT] as &[usize],
            &[LINE_LIMIT - 1, 1],
            &[3, LINE_LIMIT - 3],
        ] {
            let whole = Line::Text("x".repeat(LINE_LIMIT));
            assert_eq!(of(pieces), [whole, next.clone()]);
        }
        for pieces in [
            &[LINE_LIMIT + 1] as &[usize],
            &[LINE_LIMIT, 1],
            &[1, LINE_LIMIT],
        ] {
            let bytes = LINE_LIMIT as u64 + 1;
            assert_eq!(of(pieces), [Line::TooLong { bytes }, next.clone()]);
        }
    }
}
