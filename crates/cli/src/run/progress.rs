//! The progress bar: on a terminal's standard error, and only there.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use stalecore_model::record::Record;

/// Shows which case runs and how long the rest will take.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar that begins with `message`, unless nobody would see it.
    pub fn new(quiet: bool, message: &'static str) -> Self {
        let seen = !quiet && std::io::stderr().is_terminal();
        Self {
            bar: seen.then(|| {
                let bar = ProgressBar::new_spinner();
                bar.set_message(message);
                bar
            }),
        }
    }

    /// Takes notice of a record.
    pub fn record(&self, record: &Record) {
        let Some(bar) = &self.bar else { return };
        match record {
            Record::Plan(plan) => {
                bar.set_length(plan.cases.into());
                if let Ok(style) =
                    ProgressStyle::with_template("{bar:20} case {pos} of {len}, {eta} left, {msg}")
                {
                    bar.set_style(style);
                }
                // The time before belongs to the boot, not to the cases.
                bar.reset_eta();
            }
            Record::Group(group) => bar.set_message(format!("{} ({})", group.state, group.line)),
            Record::Case(case) => bar.set_position(case.n.into()),
            _ => {}
        }
    }

    /// Says what is going on.
    pub fn say(&self, message: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message);
        }
    }

    /// Lets its clock go on.
    pub fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    /// Takes it off the screen.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
