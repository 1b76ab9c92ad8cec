//! Standard error: what a person is told on the way. It may be closed, or full, or its
//! terminal gone; none of that may end a run or change its exit code.

use std::io::{self, Write};

use crate::stdout::plain;

/// Says one line, without anything in it that would steer the terminal.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(line));
}

/// Says what went wrong, or may have.
pub fn complain(line: &str) {
    say(&format!("stalecore: {line}"));
}
