//! Colour where it helps: the words of a verdict, on a terminal that wants it.
//! It changes no word.

use std::ffi::OsString;

/// Is colour wanted, on a `terminal` or not? `NO_COLOR` (any text) forbids it,
/// `CLICOLOR_FORCE` asks for it anywhere, `CLICOLOR=0` forbids it.
pub fn wanted(terminal: bool) -> bool {
    asked(terminal, |name| std::env::var_os(name))
}

fn asked(terminal: bool, get: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| get(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let dumb = set("TERM").is_none_or(|value| value == "dumb");
    terminal && !dumb && set("CLICOLOR").is_none_or(|value| value != "0")
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const GREY: &str = "\x1b[90m";
const OFF: &str = "\x1b[0m";

/// The text with its verdicts coloured: the first word by what it says, and,
/// anywhere in the text, the names of verdicts and what was slowed.
pub fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    for (nth, piece) in text.split_inclusive([' ', '\n']).enumerate() {
        let word = piece.trim_end_matches([' ', '\n', ',', '.', ':', ';']);
        let colour = match word {
            "Yes" | "Stale" | "Faulted" | "No answer" if nth == 0 => Some(RED),
            "No" if nth == 0 && piece.starts_with("No:") => Some(GREEN),
            "Not" | "Undecided" if nth == 0 => Some(YELLOW),
            "blocked" | "faulted" | "incoherent" => Some(RED),
            "slowed" | "inconclusive" | "skipped" => Some(YELLOW),
            _ if word.starts_with('×') && word.ends_with('!') => Some(YELLOW),
            _ if word.starts_with('×') && word.ends_with('?') => Some(GREY),
            _ => None,
        };
        match colour {
            Some(colour) => {
                out += colour;
                out += word;
                out += OFF;
                out += &piece[word.len()..];
            }
            None => out += piece,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)], terminal: bool) -> bool {
        asked(terminal, |name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn who_asks_for_colour_gets_it_and_who_forbids_it_does_not() {
        let term = ("TERM", "xterm");
        for (set, terminal, wanted) in [
            (&[term][..], true, true),
            (&[term], false, false),
            (&[], true, false),
            (&[("TERM", "dumb")], true, false),
            (&[term, ("NO_COLOR", "1")], true, false),
            (&[term, ("NO_COLOR", "")], true, true),
            (&[term, ("CLICOLOR", "0")], true, false),
            (&[term, ("CLICOLOR", "1")], false, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true, false),
        ] {
            assert_eq!(with(set, terminal), wanted, "{set:?} {terminal}");
        }
    }

    #[test]
    fn only_verdicts_are_coloured_and_nothing_else_changes() {
        let text = "Yes: it blocked.\n\nspin   162ns ×6.9!  blocked\n";
        let coloured = coloured(text);
        assert_eq!(
            coloured,
            "\x1b[1;31mYes\x1b[0m: it \x1b[1;31mblocked\x1b[0m.\n\nspin   162ns \
             \x1b[33m×6.9!\x1b[0m  \x1b[1;31mblocked\x1b[0m\n"
        );
        let mut plain = coloured;
        for code in [RED, YELLOW, GREEN, OFF] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, text);
    }
}
