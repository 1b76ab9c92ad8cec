//! `stalecore list errata`: the known errata that a case stages.

use serde_json::{Value, json};
use stalecore_model::{
    errata::{ABOUT, About, ERRATA, Erratum},
    glossary::{StaleState, Subject},
};

use crate::run::fold;

/// Every erratum with what is said about it.
fn rows() -> impl Iterator<Item = (&'static Erratum, &'static About)> {
    ERRATA.iter().zip(ABOUT)
}

/// Cores and their revisions: `Neoverse N1 r0p0 to r4p1`.
fn cores(erratum: &Erratum) -> Vec<String> {
    let cores = erratum.cores.iter();
    cores
        .map(|core| format!("{} {}", core.name(), core.revisions()))
        .collect()
}

fn operations(erratum: &Erratum) -> Vec<&'static str> {
    let all = Subject::ALL.iter().filter(|s| erratum.suffers(**s));
    all.map(|s| s.name()).collect()
}

fn states(erratum: &Erratum) -> Vec<&'static str> {
    let all = StaleState::ALL.iter().filter(|s| erratum.is_by(**s));
    all.map(|s| s.name()).collect()
}

/// One block of lines for each, as wide as the terminal.
pub fn text(width: usize) -> String {
    let block = |(erratum, about): (&Erratum, &About)| {
        let board = erratum.board.map(|board| format!("; on {board} only"));
        let lines = [
            Some((
                "core",
                cores(erratum).join(", ") + &board.unwrap_or_default(),
            )),
            Some(("other core", about.trigger.into())),
            Some(("effect", about.effect.into())),
            Some(("operations", operations(erratum).join(", "))),
            Some(("states", states(erratum).join(", "))),
            about.lacks.map(|lacks| ("not staged", lacks.into())),
            Some((
                "source",
                format!("{}; {}", about.source, about.sure.words()),
            )),
            Some(("preset", "errata".into())),
        ];
        let lines = lines.into_iter().flatten();
        let lines: Vec<_> = lines
            .map(|(name, text)| fold(&format!("  {name}: {text}"), width))
            .collect();
        format!("{}\n{}", erratum.number, lines.concat())
    };
    rows().map(block).collect::<Vec<_>>().join("\n")
}

/// The same for programs: a list of objects.
pub fn json() -> String {
    let rows = rows().map(|(erratum, about)| {
        json!({
            "number": erratum.number,
            "cores": cores(erratum),
            "board": erratum.board,
            "trigger": about.trigger,
            "effect": about.effect,
            "operations": operations(erratum),
            "states": states(erratum),
            "not_staged": about.lacks,
            "source": about.source,
            "sure": about.sure.words(),
            "preset": "errata",
        })
    });
    format!("{:#}\n", Value::from(rows.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_erratum_is_in_both_forms_and_no_line_too_long() {
        let text = text(80);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let found: Value = serde_json::from_str(&json()).unwrap();
        assert_eq!(found.as_array().map(Vec::len), Some(ERRATA.len()));
        for (erratum, about) in rows() {
            let begins = format!("{}\n  core: {}", erratum.number, erratum.cores[0].name());
            let begins = begins.split(' ').take(3).collect::<Vec<_>>().join(" ");
            assert!(text.contains(&begins), "{begins}: {text}");
            assert!(json().contains(about.trigger));
        }
        // Whatever is not sure says so, wherever the line is folded.
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(folded.contains("reported, not confirmed by a maker"));
        assert!(folded.contains("not staged: "));
    }
}
