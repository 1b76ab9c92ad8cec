//! What the cache checker found: the harness's own faults.

use maud::{Markup, html};
use stalecore_model::hazard::{Hazard, Side};

use super::{
    text::Said,
    view::{View, label},
};

/// The most rows of one run.
const ROWS: usize = 600;

/// The section, where there is something to show.
pub fn section(view: &View<'_>) -> Markup {
    html! {
        @if view.runs.iter().any(|run| !run.hazards.is_empty()) {
            section id="hazards" {
                h2 { "Hazards" }
                p { "Where the image relies on memory that a cache may hide or overwrite: faults of the harness itself, found with a model of caches, except for what an operation does wrong on purpose." }
                div.wide {
                    table {
                        thead { tr {
                            @if view.runs.len() > 1 { th { "run" } }
                            th { "who" } th { "what is wrong" } th { "with" } th { "line" }
                        } }
                        tbody {
                            @for (nth, run) in view.runs.iter().enumerate() {
                                @for hazard in run.hazards.iter().take(ROWS) { (row(view, nth, hazard)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(view: &View<'_>, nth: usize, hazard: &Hazard) -> Markup {
    html! {
        tr {
            @if view.runs.len() > 1 { td { (label(nth)) } }
            td { (side(&hazard.by)) }
            td {
                (hazard.kind.about())
                @if !hazard.meant.is_empty() {
                    ", on purpose: " (hazard.meant.iter().map(|s| s.name()).collect::<Vec<_>>().join(" or "))
                }
            }
            td { (side(&hazard.with)) }
            td { code { (hazard.line) } }
        }
    }
}

fn side(side: &Side) -> Markup {
    html! { "CPU " (side.cpu) " at " code { (Said(&side.at)) } " (" (Said(&side.what)) ")" }
}

#[cfg(test)]
mod tests {
    use stalecore_model::{glossary::Subject, hazard::Kind, hex::Hex, run::Run};

    use super::*;

    #[test]
    fn both_sides_are_named_and_escaped() {
        let side = |at: &str| Side {
            cpu: 3,
            at: at.into(),
            pc: Hex(0),
            what: "load".into(),
        };
        let run = Run {
            hazards: vec![Hazard {
                kind: Kind::ReadStale,
                by: side("mmu_on+8"),
                with: side("<b>+4"),
                line: Hex(0x4020_0040),
                meant: vec![Subject::DcIvac],
            }],
            ..Run::default()
        };
        let page = section(&View::new(std::slice::from_ref(&run))).0;
        for part in [
            "mmu_on+8",
            "&lt;b&gt;+4",
            "0x40200040",
            "no invalidate since, on purpose: dc-ivac",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(section(&View::new(&[Run::default()])).0, "");
    }
}
