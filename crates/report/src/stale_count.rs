//! Latency against the number of stale cores, where runs with different
//! numbers of them are shown side by side.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, PreEscaped, html};
use stalecore_model::{
    glossary::{StaleState, Subject},
    record::CaseRecord,
    run::Run,
};

use super::{
    lines::{Chart, Line, Place, draw_all},
    view::{Entry, View},
};

fn stale_cores(run: &Run) -> Option<usize> {
    run.plan.as_ref().map(|plan| plan.stale.len())
}

/// The section; nothing where all runs had as many stale cores.
pub fn section(view: &View<'_>) -> Markup {
    let counts: BTreeSet<_> = view.runs.iter().filter_map(stale_cores).collect();
    if counts.len() < 2 {
        return html! {};
    }
    let counts: Vec<_> = counts.into_iter().collect();
    html! {
        section id="stale-cores" {
            h2 { "Latency against the number of stale cores" }
            p {
                "The median of each operation with its DSB (without one where it has none), from these "
                "runs, by how many cores were stale."
            }
            p.keys {
                span.key.b { "parked (the control)" }
                span.key.s { "the state that grows most" }
                span.key.o { "all others" }
            }
            (PreEscaped(charts(view, &counts)))
        }
    }
}

/// A stale state's latencies, one for each number of stale cores.
type Series = (StaleState, Vec<Option<f64>>);

fn charts(view: &View<'_>, counts: &[usize]) -> String {
    let mut by_op: BTreeMap<Subject, Vec<Series>> = BTreeMap::new();
    for (key, entry) in &view.cases {
        let points = points(view, entry, counts);
        if points.iter().flatten().count() > 1 {
            by_op.entry(key.op).or_default().push((key.state, points));
        }
    }
    let charts: Vec<_> = by_op
        .into_iter()
        .map(|(op, lines)| {
            let (worst, growth) = lines
                .iter()
                .map(|(state, points)| (*state, growth(points)))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap_or((StaleState::Parked, 1.0));
            Chart {
                title: format!("{op}: up to {}", super::text::ratio((growth * 1e3) as u32)),
                lines: lines
                    .into_iter()
                    .map(|(state, points)| Line {
                        place: Place::of(state, worst),
                        name: state.name().into(),
                        points,
                    })
                    .collect(),
            }
        })
        .collect();
    let ticks: Vec<_> = counts.iter().map(usize::to_string).collect();
    draw_all(&charts, &ticks)
}

/// The case's median in nanoseconds at each number of stale cores; of several runs
/// with the same number the first counts.
fn points(view: &View<'_>, entry: &Entry<'_>, counts: &[usize]) -> Vec<Option<f64>> {
    counts
        .iter()
        .map(|count| {
            view.runs.iter().enumerate().find_map(|(nth, run)| {
                let case = entry.found[nth].filter(|_| stale_cores(run) == Some(*count))?;
                Some(median(case)? as f64 * view.clocks[nth].ns)
            })
        })
        .collect()
}

fn median(case: &CaseRecord) -> Option<u64> {
    case.complete
        .quantile(500)
        .or_else(|| case.issue.quantile(500))
}

/// How many times later the last point is than the first.
fn growth(points: &[Option<f64>]) -> f64 {
    let mut known = points.iter().flatten();
    match (known.next(), known.next_back()) {
        (Some(first), Some(last)) if *first > 0.0 => last / first,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    fn run(stale: usize) -> Run {
        synthetic::run(&Shape {
            cases: 60,
            cpus: 32,
            stale,
            late: 1.0 + stale as f64 / 4.0,
            ..Shape::default()
        })
    }

    #[test]
    fn one_run_has_no_such_section() {
        let runs = [run(6)];
        assert_eq!(section(&View::new(&runs)).into_string(), "");
    }

    #[test]
    fn runs_are_ordered_by_their_stale_cores() {
        let runs = [run(24), run(1), run(6)];
        let text = section(&View::new(&runs)).into_string();
        let (one, six) = (
            text.find(">1</text>").unwrap(),
            text.find(">6</text>").unwrap(),
        );
        assert!(one < six && six < text.find(">24</text>").unwrap());
        assert!(text.contains("<figcaption>ic-ivau: up to"));
    }

    #[test]
    fn growth_is_from_the_fewest_to_the_most() {
        assert_eq!(growth(&[Some(100.0), None, Some(250.0)]), 2.5);
        assert_eq!(growth(&[Some(0.0), Some(1.0)]), 1.0);
        assert_eq!(growth(&[Some(3.0)]), 1.0);
    }
}
