//! `stalecore list`: the words of the command line and of the report.

mod errata;

use serde_json::{Value, json};
use stalecore_model::{
    exit::ExitCode,
    glossary::{ABOUT_INHERITED, INHERITED, Kind, LineState, StaleState, Subject, Verdict},
    options::Preset,
};

use crate::{run::width, stdout};

/// What has a list of its own.
#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// The known errata that a case stages: number, cores, trigger, operations
    Errata,
}

/// What to print, and how.
#[derive(clap::Args)]
pub struct Args {
    /// One list instead, which is not among the others
    #[arg(value_enum, value_name = "WHAT")]
    what: Option<What>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One list: its heading, its key in JSON, and name and explanation of each.
type List = (&'static str, &'static str, Vec<(String, &'static str)>);

/// Name and explanation of each.
fn named<T: Copy>(
    all: impl Iterator<Item = T>,
    name: fn(T) -> &'static str,
    about: fn(T) -> &'static str,
) -> Vec<(String, &'static str)> {
    all.map(|one| (name(one).to_string(), about(one))).collect()
}

fn lists() -> Vec<List> {
    let subjects = |kind| {
        let subjects = Subject::ALL.iter().copied();
        named(
            subjects.filter(|s| s.kind() == kind),
            Subject::name,
            Subject::about,
        )
    };
    let states = StaleState::ALL.iter().copied();
    let lines = LineState::ALL.iter().copied();
    let presets = Preset::ALL.iter().copied();
    let verdicts = Verdict::ALL.iter().copied();
    vec![
        (
            "operations (--ops)",
            "operations",
            subjects(Kind::Operation),
        ),
        ("routines (--ops)", "routines", subjects(Kind::Routine)),
        ("self-tests (--ops)", "selftests", subjects(Kind::Selftest)),
        (
            "stale states (--stale)",
            "stale_states",
            named(states, StaleState::name, StaleState::about),
        ),
        (
            "stale states that are found and not staged (--fabric deaf=)",
            "found_states",
            vec![(INHERITED.to_string(), ABOUT_INHERITED)],
        ),
        (
            "line states (--lines)",
            "line_states",
            named(lines, LineState::name, LineState::about),
        ),
        (
            "presets (--preset)",
            "presets",
            named(presets, Preset::name, Preset::about),
        ),
        (
            "verdicts (--expect)",
            "verdicts",
            named(verdicts, Verdict::name, Verdict::about),
        ),
        (
            "exit codes, most serious first",
            "exit_codes",
            ExitCode::BY_SERIOUSNESS
                .iter()
                .map(|(code, about)| ((*code as u8).to_string(), *about))
                .collect(),
        ),
    ]
}

/// Prints the lists.
///
/// # Errors
/// Standard output's.
pub fn list(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match (args.what, args.json) {
        (None, false) => as_text(),
        (None, true) => as_json(),
        (Some(What::Errata), false) => errata::text(width()),
        (Some(What::Errata), true) => errata::json(),
    };
    stdout::print(&text)?;
    Ok(ExitCode::Expected)
}

fn as_text() -> String {
    let lists = lists();
    let width = lists
        .iter()
        .flat_map(|(_, _, rows)| rows)
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let blocks: Vec<_> = lists
        .iter()
        .map(|(heading, _, rows)| {
            let rows: Vec<_> = rows
                .iter()
                .map(|(name, about)| format!("  {name:width$}  {about}\n"))
                .collect();
            format!("{heading}\n{}", rows.concat())
        })
        .collect();
    blocks.join("\n")
}

fn as_json() -> String {
    let object: serde_json::Map<String, Value> = lists()
        .into_iter()
        .map(|(_, key, rows)| {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(name, about)| json!({ "name": name, "about": about }))
                .collect();
            (key.to_string(), Value::from(rows))
        })
        .collect();
    format!("{:#}\n", Value::from(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_in_both_forms() {
        let (text, json) = (as_text(), as_json());
        let names = Subject::ALL
            .iter()
            .map(|s| s.name())
            .chain(StaleState::ALL.iter().map(|s| s.name()))
            .chain(Verdict::ALL.iter().map(|v| v.name()))
            .chain([INHERITED, "124", "dirty-there", "after-idle"]);
        for name in names {
            assert!(text.contains(&format!("\n  {name} ")), "{name}");
            assert!(json.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
