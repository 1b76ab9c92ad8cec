//! Follows a log from line to line and tells where one crash ends and the
//! next begins; what only quotes a log is left out.

use super::{
    crash::{Crash, Mark, Place},
    escapes::without_escapes,
    fit::Fit,
    lines::Line,
    message::Message,
    prefix::{self, Stamp},
    step::Step,
    wording,
};

/// Lines between the two opening lines of one boot.
const BOOT_LINES: u64 = 50;

/// Crashes held back until it is clear whether they are prose.
const MAX_HELD: usize = 16;

/// What is known of the boot that a crash happens in.
#[derive(Clone, Default)]
struct Boot {
    line: u64,
    release: Option<String>,
    cpus_up: Option<u32>,
    is_capture: bool,
}

/// Collects crashes and hands each, complete, to `out`.
pub struct Tracker<F> {
    out: F,
    current: Option<Crash>,
    held: Vec<Crash>,
    boot: Boot,
    /// Lines of Markdown that opened or closed a quotation: inside of one if
    /// their number is odd.
    fences: u64,
    /// The log ends inside this kind of line: with a stamp or without.
    cut: Option<bool>,
}

impl<E, F: FnMut(Crash) -> Result<(), E>> Tracker<F> {
    /// A tracker at the beginning of a log.
    pub fn new(out: F) -> Self {
        Self {
            out,
            current: None,
            held: Vec::new(),
            boot: Boot::default(),
            fences: 0,
            cut: None,
        }
    }

    /// Takes in one line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn line(&mut self, line: &Line<'_>) -> Result<(), E> {
        let place = |stamp| Place {
            line: line.number,
            stamp,
            whole: line.complete,
        };
        let plain;
        let bytes = if memchr::memchr(0x1b, line.bytes).is_some() {
            plain = without_escapes(line.bytes);
            &plain
        } else {
            line.bytes
        };
        let (stamp, text) = prefix::split(bytes);
        let message = wording::parse(text, line.complete);
        if !line.complete && !message.as_ref().is_some_and(Message::ends_itself) {
            self.cut = Some(stamp.logged);
        }
        if let Some(message) = message {
            return self.message(message, place(stamp));
        }
        if let Some((stamp, text)) = prefix::split_before(bytes, bytes.len())
            && let Some(message) = wording::parse(text, line.complete)
        {
            return self.message(message, place(stamp));
        }
        Ok(())
    }

    /// Ends the log.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(&mut self) -> Result<(), E> {
        if let Some(crash) = &mut self.current {
            // Behind a quotation the last line is not the log's.
            crash.cut_line = self.cut == Some(crash.logged) && (crash.logged || self.fences == 0);
        }
        self.close()?;
        self.release_held()
    }

    fn message(&mut self, message: Message<'_>, at: Place<'_>) -> Result<(), E> {
        let stamp = &at.stamp;
        match message {
            Message::Fence => self.fence()?,
            Message::Firmware => self.reset()?,
            Message::Boot(release) => self.boot(release, at)?,
            Message::CpusUp(count) => {
                if self.current.as_ref().is_none_or(|c| c.boot.is_none()) {
                    self.boot.cpus_up = Some(count);
                }
            }
            Message::CaptureSign | Message::PrimarySign => self.sign(message, at)?,
            message => {
                match Fit::of(self.current.as_ref(), &message, stamp, self.fence_number()) {
                    Fit::Ignore => return Ok(()),
                    Fit::Yes => {}
                    Fit::New => self.begin(stamp, false)?,
                    Fit::Split => self.begin(stamp, true)?,
                }
                if let Some(crash) = &mut self.current {
                    crash.take(message, at);
                }
            }
        }
        Ok(())
    }

    /// Begins a crash; the one under way ends, with or without its late
    /// complaints.
    fn begin(&mut self, stamp: &Stamp<'_>, split: bool) -> Result<(), E> {
        let late = self
            .current
            .as_mut()
            .filter(|_| split)
            .and_then(Crash::split_off_late);
        self.close()?;
        self.current = Some(late.unwrap_or_else(|| Crash {
            logged: stamp.logged,
            quoted: self.fence_number(),
            release: self.boot.release.clone(),
            cpus_up: self.boot.cpus_up,
            in_capture: self.boot.is_capture,
            ..Crash::default()
        }));
        Ok(())
    }

    /// The number of the quotation that the log is in.
    fn fence_number(&self) -> Option<u64> {
        (self.fences % 2 == 1).then_some(self.fences)
    }

    fn fence(&mut self) -> Result<(), E> {
        self.fences += 1;
        if self.current.as_ref().is_some_and(|c| !c.logged) {
            self.close()?;
        }
        Ok(())
    }

    /// The machine was reset: whatever boots next is no capture kernel.
    fn reset(&mut self) -> Result<(), E> {
        if let Some(crash) = &mut self.current {
            crash.reset = true;
        }
        self.boot = Boot::default();
        self.close()
    }

    fn boot(&mut self, release: Option<String>, at: Place<'_>) -> Result<(), E> {
        let same_boot =
            release.is_some() && self.boot.line != 0 && at.line - self.boot.line <= BOOT_LINES;
        if same_boot {
            self.boot.release = release;
            return Ok(());
        }
        if let Some(crash) = &mut self.current {
            if crash.logged && !at.stamp.logged {
                return Ok(());
            }
            let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye);
            if started && crash.boot.is_none() {
                crash.boot = Some(Mark::from(at));
            } else {
                crash.reset |= !crash.has(Step::CaptureBoot);
                self.close()?;
            }
        }
        self.boot = Boot {
            line: at.line,
            release,
            ..Boot::default()
        };
        Ok(())
    }

    /// The booting kernel shows what it is.
    fn sign(&mut self, message: Message<'_>, at: Place<'_>) -> Result<(), E> {
        let capture = message == Message::CaptureSign;
        self.boot.is_capture |= capture;
        let Some(crash) = self.current.as_mut().filter(|c| c.boot.is_some()) else {
            return Ok(());
        };
        if capture {
            crash.take(message, at);
        } else if !crash.has(Step::CaptureBoot) {
            crash.reset = true;
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), E> {
        let Some(crash) = self.current.take() else {
            return Ok(());
        };
        // A bare sentence with the wording of a message, outside of any
        // quotation, is prose if the text turns out to be Markdown.
        let bare = !crash.logged && crash.quoted.is_none() && !crash.has_details;
        if !bare && self.held.is_empty() {
            return (self.out)(crash);
        }
        self.held.push(crash);
        if self.held.len() == MAX_HELD {
            self.release_held()?;
        }
        Ok(())
    }

    fn release_held(&mut self) -> Result<(), E> {
        for crash in std::mem::take(&mut self.held) {
            let bare = !crash.logged && crash.quoted.is_none() && !crash.has_details;
            if !(bare && self.fences > 0) {
                (self.out)(crash)?;
            }
        }
        Ok(())
    }
}
