//! The boots in a log: which kernel speaks, and whether what boots after a crash is its
//! capture kernel.

use super::{
    super::{
        capture::End,
        crash::Crash,
        mark::{Mark, Place},
        message::Message,
        prefix,
        step::Step,
        wording,
    },
    Tracker,
    text::plain,
};

/// How many lines there may be between the two opening lines of one boot.
const BOOT_LINES: u64 = 50;

/// What is known about the boot that a crash happens in.
#[derive(Clone, Default)]
pub(super) struct Boot {
    pub line: u64,
    pub release: Option<(String, u64)>,
    pub cpus_up: Option<(u32, u64)>,
    pub is_capture: bool,
    /// CPUs with their MPIDRs, as they came up.
    pub mpidrs: Vec<(u32, u64)>,
    pub offline: Vec<u32>,
}

impl<E, F: FnMut(&Crash) -> Result<(), E>> Tracker<F> {
    /// The machine was reset: what boots next is no capture kernel.
    pub(super) fn reset(&mut self, line: u64) -> Result<(), E> {
        if let Some(crash) = &mut self.current {
            crash.reset = true;
            next_boot(crash, line);
        }
        self.boot = Boot::default();
        self.close()
    }

    pub(super) fn plugged(&mut self, cpu: u32, mpidr: Option<u64>) {
        if self.current.as_ref().is_some_and(|c| c.boot.is_some()) {
            return;
        }
        self.boot.offline.retain(|known| *known != cpu);
        match mpidr {
            Some(mpidr) if self.boot.mpidrs.len() < 4096 => {
                self.boot.mpidrs.retain(|(known, _)| *known != cpu);
                self.boot.mpidrs.push((cpu, mpidr));
            }
            Some(_) => {}
            None => self.boot.offline.push(cpu),
        }
    }

    pub(super) fn boot(
        &mut self,
        release: Option<String>,
        on: Option<u64>,
        at: Place<'_>,
    ) -> Result<(), E> {
        let release = release.map(|release| (release, at.line));
        let same_boot = release.is_some()
            && self.boot.line != 0
            && at.line.abs_diff(self.boot.line) <= BOOT_LINES;
        if same_boot {
            self.boot.release = release;
            return Ok(());
        }
        if let Some(crash) = &mut self.current {
            if crash.logged && !at.stamp.logged {
                return Ok(());
            }
            // A CPU may go down the path while another holds the console.
            let unprinted = self.capture_follows && crash.panic_ended.is_none();
            let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye) || unprinted;
            if started && crash.boot.is_none() {
                crash.booted_on = on.map(|mpidr| (mpidr, at.line));
                crash.boot = Some(Mark::from(at));
            } else if crash.has(Step::CaptureBoot) {
                // The next boot; or the capture kernel's console, which begins
                // again from the first line; or the old kernel's log, printed.
                crash.next_boot.get_or_insert(at.line);
            } else {
                crash.reset = true;
                self.close()?;
            }
        }
        self.pstore = false;
        let again = self.boot.is_capture && self.current.is_some();
        self.boot = Boot {
            line: at.line,
            release,
            mpidrs: vec![(0, 0)],
            is_capture: again && self.boot.is_capture,
            ..Boot::default()
        };
        Ok(())
    }

    /// The booting kernel shows what it is.
    pub(super) fn sign(&mut self, message: Message<'_>, at: Place<'_>) -> Result<(), E> {
        let capture = message == Message::CaptureSign;
        self.boot.is_capture = capture;
        let Some(crash) = self.current.as_mut().filter(|c| c.boot.is_some()) else {
            return Ok(());
        };
        if capture {
            // The same kernel again, from its first line.
            crash.next_boot = None;
            crash.take(message, at);
        } else if !crash.has(Step::CaptureBoot) {
            crash.reset = true;
            self.close()?;
        }
        Ok(())
    }
}

/// Are these lines of a kernel that keeps another kernel's core header?
pub(super) fn reserves_core_header(lines: &[u8]) -> bool {
    let mut lines = lines.split(|b| *b == b'\n').take(20);
    lines.any(|line| {
        let line = plain(line);
        let (_, text) = prefix::split(&line);
        matches!(wording::parse(text, true), Some(Message::CaptureSign))
    })
}

pub(super) fn next_boot(crash: &mut Crash, line: u64) {
    crash.next_boot.get_or_insert(line);
    if crash.capture.end == End::LogEnds {
        crash.capture.end = End::NextBoot;
    }
}
