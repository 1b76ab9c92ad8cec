//! Sets of cases by their numbers, written like CPU lists: `1-17,40`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::order;

/// More cases than any plan has.
const LARGEST: u32 = 100_000;

/// Which cases of a plan, by number from 1: ranges in ascending order that
/// neither meet nor overlap; at least one number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseNumbers(Vec<[u32; 2]>);

impl CaseNumbers {
    /// Reads a list of numbers and ranges.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad =
            || format!("'{text}' is not allowed; allowed: numbers and ranges from 1, like 1-17,40");
        let number = |digits: &str| {
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            let number = digits.parse().ok().filter(|_| plain);
            number.filter(|n| (1..=LARGEST).contains(n)).ok_or_else(bad)
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(bad());
            }
            ranges.push([first, last]);
        }
        Ok(Self::of_ranges(ranges))
    }

    /// The set of these numbers; `None` if there are none.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Option<Self> {
        let ranges: Vec<_> = numbers.into_iter().map(|n| [n, n]).collect();
        (!ranges.is_empty()).then(|| Self::of_ranges(ranges))
    }

    fn of_ranges(mut ranges: Vec<[u32; 2]>) -> Self {
        order::sort(&mut ranges);
        let mut joined: Vec<[u32; 2]> = Vec::new();
        for [first, last] in ranges {
            match joined.last_mut() {
                Some([_, end]) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push([first, last]),
            }
        }
        Self(joined)
    }

    /// Is this number one of them?
    pub fn contains(&self, number: usize) -> bool {
        let within =
            |[first, last]: &[u32; 2]| (*first as usize..=*last as usize).contains(&number);
        self.0.iter().any(within)
    }

    /// The highest of them.
    pub fn highest(&self) -> usize {
        self.0.last().map_or(0, |[_, last]| *last as usize)
    }
}

impl fmt::Display for CaseNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |[first, last]: &[u32; 2]| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let parts: Vec<_> = self.0.iter().map(text).collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, canonical) in [
            ("1", "1"),
            ("1-3,5", "1-3,5"),
            ("5,1-3,4", "1-5"),
            ("7,7,6-9", "6-9"),
        ] {
            let set = CaseNumbers::parse(text).unwrap();
            assert_eq!(set.to_string(), canonical);
            assert_eq!(CaseNumbers::parse(canonical), Ok(set));
        }
        let set = CaseNumbers::parse("2-3,9").unwrap();
        let within: Vec<_> = (0..12).filter(|n| set.contains(*n)).collect();
        assert_eq!((within, set.highest()), ([2, 3, 9].to_vec(), 9));
        assert_eq!(CaseNumbers::of([9, 2, 3]), Some(set));
        assert_eq!(CaseNumbers::of([]), None);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "",
            "0",
            "3-1",
            "1,",
            "-3",
            "1-",
            "x",
            "+1",
            "1-100001",
            "4294967296",
        ] {
            let error = CaseNumbers::parse(text).unwrap_err();
            assert!(
                error.contains("allowed: numbers and ranges"),
                "{text}: {error}"
            );
        }
    }
}
