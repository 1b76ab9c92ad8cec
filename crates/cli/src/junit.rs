//! `junit.xml`: a run as CI systems read it, one test case for each case. A
//! case passes exactly if its line of KTAP says `ok`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use stalecore_model::{
    alone::alone,
    glossary::{Subject, Verdict},
    ktap,
    record::{Block, CaseRecord, Fault},
    run::Run,
    words,
};

use crate::{lacks::lacks, run::figures, whole_file};

/// The file's name within a run's directory.
pub const FILE: &str = "junit.xml";

/// Writes the run to `path`.
///
/// # Errors
/// What the file system refuses, with the path.
pub fn write(run: &Run, path: &Path) -> Result<()> {
    let text = document(run).with_context(|| path.display().to_string())?;
    whole_file::write_here(path, text.as_bytes())
}

/// The library leaves out control characters; these two are no XML either.
fn document(run: &Run) -> Result<String> {
    Ok(report(run)
        .to_string()?
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
}

fn report(run: &Run) -> Report {
    let mut report = Report::new("stalecore");
    report.set_time(Duration::from_millis(run.elapsed_ms));
    let mut suites: BTreeMap<Subject, TestSuite> = BTreeMap::new();
    let strict = run.plan.as_ref().is_some_and(|p| p.strict);
    for case in &run.cases {
        let suite = suites
            .entry(case.op)
            .or_insert_with(|| TestSuite::new(case.op.name()));
        suite.add_test_case(test_case(run, case, strict));
    }
    report.add_test_suites(suites.into_values());
    report.add_test_suite(the_run_itself(run));
    report
}

fn test_case(run: &Run, case: &CaseRecord, strict: bool) -> TestCase {
    let mut status = match case.verdict {
        Verdict::Skipped => TestCaseStatus::skipped(),
        verdict if ktap::passes(verdict, strict) => TestCaseStatus::success(),
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    let passed = matches!(status, TestCaseStatus::Success { .. });
    let maker = run
        .maker(case.op)
        .filter(|_| case.verdict != Verdict::Skipped);
    let by = maker.map_or(String::new(), |m| format!(", made by {}", m.about()));
    if !passed {
        status.set_type(case.verdict.name());
        status.set_message(match &case.why {
            Some(why) => format!("{}{by}: {why}", case.verdict),
            None => format!("{}{by}", case.verdict),
        });
        let blocks = run.blocks.iter().filter(|b| b.n == case.n).map(block);
        let faults = run.faults.iter().filter(|f| f.n == case.n).map(fault);
        let more: Vec<_> = blocks.chain(faults).collect();
        if !more.is_empty() {
            status.set_description(more.join("\n"));
        }
    }
    let name = format!("{}/{}", case.state, case.line);
    let mut test = TestCase::new(name, status);
    test.set_classname(format!("stalecore.{}", case.op));
    test.add_property(("command", alone(run, case).as_str()));
    let late = late(run, case);
    if passed && (case.verdict != Verdict::Completed || maker.is_some() || !late.is_empty()) {
        test.set_system_out(format!("{}{by}{late}\n", case.verdict));
    }
    test
}

/// The single sample that was late, if one was.
fn late(run: &Run, case: &CaseRecord) -> String {
    let (Some(late), Some(machine)) = (case.was_late(), &run.machine) else {
        return String::new();
    };
    let took = figures::time(figures::nanoseconds(late.ticks, machine));
    format!("; late: one sample took {took}, {}", late.place())
}

fn block(block: &Block) -> String {
    let released = block.released().unwrap_or_else(|| "not released".into());
    let (what, parked) = (
        if block.behind {
            "stopped behind it"
        } else {
            "not returned"
        },
        if block.baseline {
            ", every other core parked"
        } else {
            ""
        },
    );
    format!(
        "CPU {} at {}, {what} {}{parked}, {released}",
        block.initiator,
        block.place(),
        block.waited()
    )
}

fn fault(fault: &Fault) -> String {
    format!(
        "CPU {} at {}: {} (ESR_EL1 {}, FAR_EL1 {}), returned {}",
        fault.initiator, fault.at, fault.syndrome, fault.esr, fault.far, fault.returned
    )
}

/// One more test for the run as a whole: a run that broke off must not pass just
/// because the cases that it reached did.
fn the_run_itself(run: &Run) -> TestSuite {
    let mut suite = TestSuite::new("run");
    let missing = run
        .plan
        .as_ref()
        .map_or(0, |p| (p.cases as usize).saturating_sub(run.cases.len()));
    let problem = if run.end.is_none() && !run.closed_by_host() {
        Some(format!("the run did not end in order: {}", run.answer))
    } else if let Some(unread) = run.unread() {
        Some(lacks(run, &unread))
    } else {
        let were = words::with(missing, "case was", "cases were");
        (missing > 0).then(|| format!("{missing} planned {were} not reached"))
    };
    let mut status = TestCaseStatus::success();
    if let Some(problem) = problem {
        status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(problem);
    }
    let mut test = TestCase::new("ends in order", status);
    test.set_classname("stalecore.run");
    suite.add_test_case(test);
    suite.add_property(("exit", run.exit.to_string().as_str()));
    suite.add_property(("host", run.host.as_str()));
    suite.add_property(("version", run.version.as_str()));
    for maker in run.makers() {
        suite.add_property(("made-by", maker.about()));
    }
    let emulated = run
        .emulated
        .map_or("unknown", |yes| if yes { "yes" } else { "no" });
    suite.add_property(("emulated", emulated));
    suite.set_system_out(format!("{}\n", run.answer));
    suite
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{self, Shape};
    use proptest::prelude::*;
    use quick_xml::{Reader, XmlVersion, events::Event};

    fn text(run: &Run) -> String {
        document(run).unwrap()
    }

    fn whole() -> Run {
        synthetic::run(&Shape {
            cases: 3000,
            samples: 64,
            ..Shape::default()
        })
    }

    #[test]
    fn it_counts_as_the_lines_of_ktap_do() {
        let run = whole();
        let text = text(&run);
        let count = |of: fn(&Verdict) -> bool| run.cases.iter().filter(|c| of(&c.verdict)).count();
        assert_eq!(text.matches("<testcase ").count(), 3001);
        assert_eq!(
            text.matches("<failure ").count(),
            count(|v| !ktap::passes(*v, false))
        );
        assert_eq!(
            text.matches("<skipped ").count(),
            count(|v| *v == Verdict::Skipped)
        );
    }

    #[test]
    fn a_strict_run_fails_where_it_was_slow() {
        let mut run = whole();
        if let Some(plan) = &mut run.plan {
            plan.strict = true;
        }
        assert!(text(&run).contains("type=\"slowed\""));
        assert!(!text(&whole()).contains("type=\"slowed\""));
    }

    #[test]
    fn each_case_has_the_command_that_runs_it_alone() {
        let text = text(&whole());
        assert_eq!(text.matches("<property name=\"command\" ").count(), 3000);
        assert!(text.contains("--ops ic-ivau --stale spin --lines dirty-here"));
    }

    #[test]
    fn a_block_says_where() {
        assert!(text(&whole()).contains(
            "CPU 0 at flush_icache_range+92 (ic ivau), not returned after 2400 ms, released by: el2"
        ));
    }

    #[test]
    fn a_run_that_broke_off_is_an_error() {
        let mut run = whole();
        run.end = None;
        assert_eq!(text(&run).matches("<error ").count(), 1);
        // The host may have reported the end where the image could not.
        run.blocks[0].seen_by = "host".into();
        assert_eq!(text(&run).matches("<error ").count(), 0);
        let mut run = whole();
        run.cases.pop();
        assert!(text(&run).contains("of 3000 cases 2999 were read"));
    }

    #[test]
    fn foreign_text_stays_text() {
        let mut run = whole();
        run.answer = "]]></system-out><testcase name=\"x\"/>\u{0}\u{1b}[31m".into();
        run.cases[1].verdict = Verdict::Skipped;
        run.cases[1].why = Some("\"><failure/>\u{8}".into());
        let text = text(&run);
        assert_eq!(text.matches("<testcase ").count(), 3001);
        assert!(!text.contains('\u{0}') && !text.contains('\u{8}') && !text.contains('\u{1b}'));
    }

    /// The elements of a document in their order, each with the names of its attributes:
    /// as a parser reads them, who takes nothing that is not XML.
    fn skeleton(text: &str) -> Vec<String> {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        (config.check_end_names, config.check_comments) = (true, true);
        let (mut found, mut depth) = (Vec::new(), 0);
        let all = |text: &str| assert!(text.chars().all(is_xml), "{text:?}");
        loop {
            match reader.read_event().expect("XML") {
                Event::Start(element) => {
                    depth += 1;
                    let mut line = format!("{depth} {:?}", element.name());
                    for attribute in element.attributes() {
                        let attribute = attribute.expect("an attribute");
                        let value = attribute
                            .normalized_value(XmlVersion::Implicit1_0)
                            .expect("its value");
                        all(&value);
                        line += &format!(" {:?}", attribute.key);
                    }
                    found.push(line);
                }
                Event::End(_) => depth -= 1,
                Event::Text(text) => all(&text.decode().expect("text")),
                Event::GeneralRef(name) => assert!(
                    name.is_char_ref() || XML.contains(&&*name.decode().expect("a name")),
                    "{name:?}"
                ),
                Event::Decl(_) => {}
                Event::Eof => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(depth, 0);
        found
    }

    /// What a document may name without saying what it is.
    const XML: [&str; 5] = ["lt", "gt", "amp", "quot", "apos"];

    /// May this stand in a document at all (XML 1.0, 2.2)?
    fn is_xml(c: char) -> bool {
        matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn texts_are_no_markup(
            pieces in prop::collection::vec(prop::sample::select(synthetic::MARKUP), 1..12),
        ) {
            let text = pieces.concat();
            let mut run = synthetic::run(&Shape { cases: 8, samples: 32, ..Shape::default() });
            for (case, verdict) in run.cases.iter_mut().zip(Verdict::ALL) {
                (case.verdict, case.why) = (*verdict, Some("why".into()));
            }
            let [hostile, harmless] = [&*text, "x"].map(|text| {
                let (poisoned, many) = synthetic::poisoned(&run, text);
                assert!(many > 20, "{many} texts");
                skeleton(&super::tests::text(&poisoned))
            });
            prop_assert_eq!(hostile, harmless);
        }
    }
}
