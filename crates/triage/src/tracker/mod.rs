//! Follows a log from line to line and tells where one crash ends and the
//! next begins; text that only quotes a log is left out.

mod boot;
mod text;

use super::{
    capture::End,
    crash::Crash,
    fields,
    fit::Fit,
    lines::Line,
    mark::Place,
    message::Message,
    prefix::{self, Stamp},
    repeats::Repeats,
    wording,
};
use boot::{Boot, next_boot, reserves_core_header};
use text::{bare_frames, in_mid_line, plain};

/// How many crashes are held back until it is clear whether they are prose.
const MAX_HELD: usize = 16;

/// How many lines there may be between a dump and the crash that it belongs to.
const PENDING_LINES: u64 = 60;

/// How much time there may be between them, in microseconds.
const PENDING_TIME: u64 = 15_000_000;

/// Collects crashes and hands each, complete, to `out`.
pub struct Tracker<F> {
    out: F,
    // On the heap, as it is large, and handed on from hand to hand.
    current: Option<Box<Crash>>,
    /// Dumps without a crash: the log may begin after the crash's first lines.
    pending: Option<Box<Crash>>,
    held: Vec<Crash>,
    boot: Boot,
    repeats: Repeats,
    /// What is read comes from records in persistent storage.
    pstore: bool,
    /// The number of Markdown lines that opened or closed a quotation: odd inside of one.
    fences: u64,
    /// The log ends inside this kind of line: with a stamp or without.
    cut: Option<bool>,
    /// The lines after a kernel's first one show a capture kernel.
    capture_follows: bool,
}

impl<E, F: FnMut(&Crash) -> Result<(), E>> Tracker<F> {
    /// A tracker at the beginning of a log.
    pub fn new(out: F) -> Self {
        Self {
            out,
            current: None,
            pending: None,
            held: Vec::new(),
            boot: Boot::default(),
            repeats: Repeats::default(),
            pstore: false,
            fences: 0,
            cut: None,
            capture_follows: false,
        }
    }

    /// Takes in one line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn line(&mut self, line: &Line<'_>) -> Result<(), E> {
        let bytes = plain(line.bytes);
        let (stamp, text) = prefix::split(&bytes);
        if self.repeats.seen(&stamp, text, line.number) {
            if let Some(crash) = &mut self.current {
                crash.doubled += 1;
            }
            return Ok(());
        }
        let mut message = wording::parse(text, line.complete);
        let mut found_at = stamp;
        if message.is_none() {
            (found_at, message) = in_mid_line(&bytes, stamp, text, line.complete);
        }
        if !line.complete && !message.as_ref().is_some_and(Message::ends_itself) {
            self.cut = Some(stamp.logged);
        }
        let at = Place {
            line: line.number,
            stamp: found_at,
            whole: line.complete,
        };
        let in_capture = |c: &&mut Box<Crash>| c.boot.is_some() && c.next_boot.is_none();
        if let Some(crash) = self.current.as_mut().filter(in_capture)
            && !text.is_empty()
        {
            crash.capture.last = Some((at.into(), fields::clean(text)));
        }
        let traces = matches!(message, Some(Message::CallTrace));
        if matches!(message, Some(Message::BootOn(_))) {
            self.capture_follows = reserves_core_header(line.behind);
        }
        if let Some(message) = message {
            self.message(message, at)?;
        }
        if traces && let Some(crash) = self.current.as_mut().or(self.pending.as_mut()) {
            bare_frames(crash, line.behind, &at);
        }
        Ok(())
    }

    /// Ends the log.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(&mut self) -> Result<(), E> {
        if self.current.is_none() {
            // The `crash` utility's stacks alone show a crash.
            self.current = self.pending.take().filter(|c| c.tool && c.first.is_some());
        }
        if let Some(crash) = &mut self.current {
            // After a quotation the last line does not belong to the log.
            crash.cut_line = self.cut == Some(crash.logged) && (crash.logged || self.fences == 0);
        }
        self.close()?;
        self.release_held()
    }

    fn message(&mut self, message: Message<'_>, at: Place<'_>) -> Result<(), E> {
        let stamp = &at.stamp;
        match message {
            Message::Fence => self.fence()?,
            Message::PstorePart => {
                self.pstore = true;
                if let Some(crash) = &mut self.current {
                    crash.pstore = true;
                }
            }
            Message::Firmware => self.reset(at.line)?,
            Message::BootOn(mpidr) => self.boot(None, mpidr, at)?,
            Message::Boot(release) => self.boot(Some(release), None, at)?,
            Message::CpusUp(count) => {
                if self.current.as_ref().is_none_or(|c| c.boot.is_none()) {
                    self.boot.cpus_up = Some((count, at.line));
                }
            }
            Message::Plugged { cpu, mpidr } => self.plugged(cpu, mpidr),
            Message::CaptureSign | Message::PrimarySign => self.sign(message, at)?,
            Message::Progress(progress) => {
                if let Some(crash) = self.current.as_mut().filter(|c| c.boot.is_some())
                    && crash.next_boot.is_none()
                {
                    crash.capture.note(progress, at.line);
                }
            }
            message => {
                match Fit::of(
                    self.current.as_deref(),
                    &message,
                    stamp,
                    self.fence_number(),
                ) {
                    Fit::Ignore => return Ok(()),
                    Fit::Pend => {
                        self.pend(message, at);
                        return Ok(());
                    }
                    Fit::Replay => {
                        if let Some(crash) = &mut self.current {
                            crash.replayed = true;
                            crash.next_boot = None;
                        }
                        return Ok(());
                    }
                    Fit::Yes => {}
                    Fit::New => self.begin(&message, &at, false)?,
                    Fit::Split => self.begin(&message, &at, true)?,
                }
                if let Some(crash) = &mut self.current {
                    crash.take(message, at);
                }
            }
        }
        Ok(())
    }

    /// Keeps a detail for which no crash is under way.
    fn pend(&mut self, message: Message<'_>, at: Place<'_>) {
        if matches!(
            message,
            Message::PrimarySign | Message::Notifiers | Message::PanicEnd(_)
        ) {
            return;
        }
        if self.pending.as_ref().is_some_and(|p| !belongs(p, &at)) {
            self.pending = None;
        }
        if self.pending.is_none() {
            self.pending = Some(self.fresh(&at.stamp));
        }
        if let Some(pending) = &mut self.pending {
            let shows = matches!(
                message,
                Message::Cpu(_) | Message::Pc(_) | Message::CallTrace | Message::HardwareError(_)
            );
            if shows {
                pending.first.get_or_insert_with(|| at.into());
            }
            pending.take(message, at);
        }
    }

    /// A crash of which only the boot is known.
    fn fresh(&self, stamp: &Stamp<'_>) -> Box<Crash> {
        let mut crash = Box::new(Crash {
            logged: stamp.logged,
            quoted: self.fence_number(),
            release: self
                .boot
                .release
                .as_ref()
                .map(|(release, _)| release.clone()),
            cpus_up: self.boot.cpus_up.map(|(count, _)| count),
            in_capture: self.boot.is_capture,
            pstore: self.pstore,
            mpidrs: self.boot.mpidrs.clone(),
            offline: self.boot.offline.clone(),
            ..Crash::default()
        });
        crash.lines.release = self.boot.release.as_ref().map(|(_, line)| *line);
        crash.lines.cpus_up = self.boot.cpus_up.map(|(_, line)| line);
        crash
    }

    /// Begins a crash; the one under way ends, with or without its late
    /// complaints.
    fn begin(&mut self, message: &Message<'_>, at: &Place<'_>, split: bool) -> Result<(), E> {
        let late = self
            .current
            .as_mut()
            .filter(|_| split)
            .and_then(|crash| crash.split_off_late())
            .map(Box::new);
        if let Some(crash) = self.current.as_mut().filter(|_| self.boot.is_capture)
            && crash.boot.is_some()
        {
            crash.capture.end = End::Panicked;
        }
        self.close()?;
        let pending = self.pending.take().filter(|p| belongs(p, at));
        self.current = Some(late.or(pending).unwrap_or_else(|| self.fresh(&at.stamp)));
        if let Some(crash) = &mut self.current {
            crash.dumps.without_warnings();
            if crash.dumps.all.is_empty() && !crash.tool && crash.firmware.records.is_empty() {
                crash.first = None;
            }
            // A complaint notes by itself where it begins.
            if !matches!(message, Message::Panic(_) | Message::Stopping) && !crash.tool {
                crash.first = None;
            }
        }
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

    fn close(&mut self) -> Result<(), E> {
        let Some(mut crash) = self.current.take() else {
            return Ok(());
        };
        if let Some(line) = crash.next_boot {
            next_boot(&mut crash, line);
        }
        // A bare sentence with the wording of a message, outside of any
        // quotation, is prose if the text turns out to be Markdown.
        let bare = !crash.logged && crash.quoted.is_none() && !crash.has_details;
        if !bare && self.held.is_empty() {
            return (self.out)(&crash);
        }
        self.held.push(*crash);
        if self.held.len() == MAX_HELD {
            self.release_held()?;
        }
        Ok(())
    }

    fn release_held(&mut self) -> Result<(), E> {
        for crash in std::mem::take(&mut self.held) {
            let bare = !crash.logged && crash.quoted.is_none() && !crash.has_details;
            if !(bare && self.fences > 0) {
                (self.out)(&crash)?;
            }
        }
        Ok(())
    }
}

/// Is what was seen before still near?
fn belongs(pending: &Crash, at: &Place<'_>) -> bool {
    let apart = |now: u64, before: u64| now.abs_diff(before) > PENDING_TIME;
    pending.tool
        || pending.logged == at.stamp.logged
            && at.line - pending.last_line.min(at.line) <= PENDING_LINES
            && !at
                .stamp
                .micros
                .zip(pending.latest)
                .is_some_and(|(now, then)| apart(now, then))
}
