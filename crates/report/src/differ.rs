//! How several runs differ in machine, build and roles: before that is known, a
//! difference in their figures means nothing.

use maud::{Markup, html};
use stalecore_model::{run::Run, words};

use super::{text::Said, view::label};

/// One fact: its name, and what each run says.
type Fact = (&'static str, fn(&Run) -> String);

const FACTS: [Fact; 14] = [
    ("emulated", |run| run.emulated.map_or("unknown".into(), yes)),
    ("host", |run| run.host.clone()),
    ("machine", |run| of(run.machine.as_ref().map(|m| &m.model))),
    ("cores", |run| of(run.machine.as_ref().map(|m| m.cpus))),
    ("entered at", |run| {
        of(run.machine.as_ref().map(|m| format!("EL{}", m.entry_el)))
    }),
    ("described by", |run| {
        of(run.machine.as_ref().map(|m| &m.source))
    }),
    ("interrupt controller", |run| {
        of(run.machine.as_ref().map(|m| &m.gic))
    }),
    // Its frequency is measured, and never comes out the same twice.
    ("counter", |run| {
        of(run.machine.as_ref().map(|m| &m.counter))
    }),
    ("image", |run| of(run.machine.as_ref().map(|m| &m.version))),
    ("command", |run| run.version.clone()),
    ("initiators", |run| {
        of(run.plan.as_ref().map(|p| words::cpus(&p.initiators)))
    }),
    ("stale cores", |run| {
        of(run.plan.as_ref().map(|p| match p.stale.is_empty() {
            true => "none".to_string(),
            false => words::cpus(&p.stale),
        }))
    }),
    ("samples", |run| of(run.plan.as_ref().map(|p| p.samples))),
    ("deadline", |run| {
        of(run.plan.as_ref().map(|p| format!("{} ms", p.deadline_ms)))
    }),
];

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

fn of(value: Option<impl std::fmt::Display>) -> String {
    value.map_or("not known".into(), |value| value.to_string())
}

/// The facts that are not the same in all runs.
pub fn differences(runs: &[Run]) -> Vec<(&'static str, Vec<String>)> {
    FACTS
        .iter()
        .map(|(name, fact)| (*name, runs.iter().map(fact).collect::<Vec<_>>()))
        .filter(|(_, said)| said.windows(2).any(|two| two[0] != two[1]))
        .collect()
}

/// What differs, a row for each fact.
pub fn table(runs: &[Run]) -> Markup {
    let found = differences(runs);
    html! {
        @if found.is_empty() {
            p.differ { "Machine, build and roles of the cores are the same in all of them, as far as they were recorded." }
        } @else {
            h2 { "What they do not have in common" }
            div.wide {
                table.differ {
                    thead { tr { th {} @for nth in 0..runs.len() { th { b.run { (label(nth)) } } } } }
                    tbody {
                        @for (name, said) in &found {
                            tr { th scope="row" { (name) } @for text in said { td { (Said(text)) } } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    fn names(runs: &[Run]) -> Vec<&str> {
        differences(runs).iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn only_what_differs_is_said() {
        let one = synthetic::run(&Shape::default());
        assert!(names(&[one.clone(), one.clone()]).is_empty());
        let text = table(&[one.clone(), one.clone()]).into_string();
        assert!(text.contains("the same in all"), "{text}");
        let mut other = one.clone();
        other.emulated = one.emulated.map(|emulated| !emulated);
        other.host = "serial /dev/ttyUSB0".into();
        if let Some(machine) = &mut other.machine {
            machine.model = "<b>a board</b>".into();
            machine.version = "0.0.9".into();
        }
        let runs = [one.clone(), other, one];
        assert_eq!(names(&runs), ["emulated", "host", "machine", "image"]);
        let text = table(&runs).into_string();
        assert!(text.contains("serial /dev/ttyUSB0") && text.contains(">C<"));
        assert!(!text.contains("<b>a board"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        let one = synthetic::run(&Shape::default());
        let found = differences(&[one, Run::default()]);
        assert!(found.iter().any(|(_, said)| said[1] == "not known"));
    }
}
