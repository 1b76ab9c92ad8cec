//! The result on a terminal: the answer, the table, the findings.

use std::io::{IsTerminal, stdout};

use stalecore_model::run::Run;

use super::{
    findings::findings,
    table::{fold, table},
};

/// What a terminal has had since the punched card.
const WIDTH: usize = 80;

/// The terminal's width where standard output is one, at most 160.
pub fn width() -> usize {
    let out = stdout();
    let size = out
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(&out));
    match size {
        Some(Ok(size)) if size.ws_col > 0 => usize::from(size.ws_col).clamp(40, 160),
        _ => WIDTH,
    }
}

/// Everything, in the order in which it is asked about.
pub fn text(run: &Run, width: usize, all_states: bool) -> String {
    let parts = [
        fold(&run.answer, width),
        table(run, width, all_states),
        findings(run, width),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join("\n")
}
