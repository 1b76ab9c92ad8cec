//! What the keys take: numbers, times, ratios, words and lists of them.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Display;

use super::Milli;

pub(super) fn names<T: Display>(values: &[T]) -> String {
    let names: Vec<_> = values.iter().map(T::to_string).collect();
    names.join(",")
}

pub(super) fn list<T: PartialEq>(
    value: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut found = Vec::new();
    for name in value.split(',') {
        let item = read(name)?;
        if !found.contains(&item) {
            found.push(item);
        }
    }
    Ok(found)
}

pub(crate) fn number(value: &str, low: u32, high: u32) -> Result<u32, String> {
    match value.parse() {
        Ok(n) if (low..=high).contains(&n) && !value.starts_with('+') => Ok(n),
        _ => Err(format!(
            "'{value}' is not allowed; allowed: {low} to {high}"
        )),
    }
}

/// Reads the address of a register of 32 bits.
pub(super) fn address(value: &str) -> Result<u64, String> {
    let digits = value.strip_prefix("0x").filter(|d| !d.starts_with('+'));
    match digits.map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(at)) if at.is_multiple_of(4) && (1..1 << 48).contains(&at) => Ok(at),
        _ => Err(format!(
            "'{value}' is not allowed; allowed: a multiple of 4 like 0x9010000, below 0x1000000000000"
        )),
    }
}

/// Reads a time like `200ms`, `10s`, or `10` for seconds, in milliseconds.
pub(super) fn time(value: &str, low_ms: u32, high_ms: u32) -> Result<u32, String> {
    let (digits, unit) = match value.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (value.strip_suffix('s').unwrap_or(value), 1000),
    };
    let found = digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse::<u32>().ok()?.checked_mul(unit))
        .flatten();
    match found {
        Some(ms) if (low_ms..=high_ms).contains(&ms) => Ok(ms),
        _ => Err(format!(
            "'{value}' is not allowed; allowed: {low_ms}ms to {}s",
            high_ms / 1000
        )),
    }
}

pub(crate) fn one_of<T: Copy>(value: &str, allowed: &[(&str, T)]) -> Result<T, String> {
    allowed
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, v)| *v)
        .ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|(name, _)| *name).collect();
            format!("'{value}' is not allowed; allowed: {}", names.join(", "))
        })
}

/// The word of a value, as [`one_of`] reads it.
pub(super) fn word<T: Copy + PartialEq>(value: T, words: &[(&str, T)]) -> Option<String> {
    words
        .iter()
        .find(|(_, known)| *known == value)
        .map(|(name, _)| name.to_string())
}

pub(crate) fn switch(value: &str) -> Result<bool, String> {
    one_of(value, &[("on", true), ("off", false)])
}

/// Reads a slow-down like `2`, `1.5` or `1.25`, in thousandths.
pub(super) fn ratio(value: &str) -> Result<Milli, String> {
    let bad =
        || format!("'{value}' is not allowed; allowed: 1.0 to 1000000, with up to 3 decimals");
    let (whole, decimals) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |s: &str| !s.is_empty() && s.len() <= 7 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return Err(bad());
    }
    let whole: u32 = whole.parse().map_err(|_| bad())?;
    let scale = 10_u32.pow(3 - decimals.len() as u32);
    let decimals: u32 = decimals.parse().map_err(|_| bad())?;
    match whole
        .checked_mul(1000)
        .and_then(|w| w.checked_add(decimals * scale))
    {
        Some(milli) if (1000..=1_000_000_000).contains(&milli) => Ok(milli),
        _ => Err(bad()),
    }
}
