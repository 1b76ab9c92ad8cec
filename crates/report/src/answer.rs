//! The top of the page: the answer in one sentence, what it is worth, and how
//! many cases ended how.

use maud::{Markup, html};
use stalecore_model::{
    exit::ExitCode,
    record::Maker,
    rounds::Found,
    run::{Run, Unread},
    shell, words,
};

use super::{
    differ,
    text::{Said, counted, grouped, mark, ratio, time},
    view::{Key, View, count_verdicts, label, slowdown},
};

/// How many of the slowest cases are named.
const NAMED: usize = 5;

/// The head of the page.
pub fn section(view: &View<'_>) -> Markup {
    html! {
        header {
            p.brand { "stalecore" }
            @if let [run] = view.runs {
                h1 { (Said(headline(run))) }
                (rest(run))
                (caveat(run))
                (tally(run))
                (facts(run))
            } @else {
                h1 { (view.runs.len()) " runs side by side" }
                div.wide {
                    table.runs {
                        thead { tr { th {} th { "answer" } th { "stale cores" } th { "cases" } th { "machine" } } }
                        tbody {
                            @for (nth, run) in view.runs.iter().enumerate() { (row(nth, run)) }
                        }
                    }
                }
                (differ::table(view.runs))
                (caveats(view.runs))
            }
            (slowest(view))
        }
    }
}

fn answer(run: &Run) -> &str {
    if run.answer.is_empty() {
        "The run gave no answer."
    } else {
        &run.answer
    }
}

/// The answer's first sentence.
fn headline(run: &Run) -> &str {
    let answer = answer(run);
    answer.split_once(". ").map_or(answer, |(first, _)| first)
}

/// What the answer says after its first sentence; that the machine is emulated
/// is said more plainly below.
fn rest(run: &Run) -> Markup {
    let (_, rest) = answer(run).split_once(". ").unwrap_or_default();
    let kept: Vec<_> = rest
        .split_inclusive(". ")
        .filter(|sentence| !(run.emulated == Some(true) && sentence.contains("emulated")))
        .collect();
    html! {
        @if !kept.is_empty() { p.lead { (Said(&kept.concat())) } }
    }
}

const EMULATED: &str = "An emulator does nothing, or something else, for cache maintenance: these figures prove the \
                        harness and say nothing about silicon";
const UNKNOWN: &str = "No record that tells was read.";

/// The same of several runs, each by its name.
fn caveats(runs: &[Run]) -> Markup {
    let of = |emulated: Option<bool>| {
        let those = runs.iter().enumerate();
        let those = those.filter(|(_, run)| run.emulated == emulated);
        words::list(&those.map(|(nth, _)| label(nth)).collect::<Vec<_>>())
    };
    let (emulated, unknown) = (of(Some(true)), of(None));
    html! {
        @for (nth, run) in runs.iter().enumerate().filter(|(_, r)| !r.makers().is_empty()) {
            p.caveat.made { b { (label(nth)) ": made by " (makers_named(&run.makers())) ". " } "No finding about the machine." }
        }
        @if !emulated.is_empty() { p.caveat { b { (emulated) ": emulated. " } (EMULATED) "." } }
        @if !unknown.is_empty() { p.caveat { b { (unknown) ": emulated or not is unknown. " } (UNKNOWN) } }
        @for (nth, run) in runs.iter().enumerate() {
            @if let Some(unread) = run.unread() {
                p.caveat.unread { b { (label(nth)) ": not all of it was read. " } (lacks(run, &unread)) }
            }
        }
    }
}

/// What figures from an emulator, and results that somebody made, are worth.
fn caveat(run: &Run) -> Markup {
    let makers = run.makers();
    html! {
        @if !makers.is_empty() {
            p.caveat.made {
                b { "Made by " (makers_named(&makers)) ". " }
                "What this run shows was brought about to prove that the harness sees it: it is no finding about "
                "the machine."
            }
        }
        @match run.emulated {
            Some(true) => p.caveat {
                b { "Emulated. " } (EMULATED) " (" (Said(&run.host)) ")."
            },
            None => p.caveat {
                b { "Emulated or not is unknown. " } (UNKNOWN)
            },
            Some(false) => {},
        }
        @if let Some(unread) = run.unread() {
            p.caveat.unread {
                b { "Not all of it was read. " }
                (lacks(run, &unread))
            }
        }
    }
}

fn makers_named(makers: &[Maker]) -> String {
    let names: Vec<_> = makers.iter().map(|m| m.about().to_string()).collect();
    words::list(&names)
}

/// How many cases were read, and how many records lost.
fn lacks(run: &Run, unread: &Unread) -> String {
    let read = match unread.read {
        0 => "none".to_string(),
        n => grouped(n as u64),
    };
    // Of one case "none was", of several "none were".
    let were = words::with(
        match unread.read {
            0 => unread.of.unwrap_or(0),
            n => n,
        },
        "was",
        "were",
    );
    let mut text = match unread.of {
        Some(of) => {
            let cases = words::with(of, "case", "cases");
            format!("Of {} {cases} {read} {were} read", grouped(of as u64))
        }
        None => format!("Of a number of cases that is not known {read} {were} read"),
    };
    if unread.of == Some(unread.read) && unread.results {
        text += ", and the closing record counts other results";
    }
    match run.lost_records() {
        0 => text + ".",
        n => format!(
            "{text}; {} of the console {} lost ({}).",
            words::count(n as usize, "record", "records"),
            words::with(n as usize, "was", "were"),
            words::ranges(&run.lost)
        ),
    }
}

fn tally(run: &Run) -> Markup {
    html! {
        ul.tally {
            @for (verdict, count) in count_verdicts(run) {
                li title=(verdict.about()) {
                    b { (grouped(count as u64)) }
                    span.verdict { i class={ "v" (verdict as u8) } { (mark(verdict)) } " " (verdict.name()) }
                }
            }
            @if let Some(missing) = missing(run) {
                li { b { (grouped(missing)) } span.verdict { "not reached" } }
            }
        }
    }
}

/// How many planned cases did not end.
fn missing(run: &Run) -> Option<u64> {
    let planned = u64::from(run.plan.as_ref()?.cases);
    planned
        .checked_sub(run.cases.len() as u64)
        .filter(|n| *n > 0)
}

fn facts(run: &Run) -> Markup {
    html! {
        p.facts {
            @if let Some(machine) = &run.machine {
                (Said(&machine.model)) ", " (counted(machine.cpus.into(), "core", "cores")) " · "
            }
            (Said(&run.host)) " · " (time(run.elapsed_ms as f64 * 1e6)) " · exit code " (run.exit)
            @if let Some(meaning) = exit_meaning(run.exit) { " (" (meaning) ")" }
        }
    }
}

/// What an exit code means, if it is one of ours.
pub fn exit_meaning(code: u8) -> Option<&'static str> {
    let code = ExitCode::from_number(u32::from(code))?;
    let (_, meaning) = ExitCode::BY_SERIOUSNESS.iter().find(|(c, _)| *c == code)?;
    Some(meaning)
}

fn row(nth: usize, run: &Run) -> Markup {
    html! {
        tr {
            th scope="row" { b.run { (label(nth)) } }
            td { (Said(answer(run))) br; code { (Said(&shell::quoted(&run.command))) } }
            td.num { @if let Some(plan) = &run.plan { (plan.stale.len()) } }
            td.marks {
                @for (verdict, count) in count_verdicts(run) {
                    span.verdict title=(verdict.name()) { i class={ "v" (verdict as u8) } { (mark(verdict)) } " " (grouped(count as u64)) } " "
                }
            }
            td {
                @if let Some(machine) = &run.machine { (Said(&machine.model)) ", " (counted(machine.cpus.into(), "core", "cores")) ", " }
                (Said(&run.host))
            }
        }
    }
}

/// The slowest cases of each run, by name; what is too noisy to say is not among them.
fn slowest(view: &View<'_>) -> Markup {
    let mut found: Vec<_> = view
        .runs
        .iter()
        .enumerate()
        .flat_map(|(nth, run)| run.cases.iter().map(move |case| (nth, run, case)))
        .filter(|(_, run, case)| run.found(case) != Some(Found::Noisy))
        .filter_map(|(nth, run, case)| Some((slowdown(run, case)?, nth, case)))
        .filter(|(milli, ..)| *milli >= 1250)
        .collect();
    found.sort_by_key(|(milli, ..)| std::cmp::Reverse(*milli));
    found.truncate(NAMED);
    html! {
        @if !found.is_empty() {
            p.slowest {
                "Latest against " (words::with(found.len(), "its own baseline", "their own baselines")) ": "
                @for (i, (milli, nth, case)) in found.iter().enumerate() {
                    @if i > 0 { ", " }
                    a href={ "#case-" (view.cases.get(&Key::of(case)).map_or(0, |e| e.id)) } {
                        @if view.runs.len() > 1 { (label(*nth)) " " }
                        (case.op.name()) " under " (case.state.name())
                    }
                    " " (ratio(*milli))
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
    fn the_answer_comes_first_and_is_put_in_its_place() {
        let runs = [synthetic::run(&Shape::default())];
        let text = section(&View::new(&runs)).into_string();
        assert!(text.contains("<h1>ic ivau is blocked"));
        assert!(text.contains("say nothing about silicon"));
        assert!(text.contains("exit code 4 (blocked)"));
        let mut on_silicon = runs[0].clone();
        on_silicon.emulated = Some(false);
        let text = section(&View::new(&[on_silicon])).into_string();
        assert!(!text.contains("Emulated"));
    }

    #[test]
    fn what_somebody_made_is_said_before_all_figures() {
        let plain = Run {
            emulated: Some(false),
            ..synthetic::run(&Shape::default())
        };
        let text = |runs: &[Run]| section(&View::new(runs)).into_string();
        assert!(!text(std::slice::from_ref(&plain)).contains("Made by"));
        let made = Run {
            made_by: vec![Maker::Fabric, Maker::Plugin],
            ..plain.clone()
        };
        let one = text(std::slice::from_ref(&made));
        assert!(
            one.contains("Made by the fabric, a model and a plugin of QEMU's. "),
            "{one}"
        );
        let several = text(&[plain, made]);
        assert!(
            several.contains("B: made by the fabric, a model"),
            "{several}"
        );
    }

    #[test]
    fn what_was_lost_is_a_caveat() {
        let run = Run {
            emulated: None,
            lost: vec![[7, 8]],
            ..synthetic::run(&Shape::default())
        };
        let text = section(&View::new(&[run])).into_string();
        assert!(
            text.contains("Of 432 cases 432 were read; 2 records of the console were lost (7-8)."),
            "{text}"
        );
        assert!(text.contains("Emulated or not is unknown"));
    }

    #[test]
    fn what_is_true_of_one_of_several_runs_names_it() {
        let on_silicon = Run {
            emulated: Some(false),
            ..synthetic::run(&Shape::default())
        };
        let emulated = Run {
            emulated: Some(true),
            ..on_silicon.clone()
        };
        let lost = Run {
            emulated: None,
            lost: vec![[7, 7]],
            ..on_silicon.clone()
        };
        let text = |runs: &[Run]| section(&View::new(runs)).into_string();
        let all = text(&[on_silicon.clone(), emulated.clone(), lost, emulated]);
        for part in [
            "<b>B and D: emulated. ",
            "<b>C: emulated or not is unknown. ",
            "<b>C: not all of it was read. ",
        ] {
            assert!(all.contains(part), "{part}: {all}");
        }
        let none = text(&[on_silicon.clone(), on_silicon]);
        assert!(!none.contains("caveat"), "{none}");
    }

    #[test]
    fn a_long_answer_is_a_headline_and_the_rest() {
        let run = Run {
            answer: "Not blocked: all returned. See v1.2 of it. It is emulated.".into(),
            emulated: Some(true),
            ..Run::default()
        };
        assert_eq!(headline(&run), "Not blocked: all returned");
        assert_eq!(
            rest(&run).into_string(),
            "<p class=\"lead\">See v1.2 of it. </p>"
        );
    }

    #[test]
    fn cases_that_were_not_reached_are_counted() {
        let mut run = synthetic::run(&Shape {
            cases: 10,
            ..Shape::default()
        });
        run.cases.truncate(7);
        assert_eq!(missing(&run), Some(3));
        assert!(tally(&run).into_string().contains("not reached"));
    }

    #[test]
    fn a_run_that_got_nowhere_still_has_a_head() {
        let text = section(&View::new(&[Run::default()])).into_string();
        assert!(text.contains("The run gave no answer."));
    }
}
