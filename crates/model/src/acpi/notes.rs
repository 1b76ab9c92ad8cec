//! What the reader skipped, grouped so that a table full of the same oddity makes one
//! sentence, not a thousand.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// The most different notes that are kept; more are only counted.
const MOST: usize = 64;

/// Notes in the order in which they were first made.
#[derive(Default)]
pub struct Notes {
    kept: Vec<Note>,
    dropped: u64,
}

struct Note {
    table: &'static str,
    /// What makes two notes the same.
    text: String,
    first: usize,
    count: u64,
}

impl Notes {
    /// Notes `text` about the structure at `offset` of `table` (0: about the
    /// table); a repetition is only counted.
    pub fn add(&mut self, table: &'static str, offset: usize, text: impl ToString) {
        let text = text.to_string();
        if let Some(note) = self
            .kept
            .iter_mut()
            .find(|n| n.table == table && n.text == text)
        {
            note.count += 1;
        } else if self.kept.len() < MOST {
            self.kept.push(Note {
                table,
                text,
                first: offset,
                count: 1,
            });
        } else {
            self.dropped += 1;
        }
    }

    /// One sentence for each different note.
    pub fn into_sentences(self) -> Vec<String> {
        let more = (self.dropped > 0).then(|| format!("ACPI: {} more notes", self.dropped));
        self.kept
            .into_iter()
            .map(|n| {
                let times = match n.count {
                    1 => String::new(),
                    count => format!(" ({count} times)"),
                };
                let place = match n.first {
                    0 => String::new(),
                    offset => format!("+{offset:#x}"),
                };
                format!("{}{place}: {}{times}", n.table, n.text)
            })
            .chain(more)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_floods_are_bounded() {
        let mut notes = Notes::default();
        notes.add("MADT", 0x2c, "odd");
        notes.add("MADT", 0x44, "odd");
        assert_eq!(notes.into_sentences(), ["MADT+0x2c: odd (2 times)"]);

        let mut notes = Notes::default();
        for i in 0..100 {
            notes.add("MADT", i, format!("odd {i}"));
        }
        let sentences = notes.into_sentences();
        assert_eq!(sentences.len(), MOST + 1);
        assert_eq!(sentences[MOST], "ACPI: 36 more notes");
    }
}
