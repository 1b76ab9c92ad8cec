//! Which of a boot's records are missing, in which order they are asked for, and how those
//! that come late take their place.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    again::Request,
    record::{Record, Seal},
    run::Run,
};

/// How often the same is asked for: an image whose recorder was full does not have it.
const TRIES: u32 = 3;
/// So many gaps are asked for one by one; if there are more, first all between the first
/// and the last.
const FEW: usize = 32;

/// The records of one boot, so that the run can be read again once more of them have come.
#[derive(Clone, Debug, Default)]
pub struct Mending {
    /// The run before the boot's first record.
    before: Run,
    records: BTreeMap<u32, Record>,
    /// Those in no sequence, and the number that was next when each came.
    unnumbered: Vec<(u32, Record)>,
    /// How often each request was made.
    tried: BTreeMap<Request, u32>,
    came: usize,
}

impl Mending {
    /// Remembers a record that came in order, or at last; `new` if a boot begins with it.
    pub fn keep(&mut self, new: bool, run: &Run, number: u32, record: &Record) {
        if new {
            *self = Self {
                before: run.clone(),
                came: self.came,
                ..Self::default()
            };
        }
        // Of the last records nobody knew that they were lost, until they were asked for.
        let asked = |request: &Request| (request.first..=request.last).contains(&number);
        self.came += usize::from(self.tried.keys().any(asked));
        self.records.insert(number, record.clone());
    }

    /// The same of one in no sequence.
    pub fn keep_unnumbered(&mut self, next: u32, record: &Record) {
        self.unnumbered.push((next, record.clone()));
    }

    /// What to ask for next.
    pub fn request(&mut self, seen: &BTreeMap<u32, u32>, ended: bool) -> Request {
        let mut gaps = gaps(seen);
        if !ended {
            let first = seen.last_key_value().map_or(1, |(number, _)| number + 1);
            let last = u32::MAX;
            gaps.push(Request { first, last });
        }
        if let ([first, .., last], true) = (&gaps[..], gaps.len() > FEW) {
            let (first, last) = (first.first, last.last);
            gaps.insert(0, Request { first, last });
        }
        for gap in gaps {
            let tried = self.tried.entry(gap).or_default();
            if *tried < TRIES {
                *tried += 1;
                return gap;
            }
        }
        self.tried.entry(Request::DONE).or_default();
        Request::DONE
    }

    /// Does this fill a gap, now that the image was asked to fill them?
    pub fn was_missing(&self, seen: &BTreeMap<u32, u32>, seal: Seal) -> bool {
        let last = seen.last_key_value().map_or(0, |(number, _)| *number);
        !self.tried.is_empty() && seal.number < last && !seen.contains_key(&seal.number)
    }

    /// Reads the run again, with this record in its place.
    pub fn mend(&mut self, run: &mut Run, number: u32, record: Record) {
        self.came += 1;
        self.records.insert(number, record);
        let mut anew = self.before.clone();
        let mut next = 1;
        let mut unnumbered = self.unnumbered.iter().peekable();
        for (number, record) in &self.records {
            while let Some((_, record)) = unnumbered.next_if(|(before, _)| before <= number) {
                anew.take(record.clone());
            }
            if next < *number {
                anew.lose(next, number - 1);
            }
            next = number + 1;
            anew.take(record.clone());
        }
        for (_, record) in unnumbered {
            anew.take(record.clone());
        }
        // What is counted about the line itself.
        anew.console_bytes = run.console_bytes;
        (anew.garbled, anew.unchecked) = (run.garbled, run.unchecked);
        anew.followed_by = run.followed_by;
        *run = anew;
    }

    /// How many came late.
    pub const fn came(&self) -> usize {
        self.came
    }
}

/// The gaps between the numbers that were seen.
fn gaps(seen: &BTreeMap<u32, u32>) -> Vec<Request> {
    let mut first = 1;
    let mut gaps = Vec::new();
    for number in seen.keys() {
        if first < *number {
            let last = number - 1;
            gaps.push(Request { first, last });
        }
        first = number.saturating_add(1);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use super::super::Reader;
    use super::*;
    use crate::record::{End, Note};

    /// The records of a boot: notes with their own numbers, and the end.
    fn record(number: u32, last: u32) -> (Record, Option<Seal>) {
        let record = if number == last {
            let (exit, verdicts, elapsed_ms) = (0, vec![], 1);
            Record::End(End {
                exit,
                verdicts,
                elapsed_ms,
            })
        } else {
            let text = format!("{number}");
            Record::Note(Note { text })
        };
        let seal = Seal::new(record.to_json().unwrap().as_bytes(), number);
        (record, Some(seal))
    }

    /// Reads a boot of `last` records without those that are `lost`; then asks an image that
    /// has all but `gone`.
    fn read(last: u32, lost: &[u32], gone: &[u32]) -> (Run, Vec<Request>, usize) {
        let (mut reader, mut run) = (Reader::asking(), Run::default());
        for number in (1..=last).filter(|n| !lost.contains(n)) {
            let (record, seal) = record(number, last);
            assert!(reader.take(&mut run, record, seal));
        }
        let mut asked = Vec::new();
        loop {
            let request = reader.request(&run);
            if request == Request::DONE {
                break;
            }
            asked.push(request);
            assert!(asked.len() < 200, "it ends");
            for number in (1..=last).filter(|n| !gone.contains(n)) {
                if (request.first..=request.last).contains(&number) {
                    let (record, seal) = record(number, last);
                    reader.take(&mut run, record, seal);
                }
            }
        }
        (run, asked, reader.mended())
    }

    #[test]
    fn what_was_lost_takes_its_place() {
        for lost in [&[][..], &[1], &[3, 4], &[2, 6], &[1, 2, 3, 4, 5, 6]] {
            let (run, asked, came) = read(7, lost, &[]);
            let notes = ["1", "2", "3", "4", "5", "6"].map(String::from);
            assert_eq!(run.notes, notes, "{lost:?}");
            assert_eq!(run.lost, vec![[0; 2]; 0], "{lost:?}");
            assert_eq!((run.restarts, run.garbled, run.followed_by), (0, 0, 0));
            assert_eq!(came, lost.len());
            assert!(asked.len() <= 2, "{asked:?}");
        }
    }

    #[test]
    fn what_the_console_said_of_itself_stays() {
        let (mut reader, mut run) = (Reader::asking(), Run::default());
        let text = String::from("lost 5");
        let lost = Record::Note(Note { text });
        let json = lost.to_json().unwrap();
        let unnumbered = Seal::new(json.as_bytes(), Seal::UNNUMBERED);
        for number in [1, 2, 5] {
            let (record, seal) = record(number, 5);
            reader.take(&mut run, record, seal);
            if number == 2 {
                assert!(reader.take(&mut run, lost.clone(), Some(unnumbered)));
            }
        }
        let request = reader.request(&run);
        assert_eq!([request.first, request.last], [3, 4]);
        for number in [3, 4] {
            let (record, seal) = record(number, 5);
            reader.take(&mut run, record, seal);
        }
        assert_eq!(run.notes, ["1", "2", "lost 5", "3", "4"].map(String::from));
    }

    #[test]
    fn an_end_that_was_lost_is_asked_for() {
        let (run, asked, came) = read(7, &[3, 6, 7], &[]);
        assert!(run.end.is_some() && run.lost.is_empty());
        assert_eq!(came, 3);
        let ranges: Vec<_> = asked.iter().map(|r| [r.first, r.last]).collect();
        assert_eq!(ranges, [[3, 3], [6, u32::MAX]]);
    }

    #[test]
    fn what_does_not_come_is_given_up() {
        let (run, asked, came) = read(9, &[3, 5, 7], &[3, 5]);
        assert_eq!((asked.len(), came), (7, 1));
        assert_eq!(run.lost, [[3, 3], [5, 5]]);
        let all: Vec<_> = (1..100).filter(|n| n % 2 == 0).collect();
        let (run, asked, _) = read(100, &all, &all);
        assert_eq!(run.lost.len(), 49);
        assert_eq!(asked.len(), 50 * 3);
        assert_eq!((asked[0].first, asked[0].last), (2, 98));
    }

    #[test]
    fn another_boot_is_no_answer() {
        // The first record was lost, and the machine is reset: nobody has asked.
        let (mut reader, mut run) = (Reader::asking(), Run::default());
        for (number, last) in [(2, 9), (3, 9), (1, 9)] {
            let (record, seal) = record(number, last);
            reader.take(&mut run, record, seal);
        }
        assert_eq!((run.restarts, reader.mended()), (1, 0));
        assert_eq!(run.lost, [[1, 1]], "of the first boot");
    }
}
