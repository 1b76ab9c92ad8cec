//! Rounds as short text.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Class, Rounds};
use crate::histogram;

/// As text: the class (`i` or `c`), how many rounds, a digit of base 36, then the
/// baseline's medians, a dot and the case's. A list is the smallest of its histogram's
/// buckets, two digits, then how many buckets above it each lies, a digit each, in
/// brackets where it takes two; the last stands for all that are left.
impl Serialize for Rounds {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut text = String::from(match self.class {
            Class::Issue => "i",
            Class::Complete => "c",
        });
        text.push(digit(self.case.len()));
        write(&mut text, &self.base);
        text.push('.');
        write(&mut text, &self.case);
        s.serialize_str(&text)
    }
}

fn digit(n: usize) -> char {
    char::from_digit(n as u32, 36).unwrap_or('z')
}

fn write(text: &mut String, values: &[u64]) {
    let bucket = |value: &u64| histogram::bucket_of(*value);
    let Some(least) = values.iter().map(bucket).min() else {
        return;
    };
    let two = |text: &mut String, n: usize| {
        text.push(digit(n / 36));
        text.push(digit(n % 36));
    };
    two(text, least);
    let same = values
        .iter()
        .rev()
        .take_while(|v| Some(*v) == values.last());
    let told = values.len() + 1 - same.count();
    for above in values[..told].iter().map(|value| bucket(value) - least) {
        if above < 36 {
            text.push(digit(above));
        } else {
            text.push('(');
            two(text, above);
            text.push(')');
        }
    }
}

fn read(text: &str, count: usize) -> Option<Vec<u64>> {
    let mut chars = text.chars();
    let number = |digits: &str| usize::from_str_radix(digits, 36).ok();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let least = number(text.get(..2)?)?;
    chars.nth(1);
    let mut values = Vec::new();
    while let Some(char) = chars.next() {
        let above = match char {
            '(' => {
                let rest = chars.as_str();
                let (digits, after) = rest.split_once(')')?;
                chars = after.chars();
                number(digits)?
            }
            digit => digit.to_digit(36)? as usize,
        };
        values.push(histogram::middle_of(least.checked_add(above)?)?);
    }
    let last = *values.last()?;
    let fits = values.len() <= count;
    values.resize(count, last);
    fits.then_some(values)
}

impl<'de> Deserialize<'de> for Rounds {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(d)?;
        let parsed = || {
            let class = match text.get(..1)? {
                "i" => Class::Issue,
                "c" => Class::Complete,
                _ => return None,
            };
            let count = text.get(1..2)?.chars().next()?.to_digit(36)? as usize;
            let (base, case) = text.get(2..)?.split_once('.')?;
            let (base, case) = (read(base, count)?, read(case, count)?);
            (case.len() == count).then_some(Self { class, base, case })
        };
        parsed().ok_or_else(|| D::Error::custom(format!("rounds '{text:.40}'")))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Rounds {
    fn schema_name() -> Cow<'static, str> {
        "Rounds".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[ic][0-9a-z][0-9a-z()]*\\.[0-9a-z()]*$" })
    }
}
