//! The heat map: operation × stale state, coloured by the slow-down against
//! the case's own baseline, verdicts marked. Each cell leads to its case.

use std::{collections::BTreeSet, fmt::Write};

use maud::{Markup, PreEscaped, html};
use stalecore_model::{
    glossary::{LineState, Subject, Verdict},
    options::Milli,
    record::CaseRecord,
    rounds::Found,
    run::Run,
    shell,
};

use super::{
    text::{Said, mark, ratio, short_ratio},
    view::{Family, View, interval, label, slowdown},
};

/// The steps of the colour scale: from this slow-down on, in thousandths.
/// Below the first is faster than the baseline.
const STEPS: [(Milli, &str); 6] = [
    (800, "0.8–1.25"),
    (1250, "1.25–2"),
    (2000, "2–4"),
    (4000, "4–10"),
    (10_000, "10–100"),
    (100_000, "100 and more"),
];

/// The step of a slow-down: 0 is faster than the baseline, 6 the slowest.
fn step(milli: Milli) -> usize {
    STEPS.iter().filter(|(from, _)| milli >= *from).count()
}

/// The section with one heat map for each run.
pub fn section(view: &View<'_>) -> Markup {
    let nothing = if view.cases.is_empty() {
        Some("No case ended in this run, so there is nothing to compare.")
    } else if !view.runs.iter().any(says_something) {
        Some("Nothing was timed, so there is nothing to compare; what was done is below.")
    } else {
        None
    };
    if let Some(nothing) = nothing {
        return html! {
            section id="heat" {
                h2 { "Cases" }
                p { (nothing) }
                @for entry in view.cases.values() { a href={ "#case-" (entry.id) } { "case " (entry.id) } " " }
            }
        };
    }
    let lines = view.lines();
    html! {
        section id="heat" {
            h2 { "Slow-down by operation and stale state" }
            p {
                "A cell is one case. Its number says how many times later the operation was than in its own "
                "baseline, the same case with every other core parked: the median over rounds of both in turn, "
                "or what it took after nobody had done anything, if that was later."
                @if let (1, Some(line)) = (lines.len(), lines.first()) {
                    " All lines are " code { (line.name()) } " (" (line.about()) ")."
                }
                span.screen { " Choose a cell to see the case." }
            }
            (legend())
            div.maps {
                @for (nth, run) in view.runs.iter().enumerate().filter(|(_, run)| says_something(run)) {
                    figure.map {
                        @if view.runs.len() > 1 {
                            figcaption { b.run { (label(nth)) } " " code { (Said(&shell::quoted(&run.command))) } }
                        }
                        (PreEscaped(map(view, nth)))
                    }
                }
            }
        }
    }
}

/// Would the map of this run show anything: a number, or a verdict's mark?
fn says_something(run: &Run) -> bool {
    let timed = |case: &CaseRecord| slowdown(run, case).is_some();
    run.cases
        .iter()
        .any(|case| case.verdict != Verdict::Completed || timed(case))
}

fn legend() -> Markup {
    html! {
        div.legend {
            span { i.h0 {} "faster" }
            @for (nth, (_, words)) in STEPS.iter().enumerate() {
                span { i class={ "h" (nth + 1) } {} (words) }
            }
            span { i.noisy { "?" } "too noisy to say" }
            span { i.h0 { "<" } "earlier, not confirmed" }
            span.gap {}
            @for verdict in Verdict::ALL.iter().rev().filter(|v| **v != Verdict::Completed) {
                span title=(verdict.about()) { i class={ "v" (*verdict as u8) } { (mark(*verdict)) } (verdict.name()) }
            }
        }
    }
}

/// Columns whose cells are wide enough for a number on a phone.
const FEW: usize = 8;

/// One heat map. Only words of the glossary and numbers are written.
fn map(view: &View<'_>, nth: usize) -> String {
    let states = view.states();
    let lines: BTreeSet<_> = view.cases.keys().map(|k| (k.op, k.line)).collect();
    let several_lines = |op| lines.iter().filter(|(o, _)| *o == op).count() > 1;
    let mut out = String::new();
    // A narrow page has room for numbers in so many columns.
    let few = if states.len() <= FEW { " few" } else { "" };
    let _ = write!(
        out,
        "<table class=\"heat{few}\" style=\"--n:{}\"><thead><tr><td class=corner>",
        states.len()
    );
    for state in &states {
        let _ = write!(
            out,
            "<th scope=col title=\"{}\"><span>{state}</span>",
            state.about()
        );
    }
    out.push_str("</thead><tbody>");
    let mut row: Option<(Family, Subject, LineState)> = None;
    let mut column = states.iter();
    for (key, entry) in &view.cases {
        let this = (key.family, key.op, key.line);
        if row != Some(this) {
            let family = row.map(|r| r.0);
            if family != Some(key.family) {
                let _ = write!(
                    out,
                    "<tr class=fam><th colspan={}>{}",
                    states.len() + 1,
                    key.family.name()
                );
            }
            let first = row.map(|r| r.1) != Some(key.op);
            let _ = write!(
                out,
                "<tr{}><th scope=row",
                if first { " class=op" } else { "" }
            );
            let _ = write!(out, " title=\"{}\">{}", key.op.about(), key.op);
            if several_lines(key.op) {
                let _ = write!(out, " <small>{}</small>", key.line);
            }
            column = states.iter();
            row = Some(this);
        }
        // Cells for the states that this row has no case of.
        for state in column.by_ref() {
            if *state == key.state {
                break;
            }
            out.push_str("<td>");
        }
        cell(&mut out, &view.runs[nth], entry.id, entry.found[nth]);
    }
    out.push_str("</table>");
    out
}

fn cell(out: &mut String, run: &Run, id: u32, case: Option<&CaseRecord>) {
    let Some(case) = case else {
        out.push_str("<td>");
        return;
    };
    let verdict = case.verdict;
    let slowdown =
        slowdown(run, case).filter(|_| matches!(verdict, Verdict::Completed | Verdict::Slowed));
    // What the rounds do not even rule out has no colour of a slow-down.
    let found = run.found(case).filter(|_| verdict == Verdict::Completed);
    let noisy = found == Some(Found::Noisy);
    let _ = write!(out, "<td><a href=#case-{id} class=\"");
    match slowdown {
        Some(_) if noisy => out.push_str("noisy "),
        Some(milli) => {
            let _ = write!(out, "h{} ", step(milli));
        }
        None => {}
    }
    let _ = write!(out, "v{}\"", verdict as u8);
    if let Some((low, high)) = slowdown.and_then(|_| interval(run, case)) {
        let _ = write!(out, " title=\"{} to {}", ratio(low), ratio(high));
        out.push_str(if noisy { ": too noisy to say\"" } else { "\"" });
    }
    out.push('>');
    out.push_str(match (verdict, found) {
        (Verdict::Completed, Some(Found::Noisy)) => "?",
        (Verdict::Completed, Some(Found::Earlier)) => "&lt;",
        (Verdict::Completed, _) => "",
        _ => mark(verdict),
    });
    if let Some(milli) = slowdown {
        let _ = write!(out, "<b>{}</b>", short_ratio(milli));
    }
    out.push_str("</a>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    #[test]
    fn the_scale_has_seven_steps() {
        let steps: Vec<_> = [500, 1000, 1250, 2000, 5000, 50_000, 1_000_000]
            .map(step)
            .into();
        assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_case_has_its_cell_in_its_column() {
        // The maintenance of a default plan under each of its states.
        let states = stalecore_model::glossary::StaleState::default_set().count();
        let maintenance = Subject::default_set().filter(|s| !s.is_no_maintenance());
        let cases = states * maintenance.count();
        let drawn = |cases| {
            let run = synthetic::run(&Shape {
                cases,
                ..Shape::default()
            });
            map(&View::new(&[run]), 0)
        };
        let map = drawn(cases);
        assert_eq!(map.matches("<a href=#case-").count(), cases);
        for row in map.split("<tr").filter(|r| r.contains("scope=row")) {
            assert_eq!(row.matches("<td>").count(), states, "{row}");
        }
        let map = drawn(3000);
        for verdict in [Verdict::Blocked, Verdict::Slowed, Verdict::Inconclusive] {
            assert!(map.contains(&format!(">{}<", mark(verdict))), "{verdict}");
        }
    }

    #[test]
    fn a_phone_has_room_for_numbers_in_a_few_columns() {
        let drawn = |keep: fn(&CaseRecord) -> bool| {
            let mut run = synthetic::run(&Shape::default());
            run.cases.retain(keep);
            map(&View::new(&[run]), 0)
        };
        use stalecore_model::glossary::StaleState::{Spin, Wfe};
        let few = drawn(|case| [Spin, Wfe].contains(&case.state));
        assert!(few.starts_with("<table class=\"heat few\" style=\"--n:2\">"));
        let all = drawn(|_| true);
        assert!(all.starts_with("<table class=\"heat\" style=\"--n:2"));
        assert!(!all.contains("--n:2\""));
    }

    /// A cell that says nothing looks like one: its ratio has no colour, and a mark.
    #[test]
    fn what_is_too_noisy_to_say_has_no_colour_of_a_slow_down() {
        use stalecore_model::rounds::{Class, Rounds};
        let mut run = synthetic::run(&Shape {
            cases: 1,
            ..Shape::default()
        });
        let drawn = |run: &mut Run, verdict, late: &[u64]| {
            let mut rounds = Rounds::new(Class::Complete);
            for late in late {
                rounds.push(Some(1000), *late, (1, 1));
            }
            run.cases[0].rounds = Some(rounds);
            run.cases[0].verdict = verdict;
            let mut cell_of = String::new();
            cell(&mut cell_of, run, 1, run.cases.first());
            cell_of
        };
        let noisy = drawn(
            &mut run,
            Verdict::Completed,
            &[1000, 9000, 3000, 8000, 5000],
        );
        assert!(noisy.contains("class=\"noisy v0\" title=\"1×"), "{noisy}");
        assert!(noisy.contains(": too noisy to say\">?<b>5"), "{noisy}");
        let slowed = drawn(&mut run, Verdict::Slowed, &[5000; 23]);
        assert!(slowed.contains("class=\"h4 v3\" title=\"4.96×"), "{slowed}");
        assert!(!slowed.contains("noisy"), "{slowed}");
        let earlier = drawn(&mut run, Verdict::Completed, &[200; 5]);
        assert!(
            earlier.contains("class=\"h0 v0\"") && earlier.contains(">&lt;<b>"),
            "{earlier}"
        );
        let same = drawn(&mut run, Verdict::Completed, &[1000; 5]);
        assert!(same.contains("\"><b>1"), "{same}");
    }

    #[test]
    fn a_map_on_which_nothing_would_stand_is_not_drawn() {
        let mut run = synthetic::run(&Shape {
            cases: 2,
            ..Shape::default()
        });
        for case in &mut run.cases {
            *case = CaseRecord {
                verdict: Verdict::Completed,
                complete: Default::default(),
                issue: Default::default(),
                ..case.clone()
            };
        }
        let timed = synthetic::run(&Shape::default());
        let text = section(&View::new(&[run.clone()])).into_string();
        assert!(!text.contains("<table"), "{text}");
        assert!(text.contains("Nothing was timed") && text.contains("#case-1"));
        let text = section(&View::new(&[run, timed])).into_string();
        assert_eq!(text.matches("<table").count(), 1);
    }

    #[test]
    fn a_run_without_cases_says_so() {
        let runs = [stalecore_model::run::Run::default()];
        let text = section(&View::new(&runs)).into_string();
        assert!(text.contains("No case ended"));
    }
}
