//! The comparison as a table of at most 80 columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use stalecore_model::words;

use super::{
    judge::{Change, Comparison},
    shift::Shift,
};

/// Writes the table: of each operation itself in all of its cases and the cases, as far
/// as they changed, or all.
pub fn table(found: &Comparison, all: bool) -> String {
    let shown = |change: Change| all || !matches!(change, Change::Same | Change::Undecided);
    let mut by_op: BTreeMap<_, String> = BTreeMap::new();
    for of in found.operations.iter().filter(|of| shown(of.change)) {
        let name = format!("  {} together", words::all_cases(of.cases));
        let lines = by_op.entry(of.op).or_default();
        lines.push_str(&line(&name, [Some(&of.median), None], of.change));
    }
    for case in found.cases.iter().filter(|case| shown(case.change)) {
        let name = format!("  {}, {}", case.state, case.line);
        let lines = by_op.entry(case.op).or_default();
        let shifts = [case.median.as_ref(), case.p99.as_ref()];
        lines.push_str(&line(&name, shifts, case.change));
        if case.base_verdict != case.new_verdict {
            let _ = writeln!(lines, "    {} -> {}", case.base_verdict, case.new_verdict);
        }
    }
    if by_op.is_empty() {
        return String::new();
    }
    let what = if found.relative { "slow-down" } else { "time" };
    let mut out = format!(
        "{:35}{:19} {:18}\n",
        format!("new / base {what}, 95 % interval"),
        "median",
        "p99"
    );
    for (op, lines) in by_op {
        let _ = write!(out, "{op}\n{lines}");
    }
    out + "\n"
}

fn line(name: &str, [median, p99]: [Option<&Shift>; 2], change: Change) -> String {
    let (median, p99) = (cell(median), cell(p99));
    format!("{name:35}{median:19} {p99:18} {}\n", change.name())
}

/// A shift in 18 columns; in brackets where it has too few samples to count.
fn cell(shift: Option<&Shift>) -> String {
    let Some(shift) = shift else {
        return "-".into();
    };
    match shift.interval {
        Some((low, high)) => format!("{} ({}-{})", ratio(shift.ratio), ratio(low), ratio(high)),
        None => format!("[{}]", ratio(shift.ratio)),
    }
}

fn ratio(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v if v < 9999.5 => format!("{v:.0}"),
        v => format!("{v:.0e}"),
    }
}

/// What one run a side cannot say.
const ONE_A_SIDE: &str = "One run a side: what differs from boot to boot is not known. What \
    their rounds, and the cases of a state among each other, vary by stands for it; several \
    runs a side (compare BASE… -- NEW…) say more.";

/// What a gate can mean where no silicon is.
const EMULATED: &str = "All of it was emulated: what got worse is of the image, the emulator or \
    the host, and says nothing of silicon.";

/// The sentences under the table.
pub fn summary(found: &Comparison) -> String {
    let [base, new] = found.runs;
    let runs = match base + new {
        2 => "both runs".into(),
        _ => format!("all of {base} and {new} runs"),
    };
    let cases: Vec<_> = found.cases.iter().map(|case| case.change).collect();
    let mut out = format!("{} in {runs}: {}", words::cases(cases.len()), tally(&cases));
    let noisy = found.cases.iter().filter(|c| c.noisy).count();
    if noisy > 0 {
        let _ = write!(out, "; of {noisy} it is too noisy to say");
    }
    let operations: Vec<_> = found.operations.iter().map(|of| of.change).collect();
    if !operations.is_empty() {
        let _ = write!(
            out,
            ". {}, each in all of its cases together: {}",
            words::count(operations.len(), "operation", "operations"),
            tally(&operations)
        );
    }
    let mut out = wrap(&(out + "."));
    if found.not_in_all > 0 {
        let _ = writeln!(
            out,
            "On both sides, and not in every run: {}.",
            found.not_in_all
        );
    }
    if found.only_base + found.only_new > 0 {
        let _ = writeln!(
            out,
            "Only in the base {0}: {1}; only in the new {0}: {2}.",
            words::with(base.max(new), "run", "runs"),
            found.only_base,
            found.only_new
        );
    }
    let failed: BTreeSet<_> = found.failed().collect();
    let names: Vec<_> = failed.iter().map(|op| op.name()).collect();
    out.push_str(&wrap(&match names.is_empty() {
        true => nothing_worse(found),
        false => format!("Got worse: {}.", names.join(", ")),
    }));
    let late = found
        .cases
        .iter()
        .filter(|c| c.late[0] == 0 && c.late[1] > 0);
    let late: Vec<_> = late
        .map(|c| format!("{} under {}", c.op, c.state))
        .collect();
    if !late.is_empty() {
        out.push_str(&wrap(&format!(
            "Late in a single sample on the new side alone, which decides nothing: {}.",
            late.join(", ")
        )));
    }
    if base.max(new) == 1 {
        out.push_str(&wrap(ONE_A_SIDE));
    }
    if found.emulated {
        out.push_str(&wrap(EMULATED));
    }
    out
}

/// How many there are of each: `1 slower, 24 same`.
fn tally(changes: &[Change]) -> String {
    let kinds = [
        Change::Worse,
        Change::Slower,
        Change::Same,
        Change::Faster,
        Change::Better,
        Change::Undecided,
    ];
    let counted = kinds.map(|kind| (changes.iter().filter(|c| **c == kind).count(), kind));
    let told = counted.iter().filter(|(n, _)| *n > 0);
    let told: Vec<_> = told
        .map(|(n, kind)| match kind {
            Change::Undecided => format!("{n} with nothing to compare"),
            _ => format!("{n} {}", kind.name()),
        })
        .collect();
    told.join(", ")
}

/// Says so only of what was compared.
fn nothing_worse(found: &Comparison) -> String {
    let compared = found.compared();
    let all = compared == found.cases.len() && found.only_base + found.not_in_all == 0;
    let nothing = match (compared, all) {
        (0, _) => return "No answer: no case could be compared.".into(),
        (_, true) => "Nothing got worse",
        (_, false) => "Of what could be compared nothing got worse",
    };
    let text = format!("{nothing} beyond {} times.", found.threshold);
    match found.lacking {
        true => format!("No answer, as not all results were read. {text}"),
        false => text,
    }
}

/// Breaks a sentence into lines of at most 80 columns.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let gap = if column == 0 || column + 1 + word.len() > 80 {
            '\n'
        } else {
            ' '
        };
        if column > 0 {
            out.push(gap);
        }
        column = if gap == ' ' { column + 1 } else { 0 } + word.len();
        out.push_str(word);
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::run::Run;

    use crate::{
        compare::judge::compare,
        synthetic::{self, Shape},
    };

    fn pair(cases: usize) -> (Run, Run) {
        let shape = |late, seed| Shape {
            cases,
            late,
            seed,
            ..Shape::default()
        };
        (
            synthetic::run(&shape(1.0, 1)),
            synthetic::run(&shape(3.0, 2)),
        )
    }

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let (base, new) = pair(300);
        for relative in [false, true] {
            let found = compare(
                std::slice::from_ref(&base),
                std::slice::from_ref(&new),
                1.25,
                relative,
            )
            .unwrap();
            let text = table(&found, true) + &summary(&found);
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
            assert!(text.lines().count() > 300);
        }
    }

    #[test]
    fn what_got_worse_is_named() {
        let (base, new) = pair(432);
        let found = compare(
            std::slice::from_ref(&base),
            std::slice::from_ref(&new),
            1.25,
            false,
        )
        .unwrap();
        let text = summary(&found);
        assert!(
            text.contains("Got worse: ") && text.contains("ic-ivau"),
            "{text}"
        );
        assert!(table(&found, false).contains("  spin, dirty-here "));
    }

    /// That nothing got worse is said of what was compared, and where nothing was lost.
    #[test]
    fn nothing_got_worse_is_said_of_what_was_compared() {
        use stalecore_model::exit::ExitCode::{Expected, Harness, Inconclusive, Slowed};
        let (base, new) = pair(3);
        let found = |changes: [Change; 3], only_base, lacking| {
            let runs = [[base.clone()], [new.clone()]];
            let mut found = compare(&runs[0], &runs[1], 1.25, false).unwrap();
            for (case, change) in found.cases.iter_mut().zip(changes) {
                case.change = change;
            }
            Comparison {
                only_base,
                lacking,
                ..found
            }
        };
        use Change::{Same, Undecided, Worse};
        for (found, code, says) in [
            (
                found([Same; 3], 0, false),
                Expected,
                "Nothing got worse beyond 1.25 times.",
            ),
            (
                found([Same, Same, Undecided], 0, false),
                Expected,
                "Of what could be compared nothing got worse beyond 1.25 times.",
            ),
            (
                found([Same; 3], 1, false),
                Expected,
                "Of what could be compared nothing got worse beyond 1.25 times.",
            ),
            (
                found([Undecided; 3], 0, false),
                Inconclusive,
                "No answer: no case could be compared.",
            ),
            (
                found([Same; 3], 0, true),
                Harness,
                "No answer, as not all results were read. Nothing got worse beyond 1.25 times.",
            ),
            (found([Worse, Same, Same], 0, true), Slowed, "Got worse: "),
        ] {
            assert_eq!(found.code(), code, "{says}");
            let summary = summary(&found);
            let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(summary.contains(says), "{says}: {summary}");
        }
    }

    /// What is no change of a case, and has to be read beside them.
    #[test]
    fn what_not_every_run_has_and_what_is_late_once_is_told() {
        let (base, new) = pair(30);
        let mut lacks = new.clone();
        lacks.cases.pop();
        let mut late = new.clone();
        late.cases[2].late = Some(stalecore_model::record::Late {
            cpu: 0,
            round: 1,
            complete: true,
            nth: 1,
            operand: stalecore_model::hex::Hex(0),
            ticks: 1 << 30,
            control: 1,
            at_ms: 1,
            ago_ms: 1,
            starved: None,
        });
        let of = |base: &[Run], new: &[Run]| {
            let found = compare(base, new, 1.25, false).unwrap();
            let summary = summary(&found);
            (
                summary.split_whitespace().collect::<Vec<_>>().join(" "),
                found,
            )
        };
        let (text, found) = of(&[base.clone(), base.clone()], &[lacks, late.clone()]);
        assert!(
            text.contains("On both sides, and not in every run: 1."),
            "{text}"
        );
        let case = &late.cases[2];
        let names = format!("{} under {}.", case.op, case.state);
        let says = "Late in a single sample on the new side alone, which decides nothing: ";
        assert!(text.contains(&format!("{says}{names}")), "{text}");
        assert!(table(&found, true).contains(" cases together "), "{text}");
        // On both sides it is nothing new.
        let (text, _) = of(&[late.clone(), base.clone()], &[late, base]);
        assert!(!text.contains("Late in a single sample"), "{text}");
    }

    #[test]
    fn a_ratio_has_three_digits_or_an_exponent() {
        let ratios = [0.5, 9.994, 9.996, 99.96, 9999.0, 123_456.0].map(ratio);
        assert_eq!(ratios, ["0.50", "9.99", "10.0", "100", "9999", "1e5"]);
    }

    #[test]
    fn the_same_run_gives_no_rows() {
        let (base, _) = pair(60);
        let found = compare(
            std::slice::from_ref(&base),
            std::slice::from_ref(&base),
            1.25,
            false,
        )
        .unwrap();
        assert_eq!(table(&found, false), "");
        assert!(summary(&found).contains("Nothing got worse"));
    }
}
