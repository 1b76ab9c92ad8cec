//! Takes the records of a console into a run, and notices what is missing: a lost record
//! leaves a gap in the numbers. Where the line works both ways, missing records are asked
//! for, and take their place when they come.

mod mending;

use alloc::collections::{BTreeMap, BTreeSet};

use mending::Mending;

use crate::{
    again::Request,
    record::{Record, Seal},
    run::Run,
};

/// What a console has said so far.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// The seals of this boot: number and checksum.
    seen: BTreeMap<u32, u32>,
    /// The checksums of its records without number.
    unnumbered: BTreeSet<u32>,
    /// How missing records are asked for, if they can be.
    mending: Option<Mending>,
}

impl Reader {
    /// A reader that asks for what is missing, by [`Self::request`].
    pub fn asking() -> Self {
        Self {
            mending: Some(Mending::default()),
            ..Self::default()
        }
    }

    /// What to ask for next, once the image offers to send records again: [`Request::DONE`]
    /// if nothing is missing, or what is missing does not come. From then on a record that
    /// was missing is taken in its place, even after the end.
    pub fn request(&mut self, run: &Run) -> Request {
        let mending = self.mending.as_mut();
        mending.map_or(Request::DONE, |mending| {
            mending.request(&self.seen, run.end.is_some())
        })
    }

    /// How many records that were missing were sent again.
    pub fn mended(&self) -> usize {
        self.mending.as_ref().map_or(0, Mending::came)
    }

    /// Takes in one record; `false` if it does not belong to this run, or cannot be
    /// believed.
    ///
    /// - A number higher than the next one: those between are lost.
    /// - A record that was there already, byte for byte: a console server repeats its last
    ///   lines. It changes nothing.
    /// - Another record with a number that was there already: the machine was reset.
    /// - A record without a seal after one with a seal, or where there must be one: its end
    ///   was lost, so nothing of it is believed.
    /// - A note in no sequence, by which the console says what it has lost.
    /// - Anything after the end, if it begins another run: only the first run
    ///   is read.
    pub fn take(&mut self, run: &mut Run, record: Record, seal: Option<Seal>) -> bool {
        if let Some(seal) = seal.filter(|seal| seal.number == Seal::UNNUMBERED) {
            return self.take_unnumbered(run, record, seal);
        }
        if let (Some(mending), Some(seal)) = (&mut self.mending, seal)
            && mending.was_missing(&self.seen, seal)
        {
            self.seen.insert(seal.number, seal.sum);
            mending.mend(run, seal.number, record);
            return true;
        }
        if run.end.is_some() {
            return self.after_the_end(run, record, seal);
        }
        let Some(seal) = seal else {
            if !self.seen.is_empty() || record.must_be_sealed() {
                run.garbled += 1;
                return false;
            }
            run.unchecked += 1;
            return run.take(record);
        };
        if self.repeats(seal) {
            return false;
        }
        if seal.number < self.next() {
            self.seen.clear();
            self.unnumbered.clear();
            if !matches!(record, Record::Machine(_)) {
                run.begin_again();
            }
        }
        if let Some(mending) = &mut self.mending {
            mending.keep(self.seen.is_empty(), run, seal.number, &record);
        }
        let next = self.next();
        if seal.number > next {
            run.lose(next, seal.number - 1);
        }
        self.seen.insert(seal.number, seal.sum);
        run.take(record)
    }

    /// No two of a boot are the same: one that comes again is said again.
    fn take_unnumbered(&mut self, run: &mut Run, record: Record, seal: Seal) -> bool {
        if run.followed_by > 0 || !self.unnumbered.insert(seal.sum) {
            return false;
        }
        if !matches!(record, Record::Note(_)) {
            run.garbled += 1;
            return false;
        }
        let next = self.next();
        if let Some(mending) = &mut self.mending {
            mending.keep_unnumbered(next, &record);
        }
        run.take(record)
    }

    fn after_the_end(&mut self, run: &mut Run, record: Record, seal: Option<Seal>) -> bool {
        if seal.is_some_and(|seal| self.repeats(seal)) {
            return false;
        }
        let begins = matches!(record, Record::Machine(_))
            || run.followed_by == 0 && seal.is_some_and(|seal| seal.number < self.next());
        run.followed_by += u32::from(begins);
        if run.followed_by > 0 {
            return false;
        }
        if let (Some(mending), Some(seal)) = (&mut self.mending, seal) {
            mending.keep(false, run, seal.number, &record);
            self.seen.insert(seal.number, seal.sum);
        }
        run.take(record)
    }

    /// Was this record there already?
    fn repeats(&self, seal: Seal) -> bool {
        self.seen.get(&seal.number) == Some(&seal.sum)
    }

    /// The number of the next record.
    fn next(&self) -> u32 {
        let last = self.seen.last_key_value();
        last.map_or(1, |(number, _)| number.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{End, Note};
    use alloc::{format, string::String, vec, vec::Vec};

    fn note(text: &str) -> Record {
        Record::Note(Note { text: text.into() })
    }

    fn end() -> Record {
        Record::End(End {
            exit: 0,
            verdicts: vec![],
            elapsed_ms: 1,
        })
    }

    /// Reads these records, each with its number, if it has one.
    fn read(records: &[(Record, Option<u32>)]) -> Run {
        let (mut reader, mut run) = (Reader::default(), Run::default());
        for (record, number) in records {
            let json = record.to_json().unwrap();
            let seal = number.map(|number| Seal::new(json.as_bytes(), number));
            reader.take(&mut run, record.clone(), seal);
        }
        run
    }

    fn notes(numbers: &[u32]) -> Run {
        let text = |n: &u32| (note(&format!("{n}")), Some(*n));
        read(&numbers.iter().map(text).collect::<Vec<_>>())
    }

    #[test]
    fn a_gap_is_what_was_lost() {
        assert_eq!(notes(&[1, 2, 3]).lost, vec![[0_u32; 2]; 0]);
        let run = notes(&[2, 3, 5, 9]);
        assert_eq!(run.lost, [[1, 1], [4, 4], [6, 8]]);
        assert_eq!((run.lost_records(), run.restarts), (5, 0));
        assert_eq!(run.notes, ["2", "3", "5", "9"].map(String::from));
    }

    #[test]
    fn what_is_said_again_changes_nothing() {
        let run = notes(&[1, 2, 3, 2, 3, 4]);
        assert_eq!((run.lost.len(), run.restarts, run.notes.len()), (0, 0, 4));
    }

    #[test]
    fn a_number_that_comes_again_with_something_else_is_a_reset() {
        let run = read(&[
            (note("a"), Some(1)),
            (note("b"), Some(2)),
            (note("c"), Some(1)),
            (note("d"), Some(3)),
        ]);
        assert_eq!((run.restarts, run.lost), (1, vec![[2, 2]]));
    }

    #[test]
    fn a_seal_that_is_missing_makes_a_record_worthless() {
        let run = read(&[
            (note("a"), Some(1)),
            (note("b"), None),
            (note("c"), Some(3)),
        ]);
        assert_eq!((run.garbled, run.unchecked), (1, 0));
        assert_eq!(run.lost, [[2, 2]]);
        // An older image has none, and is believed, but that is said.
        let run = read(&[(note("a"), None), (note("b"), None)]);
        assert_eq!((run.garbled, run.unchecked, run.notes.len()), (0, 2, 2));
    }

    #[test]
    fn a_note_of_the_console_s_is_in_no_sequence() {
        let run = read(&[
            (note("a"), Some(1)),
            (note("lost 5"), Some(0)),
            // Said again.
            (note("lost 5"), Some(0)),
            (note("b"), Some(3)),
            (note("lost 7, 12 in all"), Some(0)),
            (end(), Some(4)),
            (note("lost 1, 13 in all"), Some(0)),
        ]);
        assert_eq!((run.restarts, run.garbled, run.followed_by), (0, 0, 0));
        assert_eq!(run.lost, [[2, 2]]);
        let notes = ["a", "lost 5", "b", "lost 7, 12 in all", "lost 1, 13 in all"];
        assert_eq!(run.notes, notes.map(String::from));
        // Nothing else is without a number, and none is of the run behind this one.
        let run = read(&[(note("a"), Some(1)), (end(), Some(0))]);
        assert_eq!((run.garbled, run.end.is_some()), (1, false));
        let run = read(&[
            (note("a"), Some(1)),
            (end(), Some(2)),
            (note("another"), Some(1)),
            (note("lost 5"), Some(0)),
        ]);
        assert_eq!((run.followed_by, run.notes.len()), (1, 1));
        // The next boot may lose as much.
        let run = read(&[
            (note("lost 5"), Some(0)),
            (note("a"), Some(1)),
            (note("b"), Some(1)),
            (note("lost 5"), Some(0)),
        ]);
        assert_eq!((run.restarts, run.notes.len()), (1, 4));
    }

    #[test]
    fn another_run_behind_the_end_is_passed_over() {
        for sealed in [true, false] {
            let number = |n| sealed.then_some(n);
            let run = read(&[
                (note("a"), number(1)),
                (end(), number(2)),
                (note("another"), Some(1)),
                (note("its own"), Some(2)),
                (end(), Some(3)),
            ]);
            // Without numbers only a machine's record shows where it begins.
            assert_eq!(run.followed_by, u32::from(sealed));
            assert_eq!(run.garbled, u64::from(!sealed));
            assert_eq!(run.lost, vec![[0_u32; 2]; 0]);
        }
    }
}
