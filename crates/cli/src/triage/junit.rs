//! What a log holds, as CI systems read it: a test case for each crash, named by its
//! signature.

use std::path::Path;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use stalecore_triage::{Expect, Tally};

use crate::whole_file;

/// Writes the report on the log called `log` to `path`. A crash that misses the
/// expectation fails; without an expectation each does.
///
/// # Errors
/// What the file system refuses, with the path.
pub fn write(tally: &Tally, log: &str, expect: Option<Expect>, path: &Path) -> Result<()> {
    let text = report(tally, log, expect)
        .to_string()
        .with_context(|| path.display().to_string())?;
    whole_file::write(path, text.as_bytes())
}

fn report(tally: &Tally, log: &str, expect: Option<Expect>) -> Report {
    let kind = expect.map_or("crash", Expect::name);
    let mut suite = TestSuite::new(log);
    let mut add = |name: String, missed: Option<(&str, String)>| {
        let mut status = TestCaseStatus::success();
        if let Some((message, more)) = missed {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(kind);
            status.set_message(message);
            status.set_description(more);
        }
        let mut case = TestCase::new(name, status);
        case.set_classname("triage");
        suite.add_test_case(case);
    };
    for told in tally.told() {
        let missed = (told.words.as_str(), format!("line {}", told.line));
        add(
            format!("crash {} ({})", told.number, told.signature),
            told.misses(expect).then_some(missed),
        );
    }
    let (further, missed) = tally.further(expect);
    if further > 0 {
        let text = format!("{missed} of them");
        add(
            format!("{further} more"),
            (missed > 0).then_some((text.as_str(), String::new())),
        );
    }
    if let Some(expect) = expect.filter(|_| tally.told().is_empty()) {
        let missed = tally.missed(expect);
        add(
            format!("expected {kind}"),
            (!tally.meets(expect)).then_some((missed.as_str(), String::new())),
        );
    }
    let mut report = Report::new("stalecore triage");
    report.add_test_suite(suite);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: &str = "[    1.000000] sysrq: Trigger a crash\n\
                         [    1.100000] Kernel panic - not syncing: sysrq triggered crash\n\
                         [    1.200000] SMP: stopping secondary CPUs\n\
                         [    1.300000] Starting crashdump kernel...\n";

    fn text(log: &str, expect: Option<Expect>) -> String {
        let tally = stalecore_triage::write_words(log.as_bytes(), std::io::sink()).unwrap();
        report(&tally, "a \"log\"", expect).to_string().unwrap()
    }

    #[test]
    fn a_crash_fails_that_misses_what_was_expected() {
        let missed = text(CRASH, Some(Expect::Bye));
        for part in [
            "tests=\"1\" ",
            "failures=\"1\"",
            "type=\"bye\"",
            "a &quot;log&quot;",
            "line 1",
        ] {
            assert!(missed.contains(part), "{part}: {missed}");
        }
        let met = text(CRASH, Some(Expect::StoppedAll));
        assert!(
            met.contains("failures=\"0\"") && met.contains("crash 1 ("),
            "{met}"
        );
        let any = text(CRASH, None);
        assert!(
            any.contains("failures=\"1\"") && any.contains("type=\"crash\""),
            "{any}"
        );
    }

    #[test]
    fn a_log_without_a_crash_is_judged_too() {
        assert!(text("", Some(Expect::NoCrash)).contains("failures=\"0\""));
        assert!(text("", Some(Expect::Saved)).contains("failures=\"1\""));
        assert!(text("", None).contains("tests=\"0\""));
    }

    #[test]
    fn crashes_that_are_not_told_one_by_one_fail_all_the_same() {
        let bye = format!("{CRASH}[    1.400000] Bye!\n");
        let all = text(&bye.repeat(150), Some(Expect::Bye));
        assert!(
            all.contains("failures=\"0\"") && all.contains("\"50 more\""),
            "{all}"
        );
        let one = text(&(bye.repeat(150) + CRASH), Some(Expect::Bye));
        assert!(
            one.contains("failures=\"1\"") && one.contains("1 of them"),
            "{one}"
        );
    }
}
