//! `run --list`: what a run would do, without a machine.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stalecore_model::{plan::Plan, words};

use super::{
    pace::{Pace, about, size},
    table::fold,
};

/// A case that is skipped, by its number: what is not there, and why.
pub type Skipped = (usize, String, &'static str);

/// The plan in words: how large, how long what is not skipped takes, who does what, each
/// group with its cases, and what is skipped.
pub fn text(plan: &Plan, pace: &Pace, cpus: usize, skipped: &[Skipped], width: usize) -> String {
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
            size(plan.len(), plan.groups.len()),
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
    if !skipped.is_empty() {
        let all = words::cases(plan.len());
        text += &fold(&format!("Skipped are {} of {all}:", skipped.len()), width);
    }
    let mut told: Vec<(&str, &str)> = Vec::new();
    for (_, what, why) in skipped {
        if !told.contains(&(what, why)) {
            told.push((what, why));
            text += &fold(&format!("  {what}: {why}"), width);
        }
    }
    text
}

/// The plan for programs: a list of cases; one that is skipped says why.
pub fn json(plan: &Plan, skipped: &[Skipped]) -> String {
    let why: BTreeMap<_, _> = skipped.iter().map(|(n, _, why)| (*n, *why)).collect();
    let cases = plan.groups.iter().flat_map(|group| &group.cases);
    let cases: Vec<_> = cases
        .map(|case| {
            let mut told = json!({
                "n": case.number, "op": case.subject, "state": case.state, "line": case.line
            });
            if let Some(why) = why.get(&case.number) {
                told["skipped"] = json!(why);
            }
            told
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
            let text = text(&plan, &pace, 8, &[], width);
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

    #[test]
    fn what_is_skipped_says_why() {
        let words = "stalecore.ops=none,ic-ivau stalecore.stale=mmu-off";
        let plan = Plan::new(&Options::from_bootargs(words).unwrap(), 4).unwrap();
        let skipped = [1, 2].map(|n| (n, "mmu-off".to_string(), "only EL1 stages it"));
        let text = text(&plan, &Pace::default(), 4, &skipped, 80);
        assert!(text.starts_with("2 cases in 1 group on 4 CPUs"), "{text}");
        assert!(!text.contains("about"), "{text}");
        let end = "Skipped are 2 of 2 cases:\n  mmu-off: only EL1 stages it\n";
        assert!(text.ends_with(end), "{text}");
        let told: Value = serde_json::from_str(&json(&plan, &skipped[1..])).unwrap();
        assert_eq!(told[0].get("skipped"), None);
        assert_eq!(told[1]["skipped"], "only EL1 stages it");
    }
}
