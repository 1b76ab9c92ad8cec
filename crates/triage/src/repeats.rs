//! Lines that stand twice: a boot console that was kept beside the ordinary one
//! prints everything again.

use super::prefix::Stamp;

/// Lines remembered.
const NEAR: usize = 4;

/// Lines between a line and its repetition: two consoles take turns.
const APART: u64 = 3;

/// The last lines.
#[derive(Default)]
pub struct Repeats {
    last: [Known; NEAR],
    /// The oldest of them.
    oldest: usize,
}

/// A line that was seen.
#[derive(Default)]
struct Known {
    micros: Option<u64>,
    line: u64,
    text: Vec<u8>,
}

impl Repeats {
    /// Was this line there a moment ago, with the same time? Lines without a
    /// time are compared with the one right before.
    pub fn seen(&mut self, stamp: &Stamp<'_>, text: &[u8], line: u64) -> bool {
        let (micros, text) = (stamp.micros, text.trim_ascii());
        if text.is_empty() {
            return false;
        }
        let apart = if micros.is_some() { APART } else { 1 };
        let same = |known: &Known| {
            known.micros == micros && line.abs_diff(known.line) <= apart && known.text == text
        };
        if let Some(known) = self.last.iter_mut().find(|known| same(known)) {
            // Like no line that comes: none of those is empty.
            known.text.clear();
            return true;
        }
        let known = &mut self.last[self.oldest];
        self.oldest = (self.oldest + 1) % NEAR;
        known.micros = micros;
        known.line = line;
        known.text.clear();
        known.text.extend_from_slice(text);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_its_repetition() {
        let stamp = Stamp {
            micros: Some(1_000_000),
            logged: true,
            ..Stamp::default()
        };
        let mut repeats = Repeats::default();
        assert!(!repeats.seen(&stamp, b"Bye!", 1));
        assert!(repeats.seen(&stamp, b"Bye!", 2));
        assert!(!repeats.seen(&stamp, b"Bye!", 3));
        assert!(!repeats.seen(&stamp, b"Bye!", 30));
        assert!(!repeats.seen(&Stamp::default(), b"Bye!", 31));
        assert!(!repeats.seen(&Stamp::default(), b"Bye!", 33));
    }
}
