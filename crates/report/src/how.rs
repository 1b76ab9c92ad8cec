//! How it was run: the exact commands, versions, the plan, and what came over
//! the console.

use maud::{Markup, html};
use stalecore_model::{
    run::{BAUD, Run},
    shell, words,
};

use super::{
    answer::exit_meaning,
    text::{Said, bytes, counted, grouped, ratio, time},
    view::{View, label},
};

/// The most notes that are shown.
const NOTES: usize = 200;

/// The section, for each run.
pub fn section(view: &View<'_>) -> Markup {
    html! {
        section id="how" {
            h2 { "How it was run" }
            @for (nth, run) in view.runs.iter().enumerate() {
                @if view.runs.len() > 1 { h3 { b.run { (label(nth)) } } }
                (commands(run))
                (facts(run))
                (notes(run))
                (icount(run))
            }
        }
    }
}

fn commands(run: &Run) -> Markup {
    html! {
        @for (what, words) in [("Command", &run.command), ("Machine", &run.machine_command)] {
            @if !words.is_empty() {
                p.what { (what) }
                pre { code { (Said(&shell::quoted(words))) } }
            }
        }
    }
}

fn facts(run: &Run) -> Markup {
    html! {
        dl.facts {
            dt { "Versions" }
            dd {
                "stalecore " (Said(&run.version))
                @if let Some(machine) = &run.machine {
                    ", image " (Said(&machine.version))
                }
                ", records of schema " (run.schema)
            }
            dt { "Host" } dd {
                (Said(&run.host))
                @if let Some(threads) = run.tcg_thread { " · " (threads.words()) }
            }
            dt { "Ended" }
            dd {
                "exit code " (run.exit)
                @if let Some(meaning) = exit_meaning(run.exit) { ": " (meaning) }
                " · after " (time(run.elapsed_ms as f64 * 1e6))
                @if run.end.is_none() { " · without a closing record" }
            }
            @if let Some(plan) = &run.plan {
                dt { "Plan" }
                dd {
                    (counted(plan.cases.into(), "case", "cases")) " of "
                    (counted(plan.samples.into(), "sample", "samples"))
                    " · " (words::with(plan.initiators.len(), "initiator ", "initiators ")) (words::cpus(&plan.initiators))
                    @if plan.stale.is_empty() { " · no stale core" } @else { " · stale " (words::cpus(&plan.stale)) }
                    " · deadline " (time(f64::from(plan.deadline_ms) * 1e6))
                    " · slowed beyond " (ratio(plan.threshold))
                    @if plan.strict { ", which counts against the exit code" }
                }
            }
            dt { "Console" }
            dd {
                (bytes(run.console_bytes)) ": "
                (time(run.serial_seconds() * 1e9))
                " on a serial line of " (grouped(u64::from(BAUD))) " baud"
                @if run.garbled > 0 { " · " (counted(run.garbled, "line looked like a record", "lines looked like records")) " and could not be read" }
                @if let Some(line) = &run.serial {
                    @if line.cuts > 0 { " · the line was lost " (counted(line.cuts, "time", "times")) }
                }
                @if run.restarts > 0 { " · the board began again " (counted(run.restarts.into(), "time", "times")) }
            }
        }
    }
}

fn notes(run: &Run) -> Markup {
    html! {
        @if !run.notes.is_empty() {
            p.what { "Notes" }
            ul {
                @for note in run.notes.iter().take(NOTES) { li { (Said(note)) } }
                @if run.notes.len() > NOTES { li { (run.notes.len() - NOTES) " more" } }
            }
        }
    }
}

/// What the timed block costs where instructions were counted.
fn icount(run: &Run) -> Markup {
    html! {
        @if let Some(icount) = &run.icount {
            p.what { "Cost of the timed block, in instructions" }
            p {
                "The empty block: " (icount.empty) " counted, " (icount.written) " written. With an operation in it: "
                @for (i, (op, more)) in icount.more.iter().take(64).enumerate() {
                    @if i > 0 { ", " }
                    code { (op) } " " (format!("{more:+}"))
                }
                "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    #[test]
    fn a_reader_can_run_it_again() {
        let runs = [synthetic::run(&Shape::default())];
        let text = section(&View::new(&runs))
            .into_string()
            .replace('\u{a0}', " ");
        for part in [
            "stalecore run --stale-cpus 1-6 --out &#39;my run&#39;",
            "qemu-system-aarch64 -machine virt,gic-version=3",
            "92.1 KiB: 8.19 s on a serial line of 115,200 baud",
            "initiator CPU 0 · stale CPUs 1-6",
            "<code>ic-ivau</code> +1",
        ] {
            let quotes = part.replace("&#39;", "'");
            assert!(
                text.contains(part) || text.contains(&quotes),
                "{part}: {text}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let run = Run {
            garbled: 3,
            ..Run::default()
        };
        let text = facts(&run).into_string();
        assert!(text.contains("without a closing record"));
        assert!(text.contains("3 lines looked like records"));
    }
}
