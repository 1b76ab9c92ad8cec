//! What comes over the console, taken in as it comes: into `console.log`, into
//! the run, onto the progress bar.

use std::{
    fs::File,
    io::{self, Write},
    time::{Duration, Instant},
};

use stalecore_model::{
    again,
    console::{Line, Lines},
    exit::ExitCode,
    ktap::Ktap,
    reader::Reader,
    record::{GroupRecord, Record, SCHEMA, Seal},
    run::Run,
};

use super::{
    progress::Progress,
    threads::{HeldUp, Threads},
};

/// No console of ours is longer than this.
const LARGEST_CONSOLE: u64 = 64 << 20;

/// The last line follows the closing record at once, on any line.
const LAST_LINE: Duration = Duration::from_secs(5);

/// Who loses less than this does not ask why.
const NOT_RUN: Duration = Duration::from_secs(10);

/// How the image and the UEFI loader begin a line of complaint.
pub const OURS: &str = "stalecore: ";

/// How the UEFI loader begins its last line, after the complaint.
const GOING_BACK: &str = "back to the firmware";

/// What is known of a run before the first byte of its console.
pub fn begun() -> Run {
    Run {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_string(),
        command: std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        exit: ExitCode::Harness as u8,
        answer: "The run has not ended.".to_string(),
        ..Run::default()
    }
}

/// Sends a request to the image.
type Say = Box<dyn FnMut(&str)>;

/// A console being read.
pub struct Session {
    /// What has been learned.
    pub run: Run,
    /// The code on the image's last line, and when it came.
    pub exit: Option<(u8, Instant)>,
    /// The image holds still so that a debugger can look at it.
    pub held: bool,
    /// The last line that was neither record nor KTAP.
    pub last_text: Option<String>,
    /// Cases in the KTAP tree.
    pub tree_cases: u32,
    /// Lines that were too long.
    pub too_long: u64,
    /// Bytes of lines that could not be read.
    pub garbled_bytes: u64,
    /// How often the line was lost.
    pub cuts: u64,
    /// Why the log lacks part of the console.
    pub log_failed: Option<io::Error>,
    /// The threads that run the machine's CPUs, where it is emulated here.
    pub threads: Option<Threads>,
    /// Has the image offered to send records again?
    pub offered: bool,
    /// How to send a request to the image, if it may be asked.
    say: Option<Say>,
    speaks: bool,
    /// When the closing record came.
    ended: Option<Instant>,
    /// The last complaint of our own loader or image.
    reason: Option<String>,
    gone_back: bool,
    lines: Lines,
    reader: Reader,
    log: File,
    /// Is what came to be on the disk before anything else does?
    synced: bool,
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
            garbled_bytes: 0,
            cuts: 0,
            log_failed: None,
            threads: None,
            offered: false,
            say: None,
            speaks: false,
            ended: None,
            reason: None,
            gone_back: false,
            lines: Lines::default(),
            reader: Reader::default(),
            log,
            synced: false,
            progress,
        }
    }

    /// From now on what comes is on the disk before more is read: this machine may go down.
    #[cfg_attr(
        not(all(target_arch = "aarch64", target_os = "linux")),
        expect(dead_code, reason = "only `live` has a machine that may go down")
    )]
    pub const fn keep_on_disk(&mut self) {
        self.synced = true;
    }

    /// From now on what is missing is asked for, by `say`.
    pub fn ask_by(&mut self, say: impl FnMut(&str) + 'static) {
        self.say = Some(Box::new(say));
        self.reader = Reader::asking();
    }

    /// How many records were missing and arrived when they were asked for.
    pub fn mended(&self) -> usize {
        self.reader.mended()
    }

    /// Takes in the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.run.console_bytes += bytes.len() as u64;
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(bytes, &mut |line| self.line(line));
        self.lines = lines;
        // The results do not depend on the log.
        if self.log_failed.is_none() {
            let mut written = self.log.write_all(bytes);
            if self.synced {
                written = written.and_then(|()| self.log.sync_data());
            }
            self.log_failed = written.err();
        }
    }

    /// The line was lost: what comes next begins anew.
    pub fn cut(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(&mut |line| self.line(line));
        self.lines = lines;
        // A machine that switches itself off takes its line with it.
        if self.exit.is_none() {
            self.cuts += 1;
        }
        self.progress.say("the line is lost, waiting for it");
    }

    /// The line is there again.
    pub fn back(&mut self) {
        self.progress.say("the line is back");
    }

    /// Has the image said anything?
    pub const fn speaks(&self) -> bool {
        self.speaks
    }

    /// When the image's last line came, or must have been lost.
    pub fn last_line(&self) -> Option<Instant> {
        let lost = || self.ended.map(|at| at + LAST_LINE);
        self.exit.map(|(_, at)| at).or_else(lost)
    }

    /// Why the loader has gone back to the firmware, if it has.
    pub fn refusal(&self) -> Option<String> {
        self.reason.clone().filter(|_| self.gone_back)
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

    /// Looks at the threads of the machine's CPUs.
    pub fn look_at_threads(&mut self) {
        if let Some(threads) = &mut self.threads {
            threads.look();
        }
    }

    /// How much time the machine has lost so far, as [`Threads::lacked`].
    pub fn lacked(&self) -> Duration {
        self.threads
            .as_ref()
            .map_or(Duration::ZERO, Threads::lacked)
    }

    /// Notes it if the host did not run the machine for most of the time that it `took`, and
    /// for long.
    pub fn tell_lacked(&mut self, took: Duration) {
        self.run.notes.extend(lacked_note(self.lacked(), took));
    }

    /// Did the host fail to run a core that this operation needed?
    pub fn starved(&mut self, held: &HeldUp) -> bool {
        let threads = self.threads.as_mut();
        threads.is_some_and(|threads| threads.starved(held).is_some())
    }

    /// Lets the progress bar's clock go on.
    pub fn tick(&mut self) {
        self.progress.tick();
    }

    fn line(&mut self, line: Line) {
        if !self.speaks && matches!(line, Line::Record(..) | Line::Ktap(Ktap::Version)) {
            self.speaks = true;
            self.progress.say("booting");
        }
        match line {
            Line::Record(record, seal) => self.record(record, seal),
            // What follows the run belongs to another one.
            Line::Garbled { .. } | Line::TooLong { .. } if self.run.followed_by > 0 => {}
            Line::Ktap(Ktap::Result { nested: true, .. }) if self.run.end.is_none() => {
                self.tree_cases += 1;
            }
            Line::Ktap(_) => {}
            Line::Exit(code) => self.exit = self.exit.or(Some((code, Instant::now()))),
            Line::Garbled { bytes, .. } => {
                self.run.garbled += 1;
                self.garbled_bytes += bytes;
            }
            Line::TooLong { bytes } => {
                self.run.garbled += 1;
                self.too_long += 1;
                self.garbled_bytes += bytes;
            }
            Line::Text(text) => self.text(text),
        }
    }

    fn record(&mut self, record: Record, seal: Option<Seal>) {
        self.progress.record(&record);
        let hold = matches!(record, Record::Hold(_));
        // Not one that is sent again.
        let begins = matches!(record, Record::Machine(_)) && !self.offered;
        let ends = matches!(record, Record::End(_));
        let blocked = matches!(record, Record::Block(_));
        let late = matches!(&record, Record::Case(case) if case.late.is_some());
        if self.reader.take(&mut self.run, record, seal) {
            self.held |= hold;
            if blocked {
                self.doubt_block();
            }
            // What is sent again was told of earlier.
            if late && !self.offered {
                self.doubt_late();
            }
            if begins {
                // It prints the tree of all cases again.
                self.tree_cases = 0;
            }
            if ends || self.ended.is_some() {
                self.ended = Some(Instant::now());
            }
        }
    }

    /// Was the block that has just come really one, or did the host fail to run a core?
    /// Nothing is known here about a machine that is paused or runs elsewhere.
    fn doubt_block(&mut self) {
        let (Some(threads), Some(block)) = (&mut self.threads, self.run.blocks.last()) else {
            return;
        };
        let mut groups = self.run.groups.iter().rev();
        let of = |g: &&GroupRecord| (g.first..g.first.saturating_add(g.cases)).contains(&block.n);
        let state = groups.find(of).map(|group| group.state);
        let starved = threads.starved(&HeldUp::of(block, state));
        if let Some(block) = self.run.blocks.last_mut() {
            block.starved = starved;
        }
    }

    /// Was the sample that has just been told of really late, or did the host fail to run a
    /// core?
    fn doubt_late(&mut self) {
        let hz = self.run.machine.as_ref().map(|machine| machine.counter_hz);
        let (Some(threads), Some(hz)) = (&mut self.threads, hz) else {
            return;
        };
        let case = self.run.cases.last_mut();
        if let Some(late) = case.and_then(|case| case.late.as_mut()) {
            let took = Duration::from_secs_f64(late.ticks as f64 / hz.max(1) as f64);
            late.starved = threads.not_run(late, took);
        }
    }

    /// The image offers to send records again: its last line comes when it hears that
    /// none is missing, or hears nothing.
    fn answer(&mut self) {
        self.offered = true;
        self.ended = self.ended.map(|_| Instant::now());
        if let Some(say) = &mut self.say {
            say(&self.reader.request(&self.run).line());
        }
    }

    /// Any other line; it may be our loader's.
    fn text(&mut self, text: String) {
        if text == again::OFFER {
            return self.answer();
        }
        if let Some(reason) = text.strip_prefix(OURS) {
            self.reason = Some(reason.to_string());
        } else if !self.speaks && self.reason.is_some() && text.starts_with(GOING_BACK) {
            self.gone_back = true;
        }
        self.last_text = Some(text);
    }
}

/// What a run says of its host, which has not run the machine for `lacked` of the time
/// that it `took`.
fn lacked_note(lacked: Duration, took: Duration) -> Option<String> {
    (lacked >= NOT_RUN && lacked > took / 2).then(|| {
        format!(
            "host: for {} of {} s it did not run this machine",
            lacked.as_secs(),
            took.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_did_something_else_for_most_of_a_long_run_is_told_of() {
        for (lacked, took, told) in [(10, 19, true), (10, 20, false), (9, 9, false)] {
            let note = lacked_note(Duration::from_secs(lacked), Duration::from_secs(took));
            let said = format!("host: for {lacked} of {took} s it did not run this machine");
            assert_eq!(note, told.then_some(said));
        }
    }
}
