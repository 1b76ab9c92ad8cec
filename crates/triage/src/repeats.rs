//! Lines that stand twice: a boot console that was kept beside the ordinary one
//! prints everything again.

use std::collections::VecDeque;

use super::prefix::Stamp;

/// Lines remembered.
const NEAR: usize = 4;

/// Lines between a line and its repetition: two consoles take turns.
const APART: u64 = 3;

/// The last lines.
#[derive(Default)]
pub struct Repeats {
    last: VecDeque<(u64, u64, u64)>,
}

impl Repeats {
    /// Was this line there a moment ago, with the same time? Lines without a
    /// time are compared with the one right before.
    pub fn seen(&mut self, stamp: &Stamp<'_>, text: &[u8], line: u64) -> bool {
        use std::hash::{DefaultHasher, Hash, Hasher};
        if text.is_empty() {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        text.trim_ascii().hash(&mut hasher);
        let text = hasher.finish();
        let micros = stamp.micros.unwrap_or(u64::MAX);
        let apart = if stamp.micros.is_some() { APART } else { 1 };
        let found = self
            .last
            .iter()
            .position(|(m, t, l)| *m == micros && *t == text && line.abs_diff(*l) <= apart);
        if let Some(at) = found {
            self.last.remove(at);
            return true;
        }
        if self.last.len() == NEAR {
            self.last.pop_front();
        }
        self.last.push_back((micros, text, line));
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
