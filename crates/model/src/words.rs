//! Counts in sentences: no cases, 1 case, 2 cases.

use alloc::{format, string::String, vec::Vec};

use crate::cpuset::CpuSet;

/// So many of something: `no cases`, `1 case`, `12 cases`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

/// So many cases.
pub fn cases(n: usize) -> String {
    count(n, "case", "cases")
}

/// All of so many: `the case`, `both cases`, `all 9 cases`.
pub fn all_cases(n: usize) -> String {
    match n {
        0 => "no case".into(),
        1 => "the case".into(),
        2 => "both cases".into(),
        n => format!("all {n} cases"),
    }
}

/// CPUs by their numbers: `no CPU`, `CPU 3`, `CPUs 1-6`.
pub fn cpus(cpus: &CpuSet) -> String {
    match cpus.len() {
        0 => "no CPU".into(),
        1 => format!("CPU {cpus}"),
        _ => format!("CPUs {cpus}"),
    }
}

/// The word that goes with so many: `was` and `were`, `its` and `their`.
pub const fn with<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

/// Ranges of numbers, the first few of them: `4`, `4 and 7-9`, `1, 3, 5-6 and 12 more`.
pub fn ranges(ranges: &[[u32; 2]]) -> String {
    const SHOWN: usize = 8;
    let mut parts: Vec<String> = ranges
        .iter()
        .take(SHOWN)
        .map(|[first, last]| match first == last {
            true => format!("{first}"),
            false => format!("{first}-{last}"),
        })
        .collect();
    let more: u64 = ranges
        .iter()
        .skip(SHOWN)
        .map(|[first, last]| u64::from(last.saturating_sub(*first)) + 1)
        .sum();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    list(&parts)
}

/// Words as a list: `a`, `a and b`, `a, b and c`.
pub fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_one_and_many() {
        assert_eq!([0, 1, 2].map(cases), ["no cases", "1 case", "2 cases"]);
        assert_eq!(
            [0, 1, 2, 9].map(all_cases),
            ["no case", "the case", "both cases", "all 9 cases"]
        );
        assert_eq!([1, 2].map(|n| with(n, "was", "were")), ["was", "were"]);
        let sets = [CpuSet::EMPTY, CpuSet::one(3), CpuSet::first(3)];
        assert_eq!(sets.map(|set| cpus(&set)), ["no CPU", "CPU 3", "CPUs 0-2"]);
    }

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[[4, 4]]), "4");
        assert_eq!(ranges(&[[4, 4], [7, 9]]), "4 and 7-9");
        let many: Vec<_> = (0..10).map(|n| [n * 10, n * 10 + 1]).collect();
        assert!(ranges(&many).ends_with("70-71 and 4 more"));
    }
}
