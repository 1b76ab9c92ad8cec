//! `run.json`: where a run is kept between commands.
//!
//! `run` writes it; `report` and `compare` read it, perhaps years later and
//! perhaps from a stranger, so nothing in the file is trusted: its size, its
//! version and its number of cases are checked before anything is allocated
//! for them.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use stalecore_model::{
    glossary::{LineState, StaleState, Subject},
    record::SCHEMA,
    run::Run,
};

use crate::whole_file;

/// The file's name within a run's directory.
pub const FILE: &str = "run.json";

/// The most bytes that are read: a run of every case there is, each with four
/// full histograms, stays far below it.
const MAX_BYTES: u64 = 64 << 20;

/// The most cases that a run can have: each operation or routine once in each stale
/// state and line state.
const MAX_CASES: usize = Subject::ALL.len() * StaleState::ALL.len() * LineState::ALL.len();

/// Writes `run` to `dir/run.json`, making the directory if it is not there,
/// and returns the file's path. A reader sees the whole file or the one before
/// it, never half of one.
///
/// # Errors
/// What the file system refuses, with the path.
pub fn write(run: &Run, dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join(FILE);
    let mut text = serde_json::to_vec(run)?;
    text.push(b'\n');
    whole_file::write_here(&path, &text)?;
    Ok(path)
}

/// Reads a run from its directory or from the file itself.
///
/// # Errors
/// One line that names the file and what is wrong with it: it cannot be read,
/// is too large, is no JSON or no run, is of another version, or contradicts
/// itself.
pub fn read(path: &Path) -> Result<Run> {
    let path = if path.is_dir() {
        path.join(FILE)
    } else {
        path.to_path_buf()
    };
    bytes(&path)
        .and_then(|bytes| parse(&bytes))
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Where the files of one boot of several are, in the directory of all.
pub fn boot(dir: &Path, nth: usize) -> PathBuf {
    dir.join(format!("boot-{nth}"))
}

/// Reads a run as its boots: one, or several where it was repeated.
///
/// # Errors
/// As [`read`]; or a boot's own file is not beside it.
pub fn read_boots(path: &Path) -> Result<Vec<Run>> {
    let run = read(path)?;
    let dir = match path.is_dir() {
        true => path,
        false => path.parent().unwrap_or(Path::new(".")),
    };
    match run.boots.len() {
        0 => Ok(vec![run]),
        n => (1..=n).map(|nth| read(&boot(dir, nth))).collect(),
    }
}

/// The bytes of a run's file.
///
/// # Errors
/// It cannot be read, or is larger than any run.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    whole_file::read(path, MAX_BYTES)
}

/// Reads a run from the text of its file.
///
/// # Errors
/// As [`read`], without the path.
pub fn parse(bytes: &[u8]) -> Result<Run> {
    if bytes.len() as u64 > MAX_BYTES {
        bail!("larger than {} MiB, so it is no run", MAX_BYTES >> 20);
    }
    // One cheap walk first: the version decides whether the rest can be
    // understood at all, and a case takes a hundred times more memory than text.
    let outline: Outline = serde_json::from_slice(bytes)?;
    match outline.schema {
        None => bail!("no \"schema\", so it is no run"),
        Some(0) => bail!("schema 0 was never released; run it again"),
        Some(newer) if newer > SCHEMA => bail!(
            "schema {newer} is from a newer stalecore; this one ({}) reads up to {SCHEMA}",
            env!("CARGO_PKG_VERSION")
        ),
        Some(_) => {}
    }
    if outline.cases.0 > MAX_CASES {
        bail!(
            "{} cases, but there are only {MAX_CASES} different ones",
            outline.cases.0
        );
    }
    let run: Run = serde_json::from_slice(bytes)?;
    let mut seen = HashSet::new();
    let mut numbers = HashSet::new();
    for case in &run.cases {
        if !numbers.insert(case.n) || !seen.insert((case.op, case.state, case.line)) {
            bail!(
                "case {} ({} under {}, {}) is there twice",
                case.n,
                case.op,
                case.state,
                case.line
            );
        }
    }
    Ok(run)
}

/// What must be known of a file before it is read as a run.
#[derive(Deserialize)]
#[serde(expecting = "a run, an object with \"schema\" and \"cases\"")]
struct Outline {
    schema: Option<u32>,
    #[serde(default)]
    cases: Length,
}

/// The length of a list, its elements passed over without keeping them.
#[derive(Default)]
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;
        impl<'de> Visitor<'de> for Counter {
            type Value = Length;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Length, A::Error> {
                let mut length = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    length += 1;
                }
                Ok(Length(length))
            }
        }
        deserializer.deserialize_seq(Counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::plain;
    use stalecore_model::{
        glossary::Verdict,
        histogram::Histogram,
        record::{CaseRecord, Record},
    };

    fn case(n: u32, op: Subject) -> CaseRecord {
        let mut samples = Histogram::new();
        samples.add_many(140, 63);
        samples.add(9000);
        let (n, state) = (n as usize, StaleState::Spin);
        CaseRecord {
            complete: samples.clone(),
            base_complete: samples,
            ..plain::case(n, op, state, Verdict::Completed, None)
        }
    }

    fn run() -> Run {
        let mut run = Run {
            schema: SCHEMA,
            answer: "Nothing was held up.".into(),
            ..Run::default()
        };
        run.take(Record::Case(Box::new(case(1, Subject::IcIvau))));
        run.take(Record::Case(Box::new(case(2, Subject::DcCvau))));
        run
    }

    fn error(text: &str) -> String {
        format!("{:#}", parse(text.as_bytes()).unwrap_err())
    }

    fn text() -> String {
        serde_json::to_string(&run()).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = std::env::temp_dir().join(format!("stalecore-store-{}", std::process::id()));
        let file = write(&run(), &dir).unwrap();
        assert_eq!(read(&dir).unwrap(), run());
        assert_eq!(read(&file).unwrap(), run());
        let missing = format!("{:#}", read(&dir.join("nowhere")).unwrap_err());
        assert!(missing.contains("nowhere"), "{missing}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn another_version_is_named() {
        let this = format!("\"schema\":{SCHEMA}");
        let newer = text().replacen(&this, "\"schema\":1000", 1);
        assert!(error(&newer).contains("schema 1000 is from a newer stalecore"));
        let never = text().replacen(&this, "\"schema\":0", 1);
        assert!(error(&never).contains("schema 0"));
        // A newer version is named even if nothing else can be understood.
        assert!(error("{\"schema\":7,\"cases\":[{\"x\":1}]}").contains("schema 7"));
        assert!(error("{}").contains("no \"schema\""));
    }

    #[test]
    fn what_is_no_run_is_said() {
        for (text, part) in [
            ("", "EOF"),
            ("3", "a run, an object"),
            ("{\"schema\":1,\"cases\":3}", "a list"),
            ("{\"schema\":1,\"cases\":[]}", "missing field"),
            ("{\"schema\":NaN}", "line 1"),
            ("{\"schema\":-1}", "invalid value"),
            ("{\"schema\":1,\"schema\":1}", "duplicate field"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let text = text();
        for end in 0..text.len() {
            assert!(parse(&text.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let answer = "\"answer\":\"Nothing was held up.\"";
        let nested = text().replacen(answer, &format!("\"answer\":{deep}"), 1);
        assert!(
            error(&nested).contains("invalid type"),
            "{}",
            error(&nested)
        );
        let unknown = text().replacen(answer, &format!("{answer},\"extra\":{deep}"), 1);
        // An unknown field is skipped without recursion.
        assert!(parse(unknown.as_bytes()).is_ok());
    }

    #[test]
    fn the_same_case_twice_is_an_error() {
        for twice in [case(1, Subject::DsbSy), case(9, Subject::IcIvau)] {
            let mut run = run();
            run.cases.push(twice);
            let text = serde_json::to_string(&run).unwrap();
            assert!(error(&text).contains("is there twice"));
        }
    }

    #[test]
    fn too_much_is_refused_before_it_is_kept() {
        let cases = vec!["0"; MAX_CASES + 1].join(",");
        let message = error(&format!("{{\"schema\":1,\"cases\":[{cases}]}}"));
        assert!(message.contains("different ones"), "{message}");
        let message = format!("{:#}", read(Path::new("/dev/zero")).unwrap_err());
        assert!(message.contains("larger than 64 MiB"), "{message}");
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_an_error() {
        let wire = case(1, Subject::None).complete.to_wire();
        let wrong = text().replacen(&wire, "1-2@zzz", 1);
        assert!(error(&wrong).contains("histogram '1-2@zzz'"));
    }
}
