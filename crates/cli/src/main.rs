//! `stalecore`: runs the image, explains what it found and draws it.

#![deny(unsafe_code)]

mod carried;
mod colour;
mod compare;
mod deploy;
mod flatten;
mod junit;
mod lacks;
mod list;
mod live;
mod report;
mod run;
mod saved_log;
mod serial;
mod shell;
mod stderr;
mod stdout;
mod store;
mod triage;
mod usage;
mod whole_file;

use clap::{CommandFactory, Parser, Subcommand};
use stalecore_model::exit::ExitCode;
#[cfg(test)]
use stalecore_synthetic as synthetic;

/// Can a core that is stuck delay or block another core's cache maintenance?
#[derive(Parser)]
#[command(name = "stalecore", version = carried::version())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot the image, leave cores stale, time every operation, give a verdict
    Run(Box<run::Args>),
    Serial(serial::Args),
    Read(saved_log::Args),
    Live(Box<live::Args>),
    Deploy(Box<deploy::Args>),
    /// Read a kernel's console log, say where its kdump path stopped
    Triage(triage::Args),
    /// Print operations, stale states, line states, presets, verdicts and exit codes
    List(list::Args),
    Report(report::Args),
    Compare(compare::Args),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
    /// Make the flat image from the ELF file
    #[command(hide = true)]
    Flatten(flatten::Args),
}

fn main() -> std::process::ExitCode {
    let command = match usage::parse::<Cli>() {
        Ok(cli) => cli.command,
        Err(code) => return code,
    };
    let done = match command {
        Command::Run(args) => run::run(*args),
        Command::Serial(args) => serial::serial(&args),
        Command::Read(args) => saved_log::read(&args),
        Command::Live(args) => live::run(*args),
        Command::Deploy(args) => deploy::run(&args),
        Command::Triage(args) => triage::run(&args),
        Command::List(args) => list::list(&args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Completions(args) => shell::completions(&args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
        Command::Flatten(args) => flatten::flatten(&args),
    };
    let code = done.unwrap_or_else(|error| {
        stderr::complain(&format!("{error:#}"));
        ExitCode::Harness
    });
    std::process::ExitCode::from(code as u8)
}
