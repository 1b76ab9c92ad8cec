//! What a program that saves a console puts before each line: a time, a name, a
//! number. Every program has its own form, so none is known here: the first line of
//! ours that has something before it shows the form, and whatever has the same form
//! is taken off the other lines.

use stalecore_model::console::printable;

/// A stamp longer than this is none.
const LONGEST: usize = 64;

/// The form of a stamp, one class for each byte.
#[derive(Default)]
pub struct Prefix {
    form: Vec<u8>,
    /// The first one seen.
    pub seen: Option<String>,
}

impl Prefix {
    /// The line without its stamp. For a line of ours, `begins` says where our text
    /// begins; the first such line shows what a stamp looks like here.
    pub fn off<'a>(&mut self, line: &'a [u8], begins: Option<usize>) -> &'a [u8] {
        if self.form.is_empty()
            && let Some(at) = begins
            && (1..=LONGEST).contains(&at)
            && line[..at].iter().any(u8::is_ascii_digit)
        {
            self.form = line[..at].iter().copied().map(class).collect();
            self.seen = Some(printable(&line[..at]).trim_end().to_string());
        }
        let stamp = line.get(..self.form.len()).unwrap_or_default();
        let same = stamp
            .iter()
            .copied()
            .map(class)
            .eq(self.form.iter().copied());
        if same { &line[stamp.len()..] } else { line }
    }
}

/// A number may have blanks in place of digits.
const fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' | b' ' => b'0',
        b'a'..=b'z' | b'A'..=b'Z' => b'a',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stamp_shows_the_form_of_the_others() {
        for (stamp, later) in [
            ("Nov 26 07:43:01 ", "Dec  1 23:00:59 "),
            ("[2026-11-26 07:43:01.123] ", "[2026-11-27 00:00:00.001] "),
            ("1764142981.123456 ", "1764142999.000001 "),
            ("[    3.123] board1: ", "[  123.456] board1: "),
        ] {
            let mut prefix = Prefix::default();
            let first = format!("{stamp}KTAP version 1");
            assert_eq!(
                prefix.off(first.as_bytes(), Some(stamp.len())),
                b"KTAP version 1"
            );
            // What is indented stays so.
            let nested = format!("{later}    ok 1 spin");
            assert_eq!(prefix.off(nested.as_bytes(), None), b"    ok 1 spin");
            assert_eq!(prefix.off(b"# {\"end\"", Some(0)), b"# {\"end\"");
            assert_eq!(prefix.seen.as_deref(), Some(stamp.trim_end()));
        }
    }

    #[test]
    fn noise_is_no_stamp() {
        let mut prefix = Prefix::default();
        let line = b"half a lineKTAP version 1";
        assert_eq!(prefix.off(line, Some(11)), line);
        assert_eq!(prefix.seen, None);
    }
}
