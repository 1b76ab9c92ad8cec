//! `stalecore compare`: has anything got worse from one run to another?
//!
//! For each case that both have, the shift of the median and of the 99th
//! percentile is measured by bootstrap (see [`bootstrap`]). A shift counts when
//! it is beyond the threshold, more than the counters resolve, and significant
//! among all the tests of the comparison (Holm, 5 %). A more serious verdict
//! counts by itself. What varies from run to run on one machine is not in the
//! intervals: compare two runs of the same thing to see how much that is.

mod bootstrap;
mod judge;
mod shift;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use stalecore_model::exit::ExitCode;

use crate::{stderr, stdout, store};

/// Compare two runs case by case; exit with 1 if something got worse.
///
/// A case got worse if its median or 99th percentile is later by the threshold
/// or more, significantly so among all tests of the comparison (Holm, 5 %), or
/// if it faulted, blocked or was incoherent and was not before. Exit codes: 0
/// nothing got worse, 1 something did, 2 the runs cannot be read or compared.
#[derive(clap::Args)]
pub struct Args {
    /// The run to compare with: its directory or run.json.
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    base: PathBuf,
    /// The run in question.
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    new: PathBuf,
    /// From how many times later on a significant shift counts.
    #[arg(long, value_name = "TIMES", default_value = "1.25", value_parser = threshold)]
    threshold: f64,
    /// Compare slow-downs against each run's own baselines instead of times,
    /// so that a machine that is slower as a whole does not count.
    #[arg(long)]
    relative: bool,
    /// List the cases that did not change too.
    #[arg(long)]
    all: bool,
    /// Write everything as JSON.
    #[arg(long, conflicts_with = "all")]
    json: bool,
}

fn threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(times) if (1.0..=1e6).contains(&times) => Ok(times),
        _ => Err("allowed: 1.0 to 1000000".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// A run that cannot be read, or two that have nothing in common.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (base, new) = (store::read(&args.base)?, store::read(&args.new)?);
    let found = judge::compare(&base, &new, args.threshold, args.relative)?;
    let warnings = table::warnings(&base, &new);
    let code = if found.cases.iter().any(|c| c.change.fails()) {
        ExitCode::Slowed
    } else {
        ExitCode::Expected
    };
    if args.json {
        let mut value = serde_json::to_value(&found)?;
        value["schema"] = json!(1);
        value["exit"] = json!(code as u8);
        value["warnings"] = json!(warnings);
        stdout::print(&format!("{value:#}\n"))?;
    } else {
        for warning in warnings {
            stderr::complain(&warning);
        }
        let table = table::table(&found, args.all);
        stdout::print(&(table + &table::summary(&found)))?;
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
}
