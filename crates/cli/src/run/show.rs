//! The result on a terminal: the answer, the table, the findings.

use std::io::{IsTerminal, stdout};

use stalecore_model::run::{BAUD, Run};

use super::{
    dwells::dwells,
    findings::findings,
    steps::steps,
    table::{fold, table},
};

/// The width where nothing else is known.
const WIDTH: usize = 80;

/// What COLUMNS says, or else the terminal's width if standard output is one,
/// within 40 to 160.
pub fn width() -> usize {
    let out = stdout();
    let asked = std::env::var("COLUMNS").ok();
    let asked = asked.and_then(|columns| columns.parse().ok());
    let size = || {
        let size = rustix::termios::tcgetwinsize(&out).ok()?;
        out.is_terminal().then_some(usize::from(size.ws_col))
    };
    match asked.or_else(size) {
        Some(columns) if columns > 0 => columns.clamp(40, 160),
        _ => WIDTH,
    }
}

/// Everything, in the order in which a reader asks.
pub fn text(run: &Run, width: usize, all_states: bool) -> String {
    let parts = [
        fold(&run.answer, width),
        match run.is_crash() {
            true => steps(run, width),
            false => table(run, width, all_states),
        },
        dwells(run, width),
        findings(run, width),
        fold(&console(run), width),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join("\n")
}

/// How much came over the console, and how long a board would take for that.
fn console(run: &Run) -> String {
    if run.console_bytes == 0 {
        return String::new();
    }
    format!(
        "The console: {:.1} KiB, {:.1} s at {BAUD} baud.",
        run.console_bytes as f64 / 1024.0,
        run.serial_seconds()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_how_long_a_board_takes() {
        let run = |console_bytes| Run {
            answer: "No.".into(),
            console_bytes,
            ..Run::default()
        };
        assert_eq!(
            text(&run(92_160), 80, false).lines().last(),
            Some("The console: 90.0 KiB, 8.0 s at 115200 baud.")
        );
        assert!(!text(&run(0), 80, false).contains("console"));
    }
}
