//! `compare --noise`: how large a change the two sides could have shown at all.

use std::{collections::BTreeMap, fmt::Write};

use super::judge::Comparison;

/// The changes that are counted.
const CHANGES: [f64; 4] = [1.25, 1.5, 2.0, 4.0];

/// For each operation the change of its median that would have counted: in all of its
/// cases together, in the case that shows most, in half of them, and in each.
pub fn text(found: &Comparison) -> String {
    let mut by_op: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    let mut all = Vec::new();
    for case in &found.cases {
        let Some(shows) = case.median.as_ref().and_then(|s| s.could_show) else {
            continue;
        };
        by_op.entry(case.op).or_default().push(shows);
        all.push(shows);
    }
    if all.is_empty() {
        return String::new();
    }
    let together: BTreeMap<_, _> = found
        .operations
        .iter()
        .filter_map(|of| Some((of.op, of.median.could_show?)))
        .collect();
    let mut out = format!(
        "{:33}{:>10}{:>11}{:>14}{:>8}\n",
        "a change would have counted from", "together", "best case", "half of them", "each"
    );
    for (op, mut shows) in by_op {
        shows.sort_by(f64::total_cmp);
        let _ = writeln!(
            out,
            "  {:31}{:>10}{:>11}{:>14}{:>8}",
            format!("{op}"),
            together.get(&op).map_or("-".into(), |shows| times(*shows)),
            times(shows[0]),
            times(shows[shows.len() / 2]),
            times(shows[shows.len() - 1])
        );
    }
    for change in CHANGES {
        let so = all.iter().filter(|shows| **shows <= change).count();
        let _ = writeln!(
            out,
            "{} would have counted in {so} of {} cases.",
            times(change),
            all.len()
        );
    }
    out + "\n"
}

fn times(value: f64) -> String {
    match value {
        v if v < 9.95 => format!("×{v:.2}"),
        v if v < 999.5 => format!("×{v:.0}"),
        _ => "> ×999".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::judge::compare,
        synthetic::{self, Shape},
    };

    fn of(samples: u32) -> String {
        let run = |seed| {
            synthetic::run(&Shape {
                samples,
                seed,
                ..Shape::default()
            })
        };
        let found = compare(&[run(1), run(2)], &[run(3), run(4)], 1.25, false).unwrap();
        text(&found)
    }

    #[test]
    fn more_samples_show_less() {
        let counted = |text: &str| -> usize {
            let line = text.lines().find(|l| l.starts_with("×1.50 ")).unwrap();
            let words: Vec<_> = line.split(' ').collect();
            words[5].parse().unwrap()
        };
        let (few, many) = (of(16), of(2000));
        assert!(counted(&few) < counted(&many), "{few}{many}");
        assert!(few.lines().all(|line| line.chars().count() <= 80), "{few}");
        assert!(many.contains("ic-ivau"), "{many}");
    }
}
