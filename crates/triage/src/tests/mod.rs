//! The corpus of logs, and what must hold for any log.

mod corpus;
mod kinds;
mod properties;
mod sentences;

use super::{reading::Reading, scan};

/// Reads a log from memory.
fn read(log: &[u8]) -> Vec<Reading> {
    let mut found = Vec::new();
    let result = scan(log, u64::MAX, |crash, number| {
        found.push(Reading::of(crash, number));
        Ok(())
    });
    assert!(result.is_ok(), "memory can be read");
    found
}
