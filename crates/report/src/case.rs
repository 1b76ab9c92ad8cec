//! One case: verdict, histograms, percentiles, depth sweep, dwells, initiators. There
//! are thousands of them, so they are written by hand and tersely; all but one
//! are hidden on the screen, and a link shows each without a script.

use std::fmt::Write;

use maud::Render;
use stalecore_model::{
    alone::alone,
    glossary::Verdict,
    histogram::Histogram,
    record::{CaseRecord, Dwell, InitiatorRecord},
    rounds::Found,
    run::{AWAKE, Run},
};

use super::{
    axis::{Axes, empty_block},
    plot::{Pair, Source, histograms},
    sweep,
    text::{Clock, Said, counted, grouped, mark, ratio, time},
    view::{Entry, Key, View, interval, label, slowdown},
};

/// The most strokes that all strips of initiators may have together: they are
/// left out of a report that would have more.
const STROKES: usize = 40_000;

/// Writes every case as an article, in the heat map's order.
pub fn all(view: &View<'_>, axes: &mut Axes) -> String {
    let mut out = String::new();
    let strokes: usize = view
        .runs
        .iter()
        .flat_map(|r| &r.cases)
        .map(|c| c.initiators.len())
        .sum();
    let ids: Vec<_> = view.cases.values().map(|e| e.id).collect();
    for (nth, (key, entry)) in view.cases.iter().enumerate() {
        let before = nth.checked_sub(1).map(|i| ids[i]);
        article(
            &mut out,
            view,
            key,
            entry,
            axes,
            strokes <= STROKES,
            (before, ids.get(nth + 1).copied()),
        );
    }
    out
}

fn article(
    out: &mut String,
    view: &View<'_>,
    key: &Key,
    entry: &Entry<'_>,
    axes: &mut Axes,
    strips: bool,
    (before, after): (Option<u32>, Option<u32>),
) {
    let cases = || entry.found.iter().flatten();
    let worth = cases().any(|c| {
        c.was_late().is_some() || !matches!(c.verdict, Verdict::Completed | Verdict::Skipped)
    });
    let _ = write!(
        out,
        "<article id=case-{}{}><h3>{} <small>{}, {}</small></h3><nav>",
        entry.id,
        if worth { " class=worth" } else { "" },
        key.op,
        key.state,
        key.line
    );
    for (id, arrow) in [(before, "‹"), (after, "›")] {
        if let Some(id) = id {
            let _ = write!(out, "<a href=#case-{id}>{arrow}</a>");
        }
    }
    out.push_str("<a href=#closed>×</a></nav>");
    for (nth, found) in entry.found.iter().enumerate() {
        let Some(case) = found else {
            continue;
        };
        out.push_str("<div class=one><div>");
        if view.runs.len() > 1 {
            let _ = write!(out, "<b class=run>{}</b> ", label(nth));
        }
        finding(out, view, nth, case);
        out.push_str("<pre class=alone><code>");
        Said(&alone(&view.runs[nth], case)).render_to(out);
        out.push_str("</code></pre>");
        percentiles(out, case, view.clocks[nth]);
        if strips {
            initiators(out, &case.initiators, view.clocks[nth]);
        }
        out.push_str("</div>");
        let pairs = [
            pair(
                "complete, with its DSB",
                &case.complete,
                &case.base_complete,
            ),
            pair("issue, without a DSB", &case.issue, &case.base_issue),
        ];
        let pairs: Vec<_> = pairs.into_iter().flatten().collect();
        let source = Source {
            run: nth,
            clock: view.clocks[nth],
            empty: empty_block(&view.runs[nth]),
        };
        histograms(out, &pairs, source, axes);
        sweep::of_case(out, &case.sweep, view.clocks[nth]);
        dwells(out, &case.dwell, view.clocks[nth]);
        out.push_str("</div>");
    }
    out.push_str("</article>");
}

fn pair<'a>(class: &'static str, stale: &'a Histogram, base: &'a Histogram) -> Option<Pair<'a>> {
    (stale.count() + base.count() > 0).then_some(Pair { class, stale, base })
}

/// The verdict, what it rests on, and where to read more.
fn finding(out: &mut String, view: &View<'_>, nth: usize, case: &CaseRecord) {
    let _ = write!(
        out,
        "<b class=verdict><i class=v{}>{}</i> {}</b>",
        case.verdict as u8,
        mark(case.verdict),
        case.verdict
    );
    if let Some(milli) = slowdown(&view.runs[nth], case) {
        let _ = write!(out, " {} its baseline", ratio(milli));
        rounds(out, &view.runs[nth], case);
    }
    if case.batch != 1 {
        let _ = write!(
            out,
            "; a sample is {}",
            counted(case.batch.into(), "operation", "operations")
        );
    }
    if let Some(why) = &case.why {
        out.push_str(": ");
        Said(why).render_to(out);
    }
    if let Some(late) = case.was_late() {
        let _ = write!(
            out,
            "; late: one sample took {}, the longest of its controls {} (",
            view.clocks[nth].show(late.ticks),
            view.clocks[nth].show(late.control)
        );
        Said(&late.place()).render_to(out);
        out.push(')');
    }
    let run = &view.runs[nth];
    if let Some(at) = run.blocks.iter().position(|b| b.n == case.n) {
        let _ = write!(out, " <a href=#b{nth}-{at}>block report</a>");
    }
    if run.faults.iter().any(|f| f.n == case.n) {
        let _ = write!(out, " <a href=#faults>fault</a>");
    }
}

/// The interval over the rounds, and what it is not enough for.
fn rounds(out: &mut String, run: &Run, case: &CaseRecord) {
    let (Some(rounds), Some((low, high))) = (&case.rounds, interval(run, case)) else {
        return;
    };
    let _ = write!(
        out,
        " ({} to {} over {})",
        ratio(low),
        ratio(high),
        counted(rounds.case.len() as u64, "round", "rounds")
    );
    out.push_str(match run.found(case) {
        Some(Found::Noisy) if case.verdict == Verdict::Completed => ", too noisy to say",
        Some(Found::Earlier) => ", earlier (not confirmed)",
        _ => "",
    });
    if let Some((middle, (low, high))) = run.against_awake(case) {
        let _ = write!(
            out,
            "; against cores that are only awake ({AWAKE}) {} ({} to {})",
            ratio(middle),
            ratio(low),
            ratio(high)
        );
    }
}

/// The table of percentiles; its rows' swatches are the plots' legend.
fn percentiles(out: &mut String, case: &CaseRecord, clock: Clock) {
    let rows = [
        ("s", "complete", &case.complete),
        ("b", "baseline", &case.base_complete),
        ("s", "issue", &case.issue),
        ("b", "baseline", &case.base_issue),
    ];
    if rows.iter().all(|(.., h)| h.count() == 0) {
        return;
    }
    out.push_str(
        "<table class=pc><tr title=\"p90, p99: approximate for few samples\"><td><th>p50<th>p90<th>p99\
         <th>max<th>samples",
    );
    for (class, name, h) in rows.iter().filter(|(.., h)| h.count() > 0) {
        let _ = write!(out, "<tr class={class}><th>{name}");
        for per_mille in [500, 900, 990, 1000] {
            let ticks = h.quantile(per_mille).unwrap_or_default();
            let _ = write!(out, "<td>{}", clock.show(ticks));
        }
        let _ = write!(out, "<td>{}", grouped(h.count()));
    }
    out.push_str("</table>");
}

/// What one operation took after nobody had done anything for a while.
fn dwells(out: &mut String, dwells: &[Dwell], clock: Clock) {
    if dwells.is_empty() {
        return;
    }
    out.push_str(
        "<table class=pc><tr><th>one operation after<th>p50<th>max<th>samples\
         <th>baseline p50<th>max",
    );
    for dwell in dwells {
        let _ = write!(
            out,
            "<tr class=s><th>{} idle",
            time(f64::from(dwell.ms) * 1e6)
        );
        for (nth, h) in [&dwell.samples, &dwell.baseline].into_iter().enumerate() {
            for per_mille in [500, 1000] {
                let figure = h.quantile(per_mille).map(|ticks| clock.show(ticks));
                let _ = write!(out, "<td>{}", figure.unwrap_or_else(|| "–".into()));
            }
            if nth == 0 {
                let _ = write!(out, "<td>{}", grouped(h.count()));
            }
        }
    }
    out.push_str("</table>");
}

/// A strip of strokes, one for each initiator from its median to its 99th
/// percentile, on a logarithmic axis.
fn initiators(out: &mut String, list: &[InitiatorRecord], clock: Clock) {
    let (Some(fast), Some(slow)) = (
        list.iter().min_by_key(|i| i.p50),
        list.iter().max_by_key(|i| i.p50),
    ) else {
        return;
    };
    if let [only] = list {
        let _ = write!(
            out,
            "<p class=ini>1 initiator: median {} (CPU {})</p>",
            clock.show(only.p50),
            only.cpu
        );
    } else {
        let _ = write!(
            out,
            "<p class=ini>{}: medians from {} (CPU {}) to {} (CPU {})</p>",
            counted(list.len() as u64, "initiator", "initiators"),
            clock.show(fast.p50),
            fast.cpu,
            clock.show(slow.p50),
            slow.cpu
        );
    }
    let log = |ticks: u64| (ticks.max(1) as f64).log2();
    let top = list.iter().map(|i| log(i.p99)).fold(0.0, f64::max);
    let bottom = log(fast.p50);
    let y = |ticks| 56 - (52.0 * (log(ticks) - bottom) / (top - bottom).max(0.1)) as i32;
    let _ = write!(
        out,
        "<svg class=strip viewBox=\"0 0 {} 60\" aria-hidden=true><path class=s d=\"",
        list.len() * 6 + 4
    );
    for (nth, i) in list.iter().enumerate() {
        let (low, high) = (y(i.p50), y(i.p99.max(i.p50)));
        let _ = write!(out, "M{} {}v{}", nth * 6 + 5, low + 2, high - low - 2);
    }
    out.push_str("\"/></svg>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    fn write(shape: &Shape) -> String {
        let runs = [synthetic::run(shape)];
        all(&View::new(&runs), &mut Axes::default())
    }

    #[test]
    fn every_case_is_an_article_that_its_link_finds() {
        let text = write(&Shape {
            cases: 40,
            ..Shape::default()
        });
        for id in 1..=40 {
            assert!(text.contains(&format!("<article id=case-{id}")), "{id}");
        }
        assert_eq!(text.matches("</article>").count(), 40);
    }

    #[test]
    fn a_case_of_a_million_samples_is_small() {
        let shape = Shape {
            cases: 100,
            samples: 1_000_000,
            ..Shape::default()
        };
        let each = write(&shape).len() / 100;
        assert!(each < 1700, "{each} bytes a case");
    }

    #[test]
    fn a_blocked_case_leads_to_its_block_report() {
        let text = write(&Shape {
            cases: 3,
            ..Shape::default()
        });
        assert!(text.contains("href=#b0-0"));
        assert!(text.contains("<i class=v5>■</i> blocked"));
    }

    #[test]
    fn initiators_are_strokes_while_there_is_room() {
        let few = write(&Shape {
            cases: 10,
            initiators: 4,
            stale: 3,
            ..Shape::default()
        });
        assert!(few.contains("4 initiators: medians from"));
        assert!(few.contains("class=strip"));
    }
}
