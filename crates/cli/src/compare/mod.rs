//! `stalecore compare`: has anything got worse from one build, or machine, to another?
//!
//! Each side is one run or several. For each case that all have, the shift of the median
//! and of the 99th percentile is set against what differs from boot to boot within a side
//! (see [`shift`]); with one run a side that is not known, and what differs between rounds
//! and cases stands for it. With several, each operation is also compared in all of its
//! cases together (see [`operation`]). A shift counts when it is beyond the threshold, more
//! than the counters resolve, outside everything that a side shows by itself, and
//! significant among all tests of the comparison (Holm, 5 %). A more serious verdict counts
//! by itself.

mod bootstrap;
mod judge;
mod noise;
mod operation;
mod shift;
mod side;
mod student;
mod table;
mod warnings;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use stalecore_model::{exit::ExitCode, run::Run};

use crate::{stderr, stdout, store};

/// Compare runs case by case; exit with 1 if something got worse.
///
/// Two runs, or several a side, with -- between the sides: what differs between the runs
/// of one side is then known, and is no change. A case got worse if its median or 99th
/// percentile is later by the threshold or more, outside of what each side shows by itself
/// and significantly so among all tests of the comparison (Holm, 5 %), or if it faulted,
/// blocked or was incoherent and was not before. With several runs a side an operation also
/// got worse if the mean of its cases is later so, against the other operations too. Exit
/// codes: 0 nothing got worse, 1 something did, 2 the runs cannot be read or compared, or
/// results of one were lost and nothing else got worse, 6 no case could be compared.
#[derive(clap::Args)]
pub struct Args {
    /// The run to compare with, its directory or run.json, and the run in question; with --,
    /// the runs to compare with.
    #[arg(value_name = "BASE", required = true, value_hint = clap::ValueHint::AnyPath)]
    base: Vec<PathBuf>,
    /// Behind --: the runs in question.
    #[arg(last = true, value_name = "NEW", value_hint = clap::ValueHint::AnyPath)]
    new: Vec<PathBuf>,
    /// How many times later makes a significant shift count.
    #[arg(long, value_name = "TIMES", default_value = "1.25", value_parser = threshold)]
    threshold: f64,
    /// Compare slow-downs against each run's own baselines instead of times,
    /// so that it does not matter if a machine is slower as a whole.
    #[arg(long)]
    relative: bool,
    /// Say how large a change these runs could have shown.
    #[arg(long)]
    noise: bool,
    /// Also list the cases that did not change.
    #[arg(long)]
    all: bool,
    /// Write everything as JSON.
    #[arg(long, conflicts_with_all = ["all", "noise"])]
    json: bool,
}

fn threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(times) if (1.0..=1e6).contains(&times) => Ok(times),
        _ => Err("allowed: 1.0 to 1000000".into()),
    }
}

impl Args {
    /// The two sides.
    fn sides(&self) -> Result<[&[PathBuf]; 2]> {
        match (self.base.as_slice(), self.new.as_slice()) {
            ([base, new], []) => Ok([std::slice::from_ref(base), std::slice::from_ref(new)]),
            (_, []) => anyhow::bail!(
                "{} named; allowed: two, or several a side with -- between the sides",
                stalecore_model::words::count(self.base.len(), "run is", "runs are")
            ),
            (base, new) => Ok([base, new]),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A run that cannot be read, or sides that have nothing in common.
pub fn run(args: &Args) -> Result<ExitCode> {
    let [base, new] = args.sides()?;
    let read = |side: &[PathBuf]| -> Result<Vec<Run>> {
        let runs = side.iter().map(|path| store::read_boots(path));
        Ok(runs.collect::<Result<Vec<_>>>()?.concat())
    };
    let (base, new) = (read(base)?, read(new)?);
    let found = judge::compare(&base, &new, args.threshold, args.relative)?;
    let warnings = warnings::warnings(&base, &new);
    let code = found.code();
    if args.json {
        let mut value = serde_json::to_value(&found)?;
        value["schema"] = json!(2);
        value["exit"] = json!(code as u8);
        value["warnings"] = json!(warnings);
        stdout::print_json(&format!("{value:#}\n"))?;
    } else {
        for warning in warnings {
            stderr::complain(&warning);
        }
        let mut text = table::table(&found, args.all);
        if args.noise {
            text += &noise::text(&found);
        }
        stdout::print(&(text + &table::summary(&found)))?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_finite_and_at_least_one() {
        assert_eq!(threshold("1.5"), Ok(1.5));
        for wrong in ["0.9", "NaN", "inf", "-2", "x", ""] {
            assert!(threshold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_runs_or_two_sides() {
        use clap::Parser;
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let sides = |words: &[&str]| {
            let words = std::iter::once(&"compare").chain(words);
            let args = Cli::try_parse_from(words).ok()?.args;
            let sides = args.sides().ok()?;
            Some(sides.map(<[PathBuf]>::len))
        };
        assert_eq!(sides(&["a", "b"]), Some([1, 1]));
        assert_eq!(sides(&["a", "--", "b"]), Some([1, 1]));
        assert_eq!(sides(&["a", "b", "c", "--", "d", "e"]), Some([3, 2]));
        assert_eq!(sides(&["a"]), None);
        assert_eq!(sides(&["a", "b", "c"]), None);
        assert_eq!(sides(&["--", "b"]), None);
    }
}
