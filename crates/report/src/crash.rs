//! The crash path of the scenario `kdump`, step by step: how far it came, and
//! when.

use maud::{Markup, html};
use stalecore_model::{kdump::KdumpRecord, run::Run};

use super::{
    text::{Said, time},
    view::{View, label},
};

/// The most steps of one run; a crash path has about twenty.
const STEPS: usize = 200;

/// The section, where a run played the crash path.
pub fn section(view: &View<'_>) -> Markup {
    html! {
        @if view.runs.iter().any(|r| !r.kdump.is_empty()) {
            section id="crash" {
                h2 { "Crash path" }
                p { "Each step is reported before it is done: the last one is where the path ended." }
                @for (nth, run) in view.runs.iter().enumerate().filter(|(_, r)| !r.kdump.is_empty()) {
                    @if view.runs.len() > 1 { h3 { b.run { (label(nth)) } } }
                    (steps(run))
                }
            }
        }
    }
}

fn steps(run: &Run) -> Markup {
    html! {
        div.wide {
            table.steps {
                thead { tr { th { "at" } th { "step" } th { "CPU" } th { "cores" } th { "detail" } } }
                tbody { @for step in run.kdump.iter().take(STEPS) { (row(step)) } }
            }
        }
    }
}

fn row(step: &KdumpRecord) -> Markup {
    html! {
        tr {
            td.num { (time(step.at_ms as f64 * 1e6)) }
            td {
                (step.step.about())
                @if let Some(text) = step.step.text() { br; code { (text) } }
            }
            td.num { (step.cpu) }
            td.num { @if let Some(cpus) = &step.cpus { (cpus) } }
            td { @if let Some(detail) = &step.detail { (Said(detail)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::kdump::Step;

    #[test]
    fn steps_stand_in_their_order_with_what_the_kernel_says() {
        let step = |step, at_ms| KdumpRecord {
            step,
            at_ms,
            cpu: 2,
            cpus: Some([0, 1].into_iter().collect()),
            detail: Some("<core 3>".into()),
        };
        let run = Run {
            kdump: vec![step(Step::Panic, 1200), step(Step::FlushIcache, 2300)],
            ..Run::default()
        };
        let text = section(&View::new(&[run])).into_string();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at("Kernel panic") < at("visible to instruction fetch"));
        assert!(text.contains("&lt;core 3&gt;") && text.contains(">0-1<"));
    }

    #[test]
    fn a_run_of_the_plan_has_no_crash_path() {
        assert_eq!(section(&View::new(&[Run::default()])).into_string(), "");
    }
}
