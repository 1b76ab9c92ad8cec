//! The records of an earlier boot, as far as the image reads them back from the
//! flight recorder: whoever reads all of every kind carries the code for it.

use alloc::{string::String, vec};
use serde::Deserialize;

use super::BisectRecord;
use crate::glossary::Verdict;

/// A record that the image reads back.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// A case had ended.
    Case(KeptCase),
    /// An operation had not returned when its deadline passed.
    Block(KeptBlock),
    /// A search for culprits had ended.
    Bisect(BisectRecord),
}

/// What is read of a [`CaseRecord`](super::CaseRecord).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct KeptCase {
    /// The case's number.
    pub n: u32,
    /// How it had ended; of what is completed a line says `"v":"ok"`.
    #[serde(default = "completed")]
    pub verdict: Verdict,
    /// Why.
    #[serde(default)]
    pub why: Option<String>,
}

const fn completed() -> Verdict {
    Verdict::Completed
}

/// What is read of a [`Block`](super::Block): which case it was told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub struct KeptBlock {
    /// The case's number.
    pub n: u32,
}

impl Kept {
    /// Reads a record's line of JSON; `None` for one of another kind.
    pub fn from_json(text: &str) -> Option<Self> {
        // Where strings are unescaped: none is longer than the line.
        let mut room = vec![0; text.len()];
        let (kept, _) = serde_json_core::from_str_escaped(text, &mut room).ok()?;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        cpuset::CpuSet,
        mark::Seen,
        plan::Plan,
        record::{CaseRecord, Note, Record},
    };

    #[test]
    fn what_was_written_is_read_back() {
        let options = crate::options::Options::default();
        let plan = Plan::new(&options, 4).unwrap();
        let case = plan.groups[0].cases[0];
        for (verdict, why) in [
            (Verdict::Blocked, None),
            (Verdict::Blocked, Some("a \"reason\"".into())),
            (Verdict::Completed, None),
        ] {
            let record = CaseRecord::blank(&case, verdict, why.clone());
            let json = Record::Case(Box::new(record)).to_json().unwrap();
            let n = case.number as u32;
            let kept = Kept::Case(KeptCase { n, verdict, why });
            assert_eq!(Kept::from_json(&json), Some(kept), "{json}");
        }
        let seen = Seen {
            sequence: 3,
            site: None,
            address: 0x1000,
            returned: 1,
        };
        let block = case.block(1, &seen, 2000, "sentinel");
        let json = Record::Block(block.clone()).to_json().unwrap();
        assert_eq!(
            Kept::from_json(&json),
            Some(Kept::Block(KeptBlock { n: block.n }))
        );
        let search = BisectRecord {
            n: 7,
            stale: CpuSet::first(4),
            culprits: vec![CpuSet::one(2)],
            complete: true,
            trials: 3,
            why: None,
        };
        let json = Record::Bisect(search.clone()).to_json().unwrap();
        assert_eq!(Kept::from_json(&json), Some(Kept::Bisect(search)));
    }

    proptest! {
        /// Whatever is in a record, a reader of all of JSON makes the same of it.
        #[test]
        fn all_of_json_that_a_record_holds_is_read(
            why in any::<Option<String>>(),
            samples in proptest::collection::vec(any::<u32>(), 0..40),
            cut in any::<proptest::sample::Index>(),
        ) {
            let options = crate::options::Options::default();
            let case = Plan::new(&options, 4).unwrap().groups[0].cases[0];
            let mut record = CaseRecord::blank(&case, Verdict::Slowed, why);
            for sample in samples {
                record.complete.add(u64::from(sample));
            }
            let json = Record::Case(Box::new(record)).to_json().unwrap();
            prop_assert_eq!(Kept::from_json(&json), serde_json::from_str(&json).ok());
            let end = cut.index(json.len());
            if json.is_char_boundary(end) {
                prop_assert_eq!(Kept::from_json(&json[..end]), None);
            }
        }
    }

    #[test]
    fn other_kinds_are_none() {
        let note = Record::Note(Note { text: "x".into() });
        assert_eq!(Kept::from_json(&note.to_json().unwrap()), None);
        assert_eq!(Kept::from_json("{"), None);
    }
}
