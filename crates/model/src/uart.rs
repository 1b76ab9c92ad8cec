//! What a console's driver decides: whether a line that takes no more bytes is
//! waited for, and whether a lock is held by a core that is gone. Time is a
//! counter's ticks, passed in.

use core::fmt::{self, Write as _};

use crate::{
    record::{Seal, Sealing},
    words,
};

/// How long one byte may wait for room, in milliseconds: a hundred times what
/// 9,600 baud needs. Each wait that is in vain costs as much, once.
pub const ROOM_MS: u64 = 100;
/// How often a line that was given up is looked at again, in milliseconds.
pub const RETRY_MS: u64 = 1000;
/// How long the holder of a lock may be silent, in milliseconds.
pub const SILENT_MS: u64 = 1000;
/// How long it may hold it in all: the longest record at 9,600 baud takes five
/// seconds.
pub const HELD_MS: u64 = 20_000;

/// Ends the line that was cut off, and says as a record that so many bytes were lost,
/// and how many in all. Nothing is allocated: whoever prints may be a core that is about
/// to end the run. Which number the next record has is not known here, so this one has
/// none; but its checksum, and no two of a boot are the same.
///
/// # Errors
/// Those of `out`.
pub fn write_resumed(out: &mut dyn fmt::Write, lost: u64, in_all: u64) -> fmt::Result {
    let bytes = words::with(lost as usize, "byte", "bytes");
    let were = words::with(lost as usize, "was", "were");
    out.write_str("\n# ")?;
    let mut json = Sealing::new(out);
    write!(
        json,
        "{{\"note\":{{\"text\":\"the console had stopped: {lost} {bytes} of its output {were} lost"
    )?;
    if in_all > lost {
        write!(json, ", {in_all} in all")?;
    }
    json.write_str("\"}}")?;
    json.end(Seal::UNNUMBERED)
}

/// What is to be done with a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// There is room: write it.
    Write,
    /// There is none yet: look again.
    Wait,
    /// Drop it: it is counted.
    Drop,
    /// The line drains again: begin a new line, say that so many bytes were lost,
    /// then write it.
    Resume(u64),
}

/// A line that may stop to drain: after one wait in vain it is given up, and what
/// comes is dropped at once; now and then it is tried again, and used again from
/// where a line of text begins, so that no half of a record is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drain {
    /// When the byte at hand began to wait.
    waiting: Option<u64>,
    /// When the line was given up, or looked at last since.
    given_up: Option<u64>,
    /// Does the next byte begin a line of text?
    at_start: bool,
    /// Bytes dropped since it was given up.
    lost: u64,
}

impl Drain {
    /// A line that drains.
    pub const fn new() -> Self {
        Self {
            waiting: None,
            given_up: None,
            at_start: true,
            lost: 0,
        }
    }

    /// Decides on `byte`: `now` reads the counter, of frequency `hz`, and is not asked where
    /// the line drains; `has_room` looks at the line's status. Called again with the same
    /// byte after [`Next::Wait`].
    #[inline]
    pub fn next(
        &mut self,
        byte: u8,
        now: impl FnOnce() -> u64,
        hz: u64,
        has_room: impl FnOnce() -> bool,
    ) -> Next {
        let passed = |now: u64, since: u64, ms: u64| {
            now.saturating_sub(since) >= hz.saturating_mul(ms) / 1000
        };
        if let Some(looked) = self.given_up {
            let now = now();
            if self.at_start && passed(now, looked, RETRY_MS) {
                self.given_up = Some(now);
                if has_room() {
                    let lost = self.lost;
                    *self = Self::new();
                    return Next::Resume(lost);
                }
            }
            return self.dropped(byte);
        }
        if has_room() {
            self.waiting = None;
            return Next::Write;
        }
        let now = now();
        let since = *self.waiting.get_or_insert(now);
        if !passed(now, since, ROOM_MS) {
            return Next::Wait;
        }
        self.waiting = None;
        self.given_up = Some(now);
        self.dropped(byte)
    }

    const fn dropped(&mut self, byte: u8) -> Next {
        self.lost += 1;
        self.at_start = byte == b'\n';
        Next::Drop
    }

    /// Is the line given up?
    pub const fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Bytes dropped since it was given up.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// Whoever waits for a lock: is its holder gone? What it does while it holds the
/// lock moves `progress`; a holder that makes progress is waited for, up to a
/// limit, however fast the waiting core spins.
#[derive(Clone, Copy, Debug)]
pub struct Takeover {
    began: u64,
    moved: u64,
    progress: u64,
}

impl Takeover {
    /// Begins to wait at `now`.
    pub const fn new(now: u64, progress: u64) -> Self {
        Self {
            began: now,
            moved: now,
            progress,
        }
    }

    /// Has the holder been silent for too long, or had the lock for too long?
    pub fn is_due(&mut self, now: u64, hz: u64, progress: u64) -> bool {
        if progress != self.progress {
            (self.progress, self.moved) = (progress, now);
        }
        let passed =
            |since: u64, ms: u64| now.saturating_sub(since) >= hz.saturating_mul(ms) / 1000;
        passed(self.moved, SILENT_MS) || passed(self.began, HELD_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{console::Line, record::Record};
    use std::{string::String, vec::Vec};

    const HZ: u64 = 1_000_000;
    const MS: u64 = HZ / 1000;

    /// Writes text over a line that has room as `room` says of the time; gives
    /// what arrived, the time, and what was said to be lost.
    fn write(
        drain: &mut Drain,
        now: &mut u64,
        text: &str,
        room: impl Fn(u64) -> bool,
    ) -> (String, u64) {
        let (mut out, mut lost) = (String::new(), 0);
        for byte in text.bytes() {
            loop {
                match drain.next(byte, || *now, HZ, || room(*now)) {
                    Next::Wait => *now += MS,
                    Next::Drop => break,
                    Next::Write => {
                        out.push(byte as char);
                        break;
                    }
                    Next::Resume(bytes) => {
                        lost += bytes;
                        out.push(byte as char);
                        break;
                    }
                }
            }
            *now += 10;
        }
        (out, lost)
    }

    #[test]
    fn a_line_that_stops_costs_one_wait_and_is_taken_up_at_a_line_s_start() {
        let (mut drain, mut now) = (Drain::new(), 0);
        let open = |now: u64| !(50..60_000 * MS).contains(&now);
        let mut all = String::new();
        let mut told = Vec::new();
        let record = "# {\"case\":1}\n";
        // A record every 300 ms, for two minutes.
        for nth in 0..400 {
            now = now.max(nth * 300 * MS);
            let before = now;
            let (out, lost) = write(&mut drain, &mut now, record, open);
            let took = now - before;
            let longest = if nth == 0 { (ROOM_MS + 1) * MS } else { MS };
            assert!(took <= longest, "record {nth} took {took}");
            all += &out;
            told.extend((lost > 0).then_some(lost));
        }
        // What came is whole lines, but for the one that was cut.
        let whole = all.matches(record).count();
        let rest = all.replace(record, "");
        assert!(rest.len() < record.len(), "{rest}");
        assert_eq!(told.len(), 1, "said once");
        assert_eq!(all.len() as u64 + told[0], 400 * record.len() as u64);
        assert!(whole >= 195, "{whole}");
        assert_eq!((drain.lost(), drain.is_given_up()), (0, false));
    }

    #[test]
    fn what_was_lost_is_a_record() {
        for (lost, in_all, says) in [
            (
                1,
                1,
                "the console had stopped: 1 byte of its output was lost",
            ),
            (
                4711,
                4711,
                "the console had stopped: 4711 bytes of its output were lost",
            ),
            (
                2,
                9,
                "the console had stopped: 2 bytes of its output were lost, 9 in all",
            ),
        ] {
            let mut text = String::new();
            write_resumed(&mut text, lost, in_all).unwrap();
            let line = text.strip_prefix('\n').unwrap().trim_end();
            let Some(Line::Record(Record::Note(note), Some(seal))) = Line::read(line.as_bytes())
            else {
                panic!("{line}")
            };
            assert_eq!((&*note.text, seal.number), (says, Seal::UNNUMBERED));
        }
    }

    #[test]
    fn a_dead_line_is_looked_at_once_a_second() {
        let (mut drain, mut now) = (Drain::new(), 0);
        let looks = core::cell::Cell::new(0);
        write(&mut drain, &mut now, "x\n", |_| false);
        assert!(drain.is_given_up());
        let end = now + 10_000 * MS;
        while now < end {
            write(&mut drain, &mut now, "a line\n", |_| {
                looks.set(looks.get() + 1);
                false
            });
        }
        assert!((9..=11).contains(&looks.get()), "{}", looks.get());
        assert!(drain.lost() > 1000);
    }

    #[test]
    fn a_lock_is_taken_from_a_holder_that_is_silent_or_takes_too_long() {
        // It writes on: never before the limit, however often one looks.
        let mut wait = Takeover::new(0, 0);
        for now in 0..HELD_MS {
            assert!(!wait.is_due(now * MS, HZ, now / 500), "{now} ms");
        }
        assert!(wait.is_due(HELD_MS * MS, HZ, HELD_MS));
        // It has stopped.
        let mut wait = Takeover::new(0, 7);
        for now in 0..SILENT_MS * 100 {
            assert!(!wait.is_due(now * MS / 100, HZ, 7));
        }
        assert!(wait.is_due(SILENT_MS * MS, HZ, 7));
        // Time that runs backwards proves nothing.
        assert!(!Takeover::new(5000 * MS, 7).is_due(0, HZ, 7));
    }

    /// Bytes that wait shorter than the limit, each, and far longer together.
    #[test]
    fn a_line_that_drains_slowly_is_waited_for_with_each_byte() {
        let (mut drain, mut now) = (Drain::new(), 0);
        let next = core::cell::Cell::new(50 * MS);
        let text = "# a record\n";
        let (out, lost) = write(&mut drain, &mut now, text, |now| {
            let is_free = now >= next.get();
            next.set(if is_free { now + 50 * MS } else { next.get() });
            is_free
        });
        assert_eq!((out.as_str(), lost), (text, 0));
        assert!(!drain.is_given_up() && now > 5 * ROOM_MS * MS);
    }
}
