//! The depth sweep: operations back to back without a DSB, then the DSB. Where
//! the cost of one more operation jumps, posting has stopped.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use stalecore_model::{
    glossary::{StaleState, Subject},
    record::Depth,
    run::Run,
};

use super::{
    lines::{self, Chart, Line, Place},
    text::Clock,
    view::{View, label},
};

/// The most depths of one sweep that are drawn; the image measures ten.
const DEPTHS: usize = 16;

/// How many operations are posted before one more has to wait: the last depth
/// up to which a further operation costs no more than three times the first
/// ones. None if the sweep ends before that, or says nothing.
pub fn posted(sweep: &[Depth]) -> Option<u32> {
    let first = sweep.first().filter(|d| d.depth > 0)?;
    let unit = first.issue as f64 / f64::from(first.depth);
    sweep.windows(2).find_map(|pair| {
        let [before, after] = pair else { return None };
        let more = after.depth.checked_sub(before.depth).filter(|m| *m > 0)?;
        let cost = after.issue.saturating_sub(before.issue) as f64 / f64::from(more);
        // One tick of the counter proves nothing.
        (cost > 3.0 * unit + 1.0).then_some(before.depth)
    })
}

fn posting_words(sweep: &[Depth]) -> String {
    match (posted(sweep), sweep.last()) {
        (Some(1), _) => "waits from the second operation on".into(),
        (Some(n), _) => format!("posts {n}, then waits"),
        (None, Some(last)) => format!("posts all {}", last.depth),
        (None, None) => String::new(),
    }
}

/// The sweep of one case as a small chart beside its histograms.
pub fn of_case(out: &mut String, sweep: &[Depth], clock: Clock) {
    if sweep.is_empty() {
        return;
    }
    let sweep = &sweep[..sweep.len().min(DEPTHS)];
    let points = |of: fn(&Depth) -> u64| {
        sweep
            .iter()
            .map(|d| Some(of(d) as f64 * clock.ns))
            .collect()
    };
    let chart = Chart {
        title: posting_words(sweep),
        lines: vec![
            Line {
                place: Place::Control,
                name: "DSB".into(),
                points: points(|d| d.barrier),
            },
            Line {
                place: Place::Worst,
                name: "issue".into(),
                points: points(|d| d.issue),
            },
        ],
    };
    let ticks: Vec<_> = sweep.iter().map(|d| d.depth.to_string()).collect();
    let range = chart.range();
    chart.draw(out, &ticks, range);
}

/// The section with a chart for each operation, one run after the other.
pub fn section(view: &View<'_>) -> Markup {
    let swept = |run: &Run| run.cases.iter().any(|c| !c.sweep.is_empty());
    if !view.runs.iter().any(swept) {
        return html! {};
    }
    html! {
        section id="sweep" {
            h2 { "Depth sweep" }
            p {
                "Time to issue one operation, when up to " (deepest(view)) " run back to back without a DSB. While "
                "they are posted the line is flat; where it rises, one more has to wait for an answer."
            }
            p.keys {
                span.key.b { "parked (the control)" }
                span.key.s { "the state that waits longest" }
                span.key.o { "all others" }
            }
            @for (nth, run) in view.runs.iter().enumerate().filter(|(_, r)| swept(r)) {
                @if view.runs.len() > 1 { h3 { b.run { (label(nth)) } } }
                (PreEscaped(charts(run, view.clocks[nth])))
            }
        }
    }
}

/// The most operations that any sweep here had back to back.
fn deepest(view: &View<'_>) -> u32 {
    let cases = view.runs.iter().flat_map(|run| &run.cases);
    let depths = cases.flat_map(|case| case.sweep.iter().take(DEPTHS));
    depths.map(|depth| depth.depth).max().unwrap_or(0)
}

fn charts(run: &Run, clock: Clock) -> String {
    let mut by_op: BTreeMap<Subject, Vec<(StaleState, &[Depth])>> = BTreeMap::new();
    for case in run.cases.iter().filter(|c| !c.sweep.is_empty()) {
        let sweep = &case.sweep[..case.sweep.len().min(DEPTHS)];
        by_op.entry(case.op).or_default().push((case.state, sweep));
    }
    // One axis for all: the sweep that has the most depths names them.
    let depths: Vec<u32> = by_op
        .values()
        .flatten()
        .map(|(_, s)| s.iter().map(|d| d.depth).collect::<Vec<_>>())
        .max_by_key(Vec::len)
        .unwrap_or_default();
    let charts: Vec<_> = by_op
        .iter()
        .map(|(op, sweeps)| {
            let worst = sweeps
                .iter()
                .max_by_key(|(_, s)| s.last().map(|d| d.issue))
                .map_or(StaleState::Parked, |(state, _)| *state);
            let words = sweeps
                .iter()
                .find(|(state, _)| *state == worst)
                .map(|(_, s)| posting_words(s))
                .unwrap_or_default();
            let lines = sweeps.iter().map(|(state, sweep)| Line {
                place: Place::of(*state, worst),
                name: state.name().into(),
                points: depths
                    .iter()
                    .map(|depth| {
                        let at = sweep.iter().find(|d| d.depth == *depth && *depth > 0)?;
                        Some(at.issue as f64 / f64::from(at.depth) * clock.ns)
                    })
                    .collect(),
            });
            Chart {
                title: format!("{op}: {words}"),
                lines: lines.collect(),
            }
        })
        .collect();
    let ticks: Vec<_> = depths.iter().map(u32::to_string).collect();
    lines::draw_all(&charts, &ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(issues: &[u64]) -> Vec<Depth> {
        let depths = issues.iter().enumerate();
        depths
            .map(|(p, issue)| Depth {
                depth: 1 << p,
                issue: *issue,
                barrier: 100,
            })
            .collect()
    }

    #[test]
    fn posting_stops_where_the_cost_jumps() {
        assert_eq!(posted(&sweep(&[10, 20, 40, 480, 1440])), Some(4));
        assert_eq!(posted(&sweep(&[10, 20, 40, 80])), None);
        assert_eq!(posted(&sweep(&[0, 100])), Some(1));
        assert_eq!(posted(&[]), None);
    }

    #[test]
    fn a_counter_too_coarse_to_tell_tells_nothing() {
        assert_eq!(posted(&sweep(&[0, 1, 3, 6, 12])), None);
    }

    #[test]
    fn depths_that_make_no_sense_are_passed_over() {
        let same = [Depth {
            depth: 0,
            issue: u64::MAX,
            barrier: 0,
        }; 3];
        assert_eq!(posted(&same), None);
        let mut out = String::new();
        of_case(&mut out, &same, Clock::of_tick(1.0));
        assert!(!out.contains("NaN") && !out.contains("inf"), "{out}");
    }
}
