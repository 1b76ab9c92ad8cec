//! How sure a statement is: read in a line, inferred from lines, or assumed.

use serde::Serialize;

/// How a statement came about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The log says so.
    Read,
    /// It follows from what the log says, and from how kernels work.
    Inferred,
    /// Nothing in the log says so.
    Assumed,
}

/// A statement's support.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Support {
    /// How it came about.
    pub how: How,
    /// The lines that it rests on, in order; of many, only the first few.
    pub lines: Vec<u64>,
}

/// How many of many lines are shown.
const MAX_LINES: usize = 6;

impl Support {
    /// Support by lines.
    pub fn new(how: How, lines: impl IntoIterator<Item = u64>) -> Self {
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_unstable();
        lines.dedup();
        lines.truncate(MAX_LINES);
        Self { how, lines }
    }

    /// A line says so.
    pub fn read(lines: impl IntoIterator<Item = u64>) -> Self {
        Self::new(How::Read, lines)
    }

    /// It follows from lines.
    pub fn inferred(lines: impl IntoIterator<Item = u64>) -> Self {
        Self::new(How::Inferred, lines)
    }

    /// Nothing says so.
    pub fn assumed() -> Self {
        Self::new(How::Assumed, [])
    }

    /// `read, line 7`, `inferred from lines 3, 7`, `assumed`.
    pub fn words(&self) -> String {
        let lines = match self.lines.as_slice() {
            [] => String::new(),
            [one] => format!("line {one}"),
            many => {
                let many: Vec<_> = many.iter().map(u64::to_string).collect();
                format!("lines {}", many.join(", "))
            }
        };
        match self.how {
            How::Read => lines,
            How::Inferred if lines.is_empty() => "inferred".into(),
            How::Inferred => format!("inferred from {lines}"),
            How::Assumed => "assumed".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_in_words() {
        assert_eq!(Support::read([7]).words(), "line 7");
        assert_eq!(
            Support::inferred([7, 3, 7]).words(),
            "inferred from lines 3, 7"
        );
        assert_eq!(Support::assumed().words(), "assumed");
    }
}
