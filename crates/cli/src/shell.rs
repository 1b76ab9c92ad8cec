//! Shell completions and man pages, from the definitions of the arguments.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell;
use stalecore_model::exit::ExitCode;

use crate::stdout;

/// Print completions for a shell
#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Print the man page, or write one for each command into a directory
#[derive(clap::Args)]
pub struct ManArgs {
    /// Where to write stalecore.1, stalecore-run.1 and the others
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

/// Prints the completions of `command` for a shell.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "stalecore", &mut text);
    stdout::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::Expected)
}

/// Prints the man page of `command`, or writes those of all its subcommands.
///
/// # Errors
/// Names what cannot be written.
pub fn man(args: &ManArgs, command: Command) -> Result<ExitCode> {
    if let Some(dir) = &args.dir {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        clap_mangen::generate_to(command, dir).with_context(|| dir.display().to_string())?;
        return Ok(ExitCode::Expected);
    }
    let mut text = Vec::new();
    page(command).render(&mut text)?;
    stdout::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::Expected)
}

fn page(command: Command) -> clap_mangen::Man {
    let codes = ExitCode::BY_SERIOUSNESS
        .iter()
        .rev()
        .map(|(code, meaning)| format!("{:>4}  {meaning}", *code as u8));
    let codes: Vec<_> = codes.collect();
    let extra = format!(
        "Exit codes, of which the most serious wins:\n\n{}",
        codes.join("\n")
    );
    clap_mangen::Man::new(command.after_long_help(extra))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_is_completed_in_every_shell() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut crate::Cli::command(), "stalecore", &mut text);
            let text = String::from_utf8(text).unwrap();
            for word in ["compare", "threshold", "initiators"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn there_is_a_man_page_for_each_command() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs {
            dir: Some(dir.path().into()),
        };
        man(&args, crate::Cli::command()).unwrap();
        let compare = fs::read_to_string(dir.path().join("stalecore-compare.1")).unwrap();
        assert!(compare.contains("\\-\\-threshold"), "{compare}");
        assert!(dir.path().join("stalecore.1").exists());
    }

    #[test]
    fn the_man_page_has_the_exit_codes() {
        let mut text = Vec::new();
        page(crate::Cli::command()).render(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("124") && text.contains("incoherent"));
    }
}
