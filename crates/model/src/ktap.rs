//! KTAP version 1, as the image writes it and the kernel's parsers read it.
//!
//! The output begins with the version and the number of subjects, goes on with the records
//! (diagnostic lines), and ends with the tree: a nested test for each subject with a case
//! for each stale state. The tree comes last because the cases of a subject are spread over
//! the run.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::{
    exit::ExitCode,
    glossary::{Subject, Verdict},
    plan::{Case, Plan},
    record::Maker,
};

/// The first line of the console.
pub const VERSION: &str = "KTAP version 1";

/// What a diagnostic line begins with.
pub const DIAGNOSTIC: &str = "# ";

/// What the last line begins with; the exit code follows.
pub const EXIT: &str = "stalecore: exit ";

/// The outcome of a case, for its line in the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome<'a> {
    /// What was found.
    pub verdict: Verdict,
    /// Why, where the case's record says so.
    pub why: Option<&'a str>,
    /// What made it, where it was not the machine's own cores and caches.
    pub by: Option<Maker>,
    /// Was a single sample late?
    pub late: bool,
}

/// The plan's subjects, in the order of their first case.
pub fn subjects(plan: &Plan) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for case in plan.groups.iter().flat_map(|g| &g.cases) {
        if !subjects.contains(&case.subject) {
            subjects.push(case.subject);
        }
    }
    subjects
}

/// Writes the first two lines: the version, and how many subjects follow.
///
/// # Errors
/// Those of `out`.
pub fn write_head(out: &mut dyn Write, plan: &Plan) -> fmt::Result {
    writeln!(out, "{VERSION}\n1..{}", subjects(plan).len())
}

/// Writes the tree. A case without an outcome is one that the run did not reach. `strict`
/// says whether a slowed case counts against the exit code; a case is `ok` exactly if it
/// does not count against it.
///
/// # Errors
/// Those of `out`.
pub fn write_tree<'a>(
    out: &mut dyn Write,
    plan: &Plan,
    strict: bool,
    outcome: impl Fn(&Case) -> Option<Outcome<'a>>,
) -> fmt::Result {
    for (nth, subject) in subjects(plan).into_iter().enumerate() {
        let cases = || {
            plan.groups
                .iter()
                .flat_map(|g| &g.cases)
                .filter(move |c| c.subject == subject)
        };
        let lines = cases().any(|c| Some(c.line) != cases().next().map(|f| f.line));
        writeln!(out, "    {VERSION}\n    1..{}", cases().count())?;
        let (mut all_ok, mut all_skipped) = (true, true);
        for (nth, case) in cases().enumerate() {
            let found = outcome(case).unwrap_or(Outcome {
                verdict: Verdict::Skipped,
                why: Some("not reached"),
                by: None,
                late: false,
            });
            let ok = passes(found.verdict, strict);
            all_ok &= ok;
            all_skipped &= found.verdict == Verdict::Skipped;
            write!(out, "    {} {} {}", word(ok), nth + 1, case.state)?;
            if lines {
                write!(out, "/{}", case.line)?;
            }
            write_directive(out, found)?;
        }
        let skip = if all_skipped { " # SKIP" } else { "" };
        writeln!(out, "{} {} - {subject}{skip}", word(all_ok), nth + 1)?;
    }
    Ok(())
}

/// Writes the last line, which tells the exit code where semihosting cannot.
///
/// # Errors
/// Those of `out`.
pub fn write_exit(out: &mut dyn Write, code: ExitCode) -> fmt::Result {
    writeln!(out, "{EXIT}{}", code as u8)
}

/// Is a case of this verdict `ok`?
pub fn passes(verdict: Verdict, strict: bool) -> bool {
    !(strict && verdict == Verdict::Slowed) && verdict.exit_code() == ExitCode::Expected
}

const fn word(ok: bool) -> &'static str {
    if ok { "ok" } else { "not ok" }
}

fn write_directive(out: &mut dyn Write, found: Outcome<'_>) -> fmt::Result {
    if found.verdict == Verdict::Skipped {
        out.write_str(" # SKIP")?;
    } else {
        let mut before = " # ";
        let mut say = |text: &str, what: &str| {
            write!(out, "{before}{text}{what}")?;
            before = ", ";
            Ok(())
        };
        if found.verdict != Verdict::Completed {
            say("", found.verdict.name())?;
        }
        if found.late {
            say("", "late")?;
        }
        if let Some(by) = found.by {
            say("made by ", by.about())?;
        }
    }
    if let Some(why) = found.why {
        out.write_str(if found.verdict == Verdict::Skipped {
            " "
        } else {
            ": "
        })?;
        // A newline would end the line, and a '#' would begin another directive.
        for c in why.chars() {
            out.write_char(if c.is_control() || c == '#' { ' ' } else { c })?;
        }
    }
    out.write_char('\n')
}

/// One KTAP line, as far as the host needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ktap {
    /// The version line.
    Version,
    /// How many tests follow.
    Plan(u32),
    /// A test's result.
    Result {
        /// Is it inside a test, so that it is a case and not a subject?
        nested: bool,
        /// `ok`?
        ok: bool,
        /// Not run?
        skipped: bool,
    },
}

impl Ktap {
    /// Reads a line; `None` if it is not KTAP.
    pub fn read(line: &str) -> Option<Self> {
        let text = line.trim_start_matches([' ', '\t']);
        let nested = text.len() < line.len();
        let text = text.trim_end();
        if text == VERSION {
            return Some(Self::Version);
        }
        if let Some(count) = text.strip_prefix("1..") {
            return digits(count).map(Self::Plan);
        }
        let (ok, rest) = match text.strip_prefix("ok ") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("not ok ")?),
        };
        digits(rest.split(' ').next()?)?;
        let skipped = rest
            .split_once(" # ")
            .is_some_and(|(_, directive)| directive.starts_with("SKIP"));
        Some(Self::Result {
            nested,
            ok,
            skipped,
        })
    }
}

fn digits(text: &str) -> Option<u32> {
    (text.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{glossary::StaleState, options::Options};
    use alloc::{string::String, vec};
    use proptest::prelude::*;

    fn plan(text: &str) -> Plan {
        Plan::new(&Options::from_bootargs(text).unwrap(), 4).unwrap()
    }

    fn tree(plan: &Plan, strict: bool, of: impl Fn(&Case) -> Option<Outcome<'static>>) -> String {
        let mut text = String::new();
        write_tree(&mut text, plan, strict, of).unwrap();
        text
    }

    #[test]
    fn the_tree_nests_states_in_operations() {
        let plan = plan("stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe,cpu-off");
        let mut head = String::new();
        write_head(&mut head, &plan).unwrap();
        assert_eq!(head, "KTAP version 1\n1..2\n");
        let text = tree(&plan, false, |case| {
            let (verdict, why) = match (case.subject, case.state) {
                (_, StaleState::CpuOff) => (Verdict::Skipped, Some("no PSCI")),
                (Subject::IcIvau, StaleState::Spin) => (Verdict::Completed, None),
                (Subject::IcIvau, _) => (Verdict::Blocked, None),
                (_, StaleState::Spin) => (Verdict::Slowed, None),
                _ => return None,
            };
            Some(Outcome {
                verdict,
                why,
                by: None,
                late: case.subject == Subject::DcCivac,
            })
        });
        assert_eq!(
            text,
            "    KTAP version 1\n    1..3\n    ok 1 spin\n    not ok 2 wfe # blocked\n    \
             ok 3 cpu-off # SKIP no PSCI\nnot ok 1 - ic-ivau\n    KTAP version 1\n    1..3\n    \
             ok 1 spin # slowed, late\n    ok 2 wfe # SKIP not reached\n    \
             ok 3 cpu-off # SKIP no PSCI\nok 2 - dc-civac\n"
        );
    }

    #[test]
    fn several_line_states_are_named() {
        let plan =
            plan("stalecore.ops=none,ic-ivau stalecore.stale=spin stalecore.lines=cold,shared");
        let text = tree(&plan, true, |_| {
            Some(Outcome {
                verdict: Verdict::Slowed,
                why: None,
                by: None,
                late: false,
            })
        });
        assert!(
            text.contains("\n    not ok 2 spin/shared # slowed\n"),
            "{text}"
        );
        assert!(text.starts_with("    KTAP version 1\n    1..1\n    not ok 1 spin # slowed\n"));
    }

    #[test]
    fn a_reason_cannot_break_its_line() {
        let plan = plan("stalecore.ops=ic-ivau stalecore.stale=spin");
        let text = tree(&plan, false, |_| {
            Some(Outcome {
                verdict: Verdict::Skipped,
                why: Some("odd\nnot ok 1 # reason"),
                by: None,
                late: false,
            })
        });
        assert_eq!(
            text.lines().collect::<Vec<_>>()[2..],
            [
                "    ok 1 spin # SKIP odd not ok 1   reason",
                "ok 1 - ic-ivau # SKIP"
            ]
        );
    }

    #[test]
    fn lines_are_told_apart() {
        let result = |nested, ok, skipped| {
            Some(Ktap::Result {
                nested,
                ok,
                skipped,
            })
        };
        for (line, expected) in [
            ("    KTAP version 1\r", Some(Ktap::Version)),
            ("1..18", Some(Ktap::Plan(18))),
            ("    ok 1 spin", result(true, true, false)),
            ("    ok 4 cpu-off # SKIP no PSCI", result(true, true, true)),
            ("not ok 1 - ic-ivau", result(false, false, false)),
            ("ok computer", None),
            ("1..x", None),
            ("1..99999999999", None),
            ("", None),
        ] {
            assert_eq!(Ktap::read(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_counted(verdicts in prop::collection::vec(0..Verdict::ALL.len(), 12), strict: bool) {
            let plan = plan("stalecore.ops=ic-ivau,dc-civac,tlbi-vmalle1is stalecore.stale=spin,wfe,parked,cpu-off");
            let of = |case: &Case| Verdict::ALL[verdicts[case.number - 1]];
            let text = {
                let mut text = String::new();
                write_tree(&mut text, &plan, strict, |case| Some(Outcome { verdict: of(case), why: None, by: None, late: false })).unwrap();
                text
            };
            let mut counts = vec![0; 3];
            for line in text.lines() {
                match Ktap::read(line) {
                    Some(Ktap::Result { nested: true, ok, skipped }) => {
                        counts[if skipped { 2 } else { usize::from(ok) }] += 1;
                    }
                    read => prop_assert!(read.is_some(), "{}", line),
                }
            }
            let all: Vec<_> = plan.groups.iter().flat_map(|g| &g.cases).map(of).collect();
            let skipped = all.iter().filter(|v| **v == Verdict::Skipped).count();
            let ok = all.iter().filter(|v| passes(**v, strict)).count() - skipped;
            prop_assert_eq!(counts, vec![12 - ok - skipped, ok, skipped]);
        }

        #[test]
        fn reading_never_panics(line in ".{0,80}") {
            let _ = Ktap::read(&line);
        }
    }

    #[test]
    fn the_last_line_is_the_exit_code() {
        let mut text = String::new();
        write_exit(&mut text, ExitCode::Silence).unwrap();
        assert_eq!(text, "stalecore: exit 124\n");
    }
}
