//! `stalecore`: runs the image, explains what it found and draws it.

mod compare;
mod report;
mod store;
#[cfg(test)]
mod synthetic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Can a core that is stuck delay or block another core's cache maintenance?
#[derive(Parser)]
#[command(name = "stalecore", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Report(report::Args),
    Compare(compare::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("stalecore: {error:#}");
        ExitCode::from(2)
    })
}
