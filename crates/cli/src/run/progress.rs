//! What is said on standard error while a run goes on: a bar on a terminal, a
//! line a minute anywhere else.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use stalecore_model::{record::Record, words};

use super::{
    figures,
    pace::{Pace, about},
};
use crate::stderr;

/// The time between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(60);

/// The columns that a bar and its words need.
const WIDE: u16 = 64;

/// Shows which case runs and how long the rest will take.
pub struct Progress {
    how: How,
    /// Say each case and note as it comes?
    each: bool,
    doing: String,
    pace: Pace,
    done: u32,
    /// When the first group began; what came before belongs to the boot.
    began: Option<Instant>,
    started: Instant,
    /// When something was last said, where there is no terminal.
    said: Instant,
}

enum How {
    Silent,
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    /// Says nothing.
    pub fn silent() -> Self {
        Self::with(How::Silent, false, "", Pace::default())
    }

    /// Begins with `doing`: as a bar, as lines, or not at all if `quiet`; with
    /// `each`, every case is named as well.
    pub fn new(quiet: bool, each: bool, doing: &str, pace: Pace) -> Self {
        if quiet {
            return Self::silent();
        }
        if !std::io::stderr().is_terminal() {
            return Self::with(How::Lines, each, doing, pace);
        }
        let bar = ProgressBar::new_spinner();
        // Cut where the terminal ends, so that it stays one line.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message(doing.to_string());
        Self::with(How::Bar(bar), each, doing, pace)
    }

    fn with(how: How, each: bool, doing: &str, pace: Pace) -> Self {
        let now = Instant::now();
        Self {
            how,
            each,
            doing: doing.to_string(),
            pace,
            done: 0,
            began: None,
            started: now,
            said: now,
        }
    }

    /// Takes notice of a record.
    pub fn record(&mut self, record: &Record) {
        match record {
            Record::Plan(plan) => self.plan(plan.cases),
            Record::Group(group) => {
                self.began.get_or_insert_with(Instant::now);
                self.say(&format!("{} ({})", group.state, group.line));
            }
            Record::Case(case) => {
                self.done = (self.done + 1).min(self.pace.cases());
                if self.each {
                    let slow = figures::slowdown(case, None);
                    let slow = slow.map_or(String::new(), |f| format!(" {}", figures::factor(f)));
                    self.line(&format!(
                        "case {}: {} under {}, {}: {}{slow}",
                        case.n, case.op, case.state, case.line, case.verdict
                    ));
                }
                self.draw();
            }
            Record::Note(note) if self.each => {
                self.line(&format!(
                    "note: {}",
                    stalecore_model::console::printable(note.text.as_bytes())
                ));
            }
            _ => {}
        }
    }

    fn plan(&mut self, cases: u32) {
        // The image's word on the size of the plan counts.
        if self.pace.cases() != cases {
            self.pace = Pace::unknown(cases);
        }
        if let How::Bar(bar) = &self.how {
            bar.set_length(cases.into());
            let wide = rustix::termios::tcgetwinsize(std::io::stderr())
                .is_ok_and(|size| size.ws_col >= WIDE);
            let template = if wide {
                "{bar:20} {wide_msg}"
            } else {
                "{wide_msg}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
    }

    /// Says what is going on.
    pub fn say(&mut self, doing: &str) {
        self.doing = doing.to_string();
        self.draw();
    }

    /// Lets time go on.
    pub fn tick(&mut self) {
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => bar.tick(),
            How::Lines if self.said.elapsed() >= LINE => {
                self.said = Instant::now();
                let minutes = self.started.elapsed().as_secs() / 60;
                let minutes = words::count(minutes as usize, "minute", "minutes");
                stderr::say(&format!("after {minutes}: {}", self.words()));
            }
            How::Lines => {}
        }
    }

    /// Takes it off the screen.
    pub fn clear(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }

    fn draw(&self) {
        if let How::Bar(bar) = &self.how {
            bar.set_position(self.done.into());
            bar.set_message(self.words());
        }
    }

    /// One line, beside the bar.
    fn line(&self, text: &str) {
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => bar.println(text),
            How::Lines => stderr::say(text),
        }
    }

    fn words(&self) -> String {
        let Some(began) = self.began else {
            return self.doing.clone();
        };
        let left = self.pace.left(self.done, began.elapsed());
        let left = left.map_or(String::new(), |left| {
            format!(", about {} left", about(left))
        });
        format!(
            "case {} of {}{left}: {}",
            self.done,
            self.pace.cases(),
            self.doing
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_where_it_is() {
        let mut progress = Progress::with(How::Silent, false, "booting", Pace::default());
        assert_eq!(progress.words(), "booting");
        progress.plan(4);
        progress.began = Some(Instant::now());
        progress.doing = "spin (cold)".into();
        assert_eq!(progress.words(), "case 0 of 4: spin (cold)");
        progress.done = 4;
        assert_eq!(progress.words(), "case 4 of 4, about 1 s left: spin (cold)");
    }
}
