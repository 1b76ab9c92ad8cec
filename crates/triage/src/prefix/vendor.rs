//! What vendors' kernels put after the time stamp: the CPU, the task, a severity.
//! There are too many forms to know, so a piece is only taken off a line that has
//! a stamp, and only if a message is found after it.

use memchr::{memchr, memchr2};

/// The most pieces that are taken off.
const PIECES: usize = 4;

/// What remains of a message's text after each piece of a vendor's prefix is taken
/// off in turn.
pub fn peel(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(piece(text), |rest| piece(rest)).take(PIECES)
}

/// `[2:     sh:  118]`, `(2)`, `[pid:118,cpu2,sh]`, `c2`, `I`, `118`, `-(2)[118:sh]`.
fn piece(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    match text {
        [b'[', open @ ..] => closed(open, b']'),
        [b'(', open @ ..] => closed(open, b')'),
        [b'-' | b'.', b'(' | b'[' | b' ', ..] => Some(text[1..].trim_ascii_start()),
        _ => {
            let end = memchr2(b' ', b'[', text.get(..12).unwrap_or(text))?;
            let word = &text[..end];
            let number = word.strip_prefix(b"c").unwrap_or(word);
            let fits = super::digits(number).is_some() || matches!(word, b"I" | b"W" | b"E" | b"C");
            fits.then(|| text[end..].trim_ascii_start())
        }
    }
}

/// What follows a piece that ends with `by`.
fn closed(open: &[u8], by: u8) -> Option<&[u8]> {
    let close = memchr(by, open.get(..64).unwrap_or(open))?;
    // An address in front of a frame is no prefix.
    let plain = open[..close]
        .iter()
        .all(|b| b.is_ascii_graphic() || *b == b' ');
    (plain && !open.starts_with(b"<")).then(|| open[close + 1..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_pieces_come_off() {
        for text in [
            "[2:     sh:  118] Bye!",
            "I[2:     sh:  118] Bye!",
            "(2)[118:sh]Bye!",
            "-(2)[118:sh]Bye!",
            "[pid:118,cpu2,sh]Bye!",
            "[2026:03:04 05:06:13][pid:118,cpu2,sh]Bye!",
            "c2   118 (sh) Bye!",
            "c2 Bye!",
        ] {
            assert!(peel(text.as_bytes()).any(|rest| rest == b"Bye!"), "{text}");
        }
    }

    #[test]
    fn prose_and_frames_stay() {
        for text in ["it says Bye!", "[<ffff0000>] Bye!", "systemd[1]: Bye!"] {
            assert!(!peel(text.as_bytes()).any(|rest| rest == b"Bye!"), "{text}");
        }
    }
}
