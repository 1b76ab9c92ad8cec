//! Recovers the console from what a terminal program has saved: without stamps,
//! colours and foreign line ends, with wrapped and joined lines put right, cut into
//! runs.

use stalecore_model::{
    console::{LINE_LIMIT, Line},
    ktap::{self, Ktap},
    record::Record,
};
use stalecore_triage::without_escapes;

use super::prefix::Prefix;

/// How a record's line begins. No string within a record can hold it, as its
/// quote would be escaped.
const RECORD: &[u8] = b"# {\"";

/// A log's content.
#[derive(Default)]
pub struct Captured {
    /// The console of each run in it.
    pub runs: Vec<Vec<u8>>,
    /// The first stamp that was taken off.
    pub prefix: Option<String>,
    /// Records that had been wrapped.
    pub mended: u64,
}

/// Reads a saved log.
pub fn capture(bytes: &[u8]) -> Captured {
    let text = narrow(bytes);
    let (mut prefix, mut runs) = (Prefix::default(), Runs::default());
    // A lone carriage return ends a line too: what follows it was printed on a new
    // line, or over the old one.
    for raw in text.split(|b| matches!(b, b'\n' | b'\r')) {
        let plain = without_escapes(raw);
        let line = prefix.off(&plain, begin(&plain));
        let mut rest = line;
        while let Some(at) = find(&rest[1.min(rest.len())..], RECORD) {
            let (one, more) = rest.split_at(at + 1);
            runs.line(one);
            rest = more;
        }
        runs.line(rest);
    }
    runs.end();
    Captured {
        prefix: prefix.seen,
        ..runs.log
    }
}

/// UTF-16, which some shells write, as UTF-8.
fn narrow(bytes: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let wide = |from: fn([u8; 2]) -> u16| {
        let units: Vec<_> = bytes[2..]
            .chunks_exact(2)
            .map(|p| from([p[0], p[1]]))
            .collect();
        String::from_utf16_lossy(&units).into_bytes().into()
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.into(),
        _ => bytes.into(),
    }
}

/// Where our text begins on a line, if that can be told.
fn begin(line: &[u8]) -> Option<usize> {
    find(line, RECORD).or_else(|| {
        let at = line.len().checked_sub(ktap::VERSION.len())?;
        (line[at..] == *ktap::VERSION.as_bytes()).then_some(at)
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

/// Sorts lines into runs, and puts wrapped records together.
#[derive(Default)]
struct Runs {
    log: Captured,
    /// A record that has not been completed, in the pieces that came.
    wrapped: Vec<Vec<u8>>,
    json: Nesting,
    length: usize,
    /// Pieces that came after the end of its JSON: parts of its number and checksum.
    behind: u32,
    /// Records have a number and a checksum here.
    sealed: bool,
    /// The run's last record has come.
    ended: bool,
    /// Where the next run's first line may have begun.
    next: Option<usize>,
}

impl Runs {
    fn line(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let starts = line.starts_with(RECORD);
        if !starts && !self.wrapped.is_empty() {
            let foreign = matches!(Line::read(line), None | Some(Line::Ktap(_) | Line::Exit(_)));
            if !foreign && self.length + line.len() <= LINE_LIMIT {
                self.wrap(line);
                return;
            }
        }
        self.give_up();
        let whole = match Line::read(line) {
            Some(Line::Garbled { .. }) => false,
            Some(Line::Record(_, seal)) => seal.is_some() || !self.sealed,
            _ => true,
        };
        if starts && !whole {
            (self.json, self.length, self.behind) = (Nesting::default(), 0, 0);
            self.wrap(line);
        } else {
            self.put(line);
        }
    }

    /// One more piece of a record.
    fn wrap(&mut self, piece: &[u8]) {
        self.wrapped.push(piece.to_vec());
        self.length += piece.len();
        self.json.feed(piece);
        if !self.json.closed() {
            return;
        }
        let whole = self.wrapped.concat();
        match Line::read(&whole) {
            Some(Line::Record(_, seal)) if seal.is_some() || !self.sealed => {
                self.log.mended += u64::from(self.wrapped.len() > 1);
                self.wrapped.clear();
                self.put(&whole);
            }
            // Number and checksum, or part of them, may be on the next line.
            _ if self.behind < 2 => self.behind += 1,
            _ => self.give_up(),
        }
    }

    /// It was not a wrapped record after all: the pieces stay as they came.
    fn give_up(&mut self) {
        for piece in std::mem::take(&mut self.wrapped) {
            self.put(&piece);
        }
    }

    fn put(&mut self, line: &[u8]) {
        let read = Line::read(line);
        self.sealed |= matches!(read, Some(Line::Record(_, Some(_))));
        match &read {
            Some(Line::Record(Record::End(_), _)) => self.ended = true,
            Some(Line::Ktap(Ktap::Version)) if self.ended && self.next.is_none() => {
                self.next = self.log.runs.last().map(Vec::len);
            }
            Some(Line::Record(Record::Machine(_), _)) if self.ended => {
                // The run's first lines came before this record.
                let head = match (self.next.take(), self.log.runs.last_mut()) {
                    (Some(at), Some(run)) => run.split_off(at),
                    _ => Vec::new(),
                };
                self.log.runs.push(head);
                self.ended = false;
            }
            _ => {}
        }
        let ours = matches!(
            read,
            Some(Line::Record(..) | Line::Garbled { .. } | Line::Ktap(Ktap::Version))
        );
        // What firmware said before belongs to no run.
        if self.log.runs.is_empty() && ours {
            self.log.runs.push(Vec::new());
        }
        if let Some(run) = self.log.runs.last_mut() {
            run.extend_from_slice(line);
            run.push(b'\n');
        }
    }

    fn end(&mut self) {
        self.give_up();
    }
}

/// How deep within a JSON value a text is.
#[derive(Default)]
struct Nesting {
    depth: u32,
    began: bool,
    quoted: bool,
    escaped: bool,
}

impl Nesting {
    fn feed(&mut self, text: &[u8]) {
        for byte in text {
            if self.quoted {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => (self.depth, self.began) = (self.depth + 1, true),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn closed(&self) -> bool {
        self.began && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTE: &str = "# {\"note\":{\"text\":\"a } in \\\" it\"}}";

    fn lines(text: &str) -> Vec<String> {
        let log = capture(text.as_bytes());
        let text = String::from_utf8(log.runs.concat()).unwrap();
        let lines = text.lines().filter(|l| !l.is_empty());
        lines.map(String::from).collect()
    }

    #[test]
    fn what_programs_do_to_lines_is_undone() {
        let plain = [
            "KTAP version 1",
            "1..1",
            NOTE,
            "    ok 1 spin",
            "stalecore: exit 0",
        ];
        for saved in [
            plain.join("\n"),
            plain.join("\r\n"),
            plain.join("\r"),
            plain.map(|l| format!("Nov 26 07:43:01 {l}")).join("\n"),
            plain.map(|l| format!("[12:00:00.123] {l}")).join("\r\n"),
            plain.map(|l| format!("\x1b[32m{l}\x1b[0m")).join("\r\n"),
            format!("U-Boot 2023.01\n{}", plain.join("\n")),
        ] {
            assert_eq!(lines(&saved), plain, "{saved:?}");
        }
    }

    #[test]
    fn a_wrapped_record_is_put_together() {
        for width in 5..NOTE.len() {
            let (one, two) = NOTE.split_at(width);
            let log = capture(format!("KTAP version 1\n{one}\n{two}\nok 1 - x\n").as_bytes());
            let text = String::from_utf8(log.runs.concat()).unwrap();
            assert_eq!(
                text,
                format!("KTAP version 1\n{NOTE}\nok 1 - x\n"),
                "{width}"
            );
            assert_eq!(log.mended, 1, "{width}");
        }
    }

    #[test]
    fn a_cut_record_does_not_swallow_what_follows() {
        let cut = &NOTE[..20];
        assert_eq!(
            lines(&format!("{cut}\nok 1 - x\n{NOTE}\nstalecore: exit 0")),
            [cut, "ok 1 - x", NOTE, "stalecore: exit 0"]
        );
    }

    #[test]
    fn joined_lines_are_parted() {
        assert_eq!(lines(&format!("{NOTE}{NOTE}")), [NOTE, NOTE]);
        let cut = &NOTE[..20];
        assert_eq!(lines(&format!("{cut}{NOTE}")), [cut, NOTE]);
    }

    #[test]
    fn utf_16_is_read() {
        let wide: Vec<u8> = std::iter::once(0xfeff)
            .chain(NOTE.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(capture(&wide).runs, [format!("{NOTE}\n").into_bytes()]);
    }

    #[test]
    fn a_log_without_a_run_has_none() {
        assert!(
            capture(b"Linux version 6.1\n\n[ 0.0] booting\n")
                .runs
                .is_empty()
        );
        assert!(capture(b"").runs.is_empty());
    }

    proptest! {
        /// Whatever the bytes around it, a record on a line of its own is kept.
        #[test]
        fn noise_around_a_record_does_not_lose_it(
            before in prop::collection::vec(any::<u8>(), 0..60),
            after in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let saved = [&before[..], b"\n", NOTE.as_bytes(), b"\n", &after].concat();
            // A byte order mark says what the rest is.
            prop_assume!(!matches!(saved[..2], [0xff, 0xfe] | [0xfe, 0xff]));
            prop_assume!(find(&before, RECORD).is_none());
            let text = capture(&saved).runs.concat();
            prop_assert!(find(&text, NOTE.as_bytes()).is_some());
        }
    }
}
