//! Mistakes on the command line, each as one line that names what is wrong and
//! what is allowed.

use std::process::ExitCode;

use clap::{
    Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Reads the command line.
///
/// # Errors
/// The exit code to end with: help was asked for and printed (0), or a mistake
/// was named (2).
pub fn parse<C: Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ) {
            // Help into a closed pipe is no mistake.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        let words: Vec<_> = std::env::args().skip(1).collect();
        crate::stderr::complain(&one_line(&error, &C::command(), &words));
        ExitCode::from(2)
    })
}

fn one_line(error: &clap::Error, command: &Command, words: &[String]) -> String {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    match error.kind() {
        ErrorKind::UnknownArgument => format!(
            "unexpected argument '{}'{}; allowed: {}",
            named(ContextKind::InvalidArg),
            meant(error, ContextKind::SuggestedArg),
            flags(command, words)
        ),
        ErrorKind::InvalidSubcommand => format!(
            "unknown command '{}'{}; allowed: {}",
            named(ContextKind::InvalidSubcommand),
            meant(error, ContextKind::SuggestedSubcommand),
            subcommands(command)
        ),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("a command is needed; allowed: {}", subcommands(command))
        }
        // What clap says before it shows the usage, on one line.
        _ => {
            let text = error.render().to_string();
            let lines: Vec<_> = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
                .filter(|line| !line.is_empty())
                .collect();
            let text = lines.join(" ");
            text.strip_prefix("error: ").unwrap_or(&text).to_string()
        }
    }
}

/// What was most likely meant.
fn meant(error: &clap::Error, kind: ContextKind) -> String {
    let word = match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word),
        Some(ContextValue::Strings(words)) => words.first(),
        _ => None,
    };
    word.map_or(String::new(), |word| format!(" (is {word} meant?)"))
}

fn subcommands(command: &Command) -> String {
    let names: Vec<_> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .map(Command::get_name)
        .collect();
    names.join(", ")
}

/// The flags of the subcommand that `words` name.
fn flags(command: &Command, words: &[String]) -> String {
    let used = words
        .iter()
        .find_map(|word| command.find_subcommand(word))
        .unwrap_or(command);
    let names: Vec<_> = used
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
        .chain(["--help".to_string()])
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        let all = ["stalecore".to_string()].into_iter().chain(words.clone());
        let Err(error) = crate::Cli::try_parse_from(all) else {
            panic!("{line} was accepted");
        };
        let text = one_line(
            &error,
            &<crate::Cli as clap::CommandFactory>::command(),
            &words,
        );
        assert!(!text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn each_mistake_is_one_line_with_what_is_allowed() {
        for (line, parts) in [
            ("run --cpu-count 8", ["'--cpu-count'", "--cpus"]),
            ("run --stal spin", ["'--stal'", "(is --stale meant?)"]),
            ("tirage x.log", ["'tirage'", "(is triage meant?)"]),
            (
                "rum",
                [
                    "'rum'",
                    "allowed: run, serial, read, live, deploy, triage, list",
                ],
            ),
            ("run --gic 4", ["'4'", "2, 3"]),
            ("run --el 0", ["'0'", "1, 2, 3"]),
            ("run --cpus many", ["'many'", "1 to 512"]),
            ("run --mem 1T5", ["'1T5'", "512M"]),
            ("run --expect broken", ["'broken'", "blocked"]),
            ("run --ops ic-iva", ["'ic-iva'", "ic-ivau"]),
            ("run --icount=1", ["'1'", "on, off"]),
            ("run --timeout 0", ["'0'", "1 to"]),
            ("list --jason", ["'--jason'", "--json"]),
            ("flatten", ["required", "ELF"]),
        ] {
            let text = said(line);
            for part in parts {
                assert!(text.contains(part), "{line}: {text}");
            }
        }
    }
}
