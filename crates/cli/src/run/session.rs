//! What comes over the console, taken in as it comes: into `console.log`, into
//! the run, onto the progress bar.

use std::{
    fs::File,
    io::{self, Write},
    time::Instant,
};

use stalecore_model::{
    console::{Line, Lines},
    ktap::Ktap,
    record::Record,
    run::Run,
};

use super::progress::Progress;

/// A console longer than this is not one of ours.
const LARGEST_CONSOLE: u64 = 64 << 20;

/// A console being read.
pub struct Session {
    /// What has been learned.
    pub run: Run,
    /// The code on the image's last line, and when it came.
    pub exit: Option<(u8, Instant)>,
    /// The image holds still, for a debugger to look at it.
    pub held: bool,
    /// The last line that was neither record nor KTAP.
    pub last_text: Option<String>,
    /// Cases in the KTAP tree.
    pub tree_cases: u32,
    /// Lines that were too long.
    pub too_long: u64,
    lines: Lines,
    log: File,
    progress: Progress,
}

impl Session {
    /// Begins to read.
    pub fn new(run: Run, log: File, progress: Progress) -> Self {
        Self {
            run,
            exit: None,
            held: false,
            last_text: None,
            tree_cases: 0,
            too_long: 0,
            lines: Lines::default(),
            log,
            progress,
        }
    }

    /// Takes in what came.
    ///
    /// # Errors
    /// `console.log` cannot be written.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.run.console_bytes += bytes.len() as u64;
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(bytes, &mut |line| self.line(line));
        self.lines = lines;
        self.log.write_all(bytes)
    }

    /// Nothing more will come.
    pub fn finish(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(&mut |line| self.line(line));
        self.progress.clear();
    }

    /// Is this far more than any image writes?
    pub const fn flooded(&self) -> bool {
        self.run.console_bytes > LARGEST_CONSOLE
    }

    /// Lets the progress bar's clock go on.
    pub fn tick(&self) {
        self.progress.tick();
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Record(record) => {
                self.progress.record(&record);
                self.held |= matches!(record, Record::Hold(_));
                self.run.take(record);
            }
            Line::Ktap(Ktap::Result { nested: true, .. }) => self.tree_cases += 1,
            Line::Ktap(_) => {}
            Line::Exit(code) => self.exit = self.exit.or(Some((code, Instant::now()))),
            Line::Garbled(_) => self.run.garbled += 1,
            Line::TooLong => {
                self.run.garbled += 1;
                self.too_long += 1;
            }
            Line::Text(text) => self.last_text = Some(text),
        }
    }
}
