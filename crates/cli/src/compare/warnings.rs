//! What a reader should know before trusting a comparison.

use stalecore_model::{options::PREFIX, run::Run, words};

use crate::lacks::lacks;

/// A line for each thing, each once.
pub fn warnings(base: &[Run], new: &[Run]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let all: Vec<_> = base.iter().chain(new).collect();
    let differ = |of: &dyn Fn(&Run) -> String| all.iter().any(|run| of(run) != of(all[0]));
    let machine = |run: &Run| run.machine.clone();
    if differ(&|run| format!("{:?}", machine(run).map(|m| (m.model, m.cpus)))) {
        found.push("the machines differ".into());
    }
    if let Some(other) = all.iter().find(|run| run.host != all[0].host) {
        found.push(format!(
            "the hosts differ: {:?} and {:?}",
            all[0].host, other.host
        ));
    }
    // Not its frequency as measured, which is a little different each time.
    if differ(&|run| format!("{:?}", machine(run).map(|m| (m.counter, m.cntfrq)))) {
        found.push("the counters differ".into());
    }
    if differ(&|run| format!("{:?}", run.plan.as_ref().map(|p| (p.stale, p.initiators)))) {
        found.push("the stale cores or initiators differ".into());
    }
    if differ(&|run| format!("{:?}", run.plan.as_ref().map(|p| p.samples))) {
        found.push("the numbers of samples differ".into());
    }
    if differ(&how_issued) {
        found.push("the barriers or the second stage differ (--dsb, --stage2)".into());
    }
    for (side, name) in [(base, "base"), (new, "new")] {
        // Builds of one side are one; of the other they are what is compared.
        if side.iter().any(|run| run.image != side[0].image) {
            found.push(format!("the images of the {name} side differ"));
        }
        for (nth, run) in side.iter().enumerate() {
            let name = match side.len() {
                1 => format!("the {name} run"),
                _ => format!("{name} run {}", nth + 1),
            };
            of_run(&name, run, &mut found);
        }
    }
    found
}

/// What of a run's options changes each operation.
fn how_issued(run: &Run) -> String {
    let options = run.plan.as_ref().and_then(|plan| plan.options.as_deref());
    let words = options.unwrap_or_default().split(' ');
    let wanted = ["dsb=", "stage2="].map(|key| format!("{PREFIX}{key}"));
    let found = words.filter(|word| wanted.iter().any(|key| word.starts_with(key)));
    found.collect::<Vec<_>>().join(" ")
}

fn of_run(name: &str, run: &Run, found: &mut Vec<String>) {
    let makers = run.makers();
    if !makers.is_empty() {
        let makers: Vec<_> = makers.iter().map(|m| m.about().to_string()).collect();
        found.push(format!(
            "{name} was made by {}: it is no finding about the machine",
            words::list(&makers)
        ));
    }
    if run.end.is_none() {
        found.push(format!("{name} has no closing record"));
    }
    if let Some(unread) = run.unread() {
        found.push(format!("{name} lacks something: {}", lacks(run, &unread)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{self, Shape};

    fn five() -> Run {
        synthetic::run(&Shape {
            cases: 5,
            ..Shape::default()
        })
    }

    #[test]
    fn like_runs_are_not_warned_of() {
        let one = five();
        let mut measured = one.clone();
        if let Some(machine) = &mut measured.machine {
            machine.counter_hz += machine.counter_hz / 1000;
        }
        let built = Run {
            image: "another".into(),
            ..one.clone()
        };
        assert_eq!(warnings(&[one.clone(), one], &[measured]), [""; 0]);
        let found = warnings(&[five(), built.clone()], &[five(), built]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn unlike_runs_are_warned_of() {
        let mut new = five();
        new.host = "serial \u{1b}[31m/dev/ttyUSB0".into();
        new.end = None;
        new.made_by = vec![stalecore_model::record::Maker::Fabric];
        let text = warnings(&[five()], std::slice::from_ref(&new)).join("\n");
        assert!(
            text.contains("the new run has no closing record") && text.contains("hosts differ")
        );
        assert!(text.contains("the new run was made by the fabric, a model: it is no finding"));
        assert!(!text.contains('\u{1b}') && !text.contains("--dsb"));
        let mut other = five();
        other.plan.as_mut().unwrap().options =
            Some("stalecore.ops=ic-ivau stalecore.dsb=sy".into());
        let text = warnings(&[five()], &[other]).join("\n");
        assert!(text.contains("(--dsb, --stage2)"), "{text}");
        for (change, warning) in [
            (
                (|machine| machine.cpus += 1) as fn(&mut stalecore_model::record::Machine),
                "the machines differ",
            ),
            (|machine| machine.cntfrq += 1, "the counters differ"),
        ] {
            let mut other = five();
            change(other.machine.as_mut().unwrap());
            assert_eq!(warnings(&[five()], &[other]), [warning]);
        }
        let text = warnings(&[five()], &[five(), new]).join("\n");
        assert!(text.contains("new run 2 has no closing record"), "{text}");
    }
}
