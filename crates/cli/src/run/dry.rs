//! `run --list`: what a run would do, without a machine.

use serde_json::{Value, json};
use stalecore_model::{plan::Plan, words};

use super::{
    pace::{Pace, about},
    table::fold,
};

/// The plan in words: how large, how long, who does what, and each group with
/// its cases.
pub fn text(plan: &Plan, pace: &Pace, cpus: usize, width: usize) -> String {
    let roles = &plan.roles;
    let sentinel = roles
        .sentinel
        .map_or("no sentinel".to_string(), |cpu| format!("sentinel {cpu}"));
    let stale = match roles.stale.is_empty() {
        true => "no stale core".to_string(),
        false => format!("stale {}", roles.stale),
    };
    let time = pace.whole().map_or(String::new(), |time| {
        format!(
            "; about {} on an idle host, and a busy one takes several times as long",
            about(time)
        )
    });
    let mut text = fold(
        &format!(
            "{} on {}: {} {}, {stale}, {sentinel}{time}.",
            pace.size(),
            words::count(cpus, "CPU", "CPUs"),
            words::with(roles.initiators.len(), "initiator", "initiators"),
            roles.initiators
        ),
        width,
    );
    for group in &plan.groups {
        let (Some(first), Some(last)) = (group.cases.first(), group.cases.last()) else {
            continue;
        };
        let numbers = match group.cases.len() {
            1 => format!("case {}", first.number),
            _ => format!("cases {}-{}", first.number, last.number),
        };
        text += &fold(
            &format!("{} ({}), {numbers}:", group.state, group.line),
            width,
        );
        for erratum in plan.errata_of(group) {
            text += &fold(
                &format!("erratum {} ({})", erratum.number, erratum.cores()),
                width,
            );
        }
        let names: Vec<_> = group.cases.iter().map(|c| c.subject.name()).collect();
        text += &fold(&format!("  {}", names.join(" ")), width);
    }
    text
}

/// The plan for programs: a list of cases.
pub fn json(plan: &Plan) -> String {
    let cases = plan.groups.iter().flat_map(|group| &group.cases);
    let cases: Vec<_> = cases
        .map(|case| {
            json!({ "n": case.number, "op": case.subject, "state": case.state, "line": case.line })
        })
        .collect();
    format!("{}\n", Value::from(cases))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::options::Options;
    use std::time::Duration;

    #[test]
    fn every_case_is_there_and_no_line_too_long() {
        let options = Options::from_bootargs("").unwrap();
        let plan = Plan::new(&options, 8).unwrap();
        let pace = Pace::of(&options, &plan, 8, Duration::ZERO);
        for width in [40, 80] {
            let text = text(&plan, &pace, 8, width);
            assert!(text.lines().all(|l| l.chars().count() <= width), "{text}");
            let named: usize = text
                .lines()
                .filter(|line| line.starts_with("  "))
                .map(|line| line.split_whitespace().count())
                .sum();
            assert_eq!(named, plan.len());
            assert!(text.contains(&format!("-{}:", plan.len())), "{text}");
        }
    }
}
