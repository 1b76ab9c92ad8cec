//! Sets of CPUs, read and written in the kernel's list format (`0-23,25-127`).

use alloc::string::{String, ToString};
use core::fmt;

/// The most CPUs that the harness handles: QEMU's `virt` machine with GICv3
/// ends at 512.
pub const MAX_CPUS: usize = 512;

const WORDS: usize = MAX_CPUS / 64;

/// A set of CPU numbers below [`MAX_CPUS`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    words: [u64; WORDS],
}

impl CpuSet {
    /// The set of no CPU.
    pub const EMPTY: Self = Self { words: [0; WORDS] };

    /// The CPUs `0..count`; `count` above [`MAX_CPUS`] counts as that.
    pub fn first(count: usize) -> Self {
        let count = count.min(MAX_CPUS);
        let mut words = [0; WORDS];
        for (nth, word) in words.iter_mut().enumerate() {
            *word = match count.saturating_sub(nth * 64) {
                0 => 0,
                here @ 1..64 => (1 << here) - 1,
                _ => u64::MAX,
            };
        }
        Self { words }
    }

    /// The set of one CPU, which must be below [`MAX_CPUS`].
    pub fn one(cpu: usize) -> Self {
        core::iter::once(cpu).collect()
    }

    /// Adds a CPU; `false` if it is not below [`MAX_CPUS`].
    pub fn insert(&mut self, cpu: usize) -> bool {
        let Some(word) = self.words.get_mut(cpu / 64) else {
            return false;
        };
        *word |= 1 << (cpu % 64);
        true
    }

    /// Removes a CPU.
    pub fn remove(&mut self, cpu: usize) {
        if let Some(word) = self.words.get_mut(cpu / 64) {
            *word &= !(1 << (cpu % 64));
        }
    }

    /// Is the CPU in the set?
    pub fn contains(&self, cpu: usize) -> bool {
        self.words
            .get(cpu / 64)
            .is_some_and(|word| word & (1 << (cpu % 64)) != 0)
    }

    /// How many CPUs are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Is there no CPU in the set?
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(nth, word)| {
            let mut left = *word;
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                // Clears the lowest bit; 0 stays 0.
                left &= left.wrapping_sub(1);
                (bit < u64::BITS).then_some(nth * 64 + bit as usize)
            })
        })
    }

    /// The lowest CPU.
    pub fn lowest(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The highest CPU.
    pub fn highest(&self) -> Option<usize> {
        let nth = self.words.iter().rposition(|word| *word != 0)?;
        Some(nth * 64 + self.words[nth].ilog2() as usize)
    }

    /// The CPUs in this set or the other.
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The CPUs in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// The CPUs in this set and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = [0; WORDS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = f(self.words[i], other.words[i]);
        }
        Self { words }
    }

    /// Reads the kernel's list format: numbers and ranges separated by commas, no spaces;
    /// the empty text is the empty set.
    ///
    /// # Errors
    /// Names the piece that is no CPU or range, is reversed, or is out of reach.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut set = Self::EMPTY;
        if text.is_empty() {
            return Ok(set);
        }
        for piece in text.split(',') {
            let (low, high) = piece.split_once('-').unwrap_or((piece, piece));
            let number = |s: &str| -> Result<usize, String> {
                if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(alloc::format!(
                        "'{piece}' is not a CPU or a range of CPUs (like 3 or 0-23,25-127)"
                    ));
                }
                match s.parse() {
                    Ok(n) if n < MAX_CPUS => Ok(n),
                    _ => Err(alloc::format!(
                        "CPU {s} is out of reach: at most {}",
                        MAX_CPUS - 1
                    )),
                }
            };
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                return Err(alloc::format!("the range '{piece}' runs backwards"));
            }
            set = set.union(&Self::first(high + 1).difference(&Self::first(low)));
        }
        Ok(set)
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        let mut set = Self::EMPTY;
        for cpu in cpus {
            set.insert(cpu);
        }
        set
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut first = true;
        while let Some(low) = cpus.next() {
            let mut high = low;
            while cpus.peek() == Some(&(high + 1)) {
                high += 1;
                cpus.next();
            }
            if !first {
                f.write_str(",")?;
            }
            first = false;
            write!(f, "{low}")?;
            if high > low {
                write!(f, "-{high}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

impl serde::Serialize for CpuSet {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for CpuSet {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(d)?;
        Self::parse(&text).map_err(|e| serde::de::Error::custom(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_report_own_list() {
        let set = CpuSet::parse("0-23,25-127").unwrap();
        assert_eq!(set.len(), 127);
        assert!(!set.contains(24));
        assert_eq!(set.to_string(), "0-23,25-127");
    }

    #[test]
    fn names_what_is_wrong() {
        assert!(CpuSet::parse("3-1").unwrap_err().contains("backwards"));
        assert!(CpuSet::parse("1,,2").unwrap_err().contains("''"));
        assert!(CpuSet::parse("512").unwrap_err().contains("at most 511"));
        assert!(CpuSet::parse("+1").unwrap_err().contains("'+1'"));
    }

    proptest! {
        #[test]
        fn round_trips(cpus in proptest::collection::vec(0..MAX_CPUS, 0..40)) {
            let set: CpuSet = cpus.iter().copied().collect();
            prop_assert_eq!(CpuSet::parse(&set.to_string()).unwrap(), set);
        }

        #[test]
        fn words_hold_what_a_list_would(mut cpus in proptest::collection::btree_set(0..MAX_CPUS, 0..200), count in 0..MAX_CPUS + 70) {
            let set: CpuSet = cpus.iter().copied().collect();
            prop_assert!(set.iter().eq(cpus.iter().copied()));
            prop_assert_eq!((set.lowest(), set.highest()), (cpus.first().copied(), cpus.last().copied()));
            prop_assert_eq!(set.len(), cpus.len());
            cpus.retain(|cpu| *cpu < count);
            prop_assert!(set.intersection(&CpuSet::first(count)).iter().eq(cpus.iter().copied()));
            prop_assert_eq!(CpuSet::first(count).len(), count.min(MAX_CPUS));
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = CpuSet::parse(&text);
        }
    }
}
