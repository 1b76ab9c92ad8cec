//! A log-linear histogram: fixed size, no allocation, exact counts, bounded
//! relative error. Samples are accumulated as they are taken, so that storing
//! them evicts nothing under test.

mod wire;

/// Sub-buckets per power of two, as a power of two.
const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// Values below `2 * SUB` have a bucket each; above, each power of two has
/// `SUB` buckets, up to the whole of `u64`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB;

/// Counts of samples by value; values are in the counter's ticks.
///
/// A value is known to within 1/16 of itself; minimum, maximum and count are
/// exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    count: u64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket that a value falls into.
#[inline(always)]
pub(crate) const fn bucket_of(value: u64) -> usize {
    let top = 63 - (value | 1).leading_zeros();
    if top < SUB_BITS {
        return value as usize;
    }
    let shift = top - SUB_BITS;
    (shift as usize) * SUB + (value >> shift) as usize
}

const fn lowest_in(bucket: usize) -> u64 {
    if bucket < 2 * SUB {
        return bucket as u64;
    }
    let shift = bucket / SUB - 1;
    ((bucket % SUB + SUB) as u64) << shift
}

/// The middle of a bucket, if there is one of that number.
pub(crate) const fn middle_of(bucket: usize) -> Option<u64> {
    if bucket >= BUCKETS {
        return None;
    }
    let low = lowest_in(bucket);
    let width = if bucket + 1 < BUCKETS {
        lowest_in(bucket + 1) - low
    } else {
        low / 16
    };
    Some(low + (width - 1) / 2)
}

/// The middle of a value's bucket.
pub(crate) fn rounded(value: u64) -> u64 {
    middle_of(bucket_of(value)).unwrap_or(value)
}

impl Histogram {
    /// A histogram of no samples.
    pub const fn new() -> Self {
        Self {
            counts: [0; BUCKETS],
            count: 0,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Forgets all samples.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.count = 0;
        self.min = u64::MAX;
        self.max = 0;
    }

    /// Adds one sample.
    #[inline(always)]
    pub fn add(&mut self, value: u64) {
        self.add_many(value, 1);
    }

    /// Adds `times` samples of one value.
    #[inline(always)]
    pub fn add_many(&mut self, value: u64, times: u32) {
        if times == 0 {
            return;
        }
        let slot = &mut self.counts[bucket_of(value)];
        *slot = slot.saturating_add(times);
        self.count += u64::from(times);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds all samples of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        for (slot, more) in self.counts.iter_mut().zip(&other.counts) {
            *slot = slot.saturating_add(*more);
        }
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many samples.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The smallest sample, exact; `None` without samples.
    pub const fn min(&self) -> Option<u64> {
        if self.count == 0 {
            None
        } else {
            Some(self.min)
        }
    }

    /// The largest sample, exact; `None` without samples.
    pub const fn max(&self) -> Option<u64> {
        if self.count == 0 {
            None
        } else {
            Some(self.max)
        }
    }

    /// The value that `per_mille`/1000 of the samples do not exceed, to within 1/16; never
    /// outside the exact minimum and maximum. For a few samples that came over a line
    /// ([`Self::to_wire`]), only the median is known that well.
    pub fn quantile(&self, per_mille: u32) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = (self.count * u64::from(per_mille.min(1000)))
            .div_ceil(1000)
            .max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(middle_of(bucket)?.clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// The buckets that hold samples: (lowest value, lowest value of the next
    /// bucket, count), ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u32)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, c)| **c > 0)
            .map(|(b, c)| {
                let next = if b + 1 < BUCKETS {
                    lowest_in(b + 1)
                } else {
                    u64::MAX
                };
                (lowest_in(b), next, *c)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_contiguous_over_all_of_u64() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(lowest_in(bucket)), bucket);
            if bucket > 0 {
                assert_eq!(bucket_of(lowest_in(bucket) - 1), bucket - 1);
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn no_samples_no_quantiles() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(500), None);
        assert_eq!(histogram.min(), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_sixteenth(mut values in proptest::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 1..300), per_mille in 0_u32..=1000) {
            let mut histogram = Histogram::new();
            for value in &values {
                histogram.add(*value);
            }
            values.sort_unstable();
            let rank = ((values.len() as u64 * u64::from(per_mille)).div_ceil(1000).max(1) - 1) as usize;
            let exact = values[rank];
            let found = histogram.quantile(per_mille).unwrap();
            prop_assert!(found.abs_diff(exact) <= exact / 16, "{found} for {exact}");
        }
    }

    #[test]
    fn what_is_cleared_has_seen_nothing() {
        let mut histogram = Histogram::new();
        histogram.add_many(900, 3);
        histogram.clear();
        assert_eq!(histogram, Histogram::new());
        histogram.add(5);
        assert_eq!(
            (histogram.count(), histogram.min(), histogram.max()),
            (1, Some(5), Some(5))
        );
    }
}
