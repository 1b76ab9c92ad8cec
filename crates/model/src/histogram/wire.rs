//! Histograms as short text: most of what a run sends over its serial line.

use alloc::{format, string::String, vec::Vec};

use super::{Histogram, bucket_of};

/// Counts below this are one character, a digit of base 36.
const SHORT: u32 = 36;
/// At least so many buckets of a histogram are sent; more if each has this many samples on
/// average.
const TOLD: (usize, u64) = (6, 16);
/// The most empty buckets that one letter stands for: `Z`.
const GAP: usize = 26;

impl Histogram {
    /// Writes the histogram as `4g-1bc=1(3f)ZZ2`: minimum and maximum in base
    /// 36, then from the minimum's bucket to the maximum's the count of each in
    /// base 36, in brackets where it has several digits; a capital letter is
    /// that many empty buckets, `A` one, `Z` 26. Empty: `-`. A few samples that are
    /// spread wide are sent in wider buckets, each as the lowest bucket in it; the median
    /// stays in its own.
    pub fn to_wire(&self) -> String {
        let mut text = String::new();
        if self.count == 0 {
            text.push('-');
            return text;
        }
        push_base36(&mut text, self.min);
        text.push('-');
        push_base36(&mut text, self.max);
        text.push('=');
        let mut next = bucket_of(self.min);
        for (bucket, count) in self.told() {
            let mut gap = bucket - next;
            while gap > 0 {
                let step = gap.min(GAP);
                text.push(char::from(b'A' + (step - 1) as u8));
                gap -= step;
            }
            if count < SHORT {
                push_base36(&mut text, u64::from(count));
            } else {
                text.push('(');
                push_base36(&mut text, u64::from(count));
                text.push(')');
            }
            next = bucket + 1;
        }
        text
    }

    /// The buckets that are sent, each with its count: as narrow as possible without being
    /// too many; the first, the median's and the last stay where they are.
    fn told(&self) -> Vec<(usize, u32)> {
        let (first, last) = (bucket_of(self.min), bucket_of(self.max));
        let median = self.quantile(500).map_or(first, bucket_of);
        let most = TOLD.0.max((self.count / TOLD.1) as usize);
        let mut wide = 0;
        loop {
            let mut told: Vec<(usize, u32)> = Vec::new();
            for (bucket, count) in self.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
                let at = match bucket {
                    _ if bucket == last || bucket == median => bucket,
                    at if at > median => (at >> wide << wide).max(median + 1),
                    at => (at >> wide << wide).max(first),
                };
                match told.last_mut() {
                    Some((known, sum)) if *known == at => *sum = sum.saturating_add(*count),
                    _ => told.push((at, *count)),
                }
            }
            if told.len() <= most {
                return told;
            }
            wide += 1;
        }
    }

    /// Reads what [`Self::to_wire`] wrote, and the form of schema 1:
    /// `4g-1bc@1w,1:3f,1h:2`, for each bucket in use its distance from the one before and,
    /// unless it is 1, its count.
    ///
    /// # Errors
    /// Says what is not of that form.
    pub fn from_wire(text: &str) -> Result<Self, String> {
        let mut histogram = Self::new();
        if text == "-" {
            return Ok(histogram);
        }
        histogram.read(text).map_err(|what| {
            let shown: String = text.chars().take(40).collect();
            format!("histogram '{shown}': {what}")
        })?;
        Ok(histogram)
    }

    fn read(&mut self, text: &str) -> Result<(), &'static str> {
        let at = text.find(['=', '@']).ok_or("neither '=' nor '@'")?;
        let (range, body) = (&text[..at], &text[at + 1..]);
        let (min, max) = range.split_once('-').ok_or("no range")?;
        let (min, max) = (number(min)?, number(max)?);
        if min > max {
            return Err("reversed");
        }
        if text.as_bytes()[at] == b'=' {
            self.read_counts(bucket_of(min), body)?;
        } else {
            self.read_distances(body)?;
        }
        let (first, last) = (
            self.counts.iter().position(|c| *c > 0),
            self.counts.iter().rposition(|c| *c > 0),
        );
        if first != Some(bucket_of(min)) || last != Some(bucket_of(max)) {
            return Err("range and buckets disagree");
        }
        (self.min, self.max) = (min, max);
        Ok(())
    }

    fn read_counts(&mut self, first: usize, body: &str) -> Result<(), &'static str> {
        if body.ends_with(|c: char| c.is_ascii_uppercase()) {
            return Err("ends with empty buckets");
        }
        let (mut bucket, mut rest) = (first, body);
        while let Some(&byte) = rest.as_bytes().first() {
            let mut taken = 1;
            if byte.is_ascii_uppercase() {
                bucket += usize::from(byte - b'A') + 1;
            } else {
                let digits = if byte == b'(' {
                    let end = rest.find(')').ok_or("no ')'")?;
                    taken = end + 1;
                    &rest[1..end]
                } else {
                    rest.get(..1).ok_or("not a number")?
                };
                self.put(bucket, number(digits)?)?;
                bucket += 1;
            }
            rest = &rest[taken..];
        }
        Ok(())
    }

    fn read_distances(&mut self, body: &str) -> Result<(), &'static str> {
        let mut bucket = 0_usize;
        for piece in body.split(',') {
            let (distance, count) = piece.split_once(':').unwrap_or((piece, "1"));
            let distance = usize::try_from(number(distance)?).map_err(|_| "out of range")?;
            bucket = bucket.saturating_add(distance);
            self.put(bucket, number(count)?)?;
        }
        Ok(())
    }

    /// Adds a count to a bucket, if there is such a bucket and room in it.
    fn put(&mut self, bucket: usize, count: u64) -> Result<(), &'static str> {
        let slot = self.counts.get_mut(bucket).ok_or("out of range")?;
        let count = u32::try_from(count).map_err(|_| "count too large")?;
        *slot = slot.checked_add(count).ok_or("count too large")?;
        self.count += u64::from(count);
        Ok(())
    }
}

fn number(digits: &str) -> Result<u64, &'static str> {
    if digits.starts_with('+') || digits.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("not a number");
    }
    u64::from_str_radix(digits, 36).map_err(|_| "not a number")
}

fn push_base36(text: &mut String, mut value: u64) {
    let mut digits = [0_u8; 13];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(value % 36) as usize];
        value /= 36;
        if value == 0 {
            break;
        }
    }
    for digit in &digits[at..] {
        text.push(char::from(*digit));
    }
}

impl serde::Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.to_wire())
    }
}

impl<'de> serde::Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(d)?;
        Self::from_wire(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::BUCKETS;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|v| histogram.add(*v));
        histogram
    }

    #[test]
    fn a_bucket_is_a_character() {
        let mut histogram = of(&[160, 1664, 1704]);
        histogram.add_many(170, 123);
        assert_eq!(histogram.to_wire(), "4g-1bc=1(3f)ZZ2");
        assert_eq!(of(&[]).to_wire(), "-");
        assert_eq!(of(&[7; 35]).to_wire(), "7-7=z");
        assert_eq!(of(&[7; 36]).to_wire(), "7-7=(10)");
        assert_eq!(of(&[0, 1, 28]).to_wire(), "0-s=11Z1");
        assert_eq!(of(&[0, 1, 3, 31]).to_wire(), "0-v=11A1ZA1");
    }

    #[test]
    fn schema_1_is_read() {
        for (old, new) in [
            ("4g-1bc@1w,1:3f,1h:2", "4g-1bc=1(3f)ZZ2"),
            ("5-5@5", "5-5=1"),
            ("28-2j@1g:1g,2:c", "28-2j=(1g)Ac"),
        ] {
            let histogram = Histogram::from_wire(old).unwrap();
            assert_eq!(histogram.to_wire(), new);
            assert_eq!(Histogram::from_wire(new).unwrap(), histogram);
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        for text in [
            "",
            "@",
            "=",
            "1-2@",
            "1-2=",
            "1-2",
            "1=1",
            "1-2@zzzzzz",
            "1-2@zzzzzzzzzzzz,zzzzzzzzzzzz",
            "1-2@1:0",
            "2-1@1",
            "2-1=11",
            "0-0@1",
            "1-1@1:zzzzzzzz",
            "1-1@1,0:1zzzzzz,0:1zzzzzy",
            "1-1=0",
            "1-1=01",
            "1-2=1",
            "1-3=11",
            "1-1=A1",
            "1-1=1A",
            "1-1=(",
            "1-1=()",
            "1-1=)",
            "1-1=(1",
            "1-1=((1))",
            "1-1=(zzzzzzzz)",
            "1-1=(+1)",
            "1-1=+",
            "1-1=\u{e9}",
            "1-1=(\u{e9})",
            "1-1=\u{212a}",
            "1A-1A=1",
        ] {
            assert!(Histogram::from_wire(text).is_err(), "{text}");
        }
        // As many buckets as there are, and then more.
        for end in ["1", "Z1", "ZZZZZ"] {
            let text = format!("0-0=1{}{end}", "Z".repeat(BUCKETS / GAP));
            assert!(Histogram::from_wire(&text).is_err());
        }
    }

    #[test]
    fn no_samples() {
        assert_eq!(Histogram::from_wire("-").unwrap(), Histogram::new());
    }

    fn spread() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 0..300)
    }

    proptest! {
        #[test]
        fn the_wire_keeps_everything(values in spread(), times in 1_u32..2_000_000) {
            let mut histogram = of(&values);
            if let Some(value) = values.first() {
                // Enough that no bucket has to be told with others.
                histogram.add_many(*value, times.max(TOLD.1 as u32 * 300));
            }
            let wire = histogram.to_wire();
            prop_assert_eq!(&Histogram::from_wire(&wire).unwrap(), &histogram);
        }

        /// A few samples that are spread wide: their range, number and rough place.
        #[test]
        fn the_wire_keeps_what_is_known(values in prop::collection::vec(1000_u64..4000, 1..64)) {
            let histogram = of(&values);
            let wire = histogram.to_wire();
            let read = Histogram::from_wire(&wire).unwrap();
            let range = |h: &Histogram| (h.min(), h.max(), h.count());
            prop_assert_eq!(range(&read), range(&histogram));
            prop_assert!(read.buckets().count() <= TOLD.0, "{}", wire);
            prop_assert_eq!(read.to_wire(), wire);
            prop_assert_eq!(read.quantile(500), histogram.quantile(500));
            for q in [100, 900] {
                let (told, own) = (read.quantile(q).unwrap(), histogram.quantile(q).unwrap());
                prop_assert!(told.abs_diff(own) <= own / 2, "{told} for {own}");
            }
        }

        #[test]
        fn what_is_read_is_the_same_again(text in "[0-9a-z]{1,3}-[0-9a-z]{1,3}[@=][0-9a-z]{1,3}[(),:A-Z0-9a-z]{0,20}") {
            if let Ok(histogram) = Histogram::from_wire(&text) {
                prop_assert_eq!(Histogram::from_wire(&histogram.to_wire()), Ok(histogram));
            }
        }

        #[test]
        fn reading_never_panics(text in "[-0-9a-zA-Z@:,=()é]{0,60}") {
            let _ = Histogram::from_wire(&text);
        }
    }

    /// Neighbours are put together where there are many, and none goes far.
    #[test]
    fn of_many_buckets_the_quantiles_stay_near_where_they_were() {
        let values: Vec<u64> = (0..400).map(|n| 100 + n * n).collect();
        let histogram = of(&values);
        let told = Histogram::from_wire(&histogram.to_wire()).unwrap();
        let used = |h: &Histogram| h.counts.iter().filter(|count| **count > 0).count();
        assert!(used(&told) < used(&histogram), "{}", histogram.to_wire());
        assert_eq!(told.quantile(500), histogram.quantile(500));
        for per_mille in [50, 100, 250, 750, 900, 950] {
            let [was, is] = [&histogram, &told].map(|h| h.quantile(per_mille).unwrap());
            assert!(
                is <= was + was / 16 && is >= was / 2,
                "{per_mille}: {was} {is}"
            );
        }
    }
}
