//! Finds the few lines worth reading in a log of any size.
//!
//! One thread reads the log in blocks and jumps from one interesting word to
//! the next; the lines that hold them go to the caller, in order. Memory is a
//! few blocks, whatever the file or its longest line measures, and the time
//! goes into the reading of the file.

use std::{
    io::{self, Read},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread,
};

use memchr::{memchr_iter, memchr2, memrchr2};

use super::needles::{self, Depth, Found};

/// Bytes asked for in one read.
const BLOCK: usize = 256 << 10;

/// How much of a line is looked at. The kernel's own limit is about 1 KiB; a
/// list of modules may reach a few KiB.
pub const MAX_LINE: usize = 64 << 10;

/// How far behind the last line that speaks of a crash its other lines are
/// still looked for, in bytes.
const WINDOW: u64 = 256 << 10;

/// Blocks that may wait for the caller.
const WAITING: usize = 4;

/// One line of the log that may hold a message.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes without the line end, at most [`MAX_LINE`] of them.
    pub bytes: &'a [u8],
    /// Its number in the file, from 1.
    pub number: u64,
    /// Did the file go on behind it? The last line of a log that was cut off
    /// may be half a message.
    pub complete: bool,
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
    /// Lines; a last one without a line end counts.
    pub lines: u64,
}

/// Where a line lies in its block.
struct Place {
    start: usize,
    end: usize,
    number: u64,
    complete: bool,
}

/// A piece of the log and the lines found in it.
struct Block {
    bytes: Box<[u8]>,
    found: Vec<Place>,
}

impl Block {
    fn new() -> Self {
        Self {
            bytes: vec![0; BLOCK + MAX_LINE].into(),
            found: Vec::new(),
        }
    }
}

/// Reads the log to its end and hands every line that may hold a message to
/// `sink`, in order; and, whatever it holds, a last line without an end. Once
/// `only_outline` is set, registers and traces may be left out.
///
/// # Errors
/// Those of the reader, and those of `sink`.
pub fn scan<E: From<io::Error>>(
    log: impl Read + Send,
    only_outline: &AtomicBool,
    mut sink: impl FnMut(Line<'_>) -> Result<(), E>,
) -> Result<Size, E> {
    let (send, blocks) = mpsc::sync_channel(WAITING);
    let (give_back, spare) = mpsc::channel();
    let finder = Finder {
        only_outline,
        send,
        spare,
        wanted_until: 0,
        size: Size::default(),
        begins: true,
    };
    // Moved, so that an early return closes the channel and ends the thread.
    thread::scope(move |scope| {
        let reading = scope.spawn(|| finder.run(log));
        for block in blocks {
            for place in &block.found {
                sink(Line {
                    bytes: &block.bytes[place.start..place.end],
                    number: place.number,
                    complete: place.complete,
                })?;
            }
            // It is of no use to a thread that has ended.
            let _ = give_back.send(block);
        }
        match reading.join() {
            Ok(result) => Ok(result?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The thread that reads and searches.
struct Finder<'a> {
    only_outline: &'a AtomicBool,
    send: SyncSender<Block>,
    spare: Receiver<Block>,
    /// More than crashes is wanted up to this offset in the file.
    wanted_until: u64,
    /// What was searched: bytes, and line ends.
    size: Size,
    /// The file, or a line feed, is right in front of what comes next.
    begins: bool,
}

impl Finder<'_> {
    fn run(mut self, mut log: impl Read) -> io::Result<Size> {
        let mut block = Block::new();
        let mut next = Block::new();
        let mut overlong = false;
        let mut last = b'\n';
        // Bytes of a line whose end is not read yet.
        let mut carried = 0;
        loop {
            let got = fill(&mut log, &mut block.bytes[carried..carried + BLOCK])?;
            if got == 0 {
                break;
            }
            let mut filled = carried + got;
            last = block.bytes[filled - 1];
            if overlong {
                // The rest of a line whose beginning was looked at already.
                let skip = memchr2(b'\n', b'\r', &block.bytes[..filled]).unwrap_or(filled);
                overlong = skip == filled;
                self.size.bytes += skip as u64;
                block.bytes.copy_within(skip..filled, 0);
                filled -= skip;
            }
            let mut whole = memrchr2(b'\n', b'\r', &block.bytes[..filled]).map_or(0, |at| at + 1);
            carried = filled - whole;
            if carried < MAX_LINE {
                next.bytes[..carried].copy_from_slice(&block.bytes[whole..filled]);
                self.search(&mut block, whole, true);
            } else {
                whole += MAX_LINE;
                overlong = true;
                carried = 0;
                self.search(&mut block, whole, true);
                self.size.bytes += (filled - whole) as u64;
            }
            std::mem::swap(&mut block, &mut next);
            next = match self.hand_over(next) {
                Some(spare) => spare,
                None => return Ok(self.size),
            };
        }
        self.search(&mut block, carried, false);
        if carried > 0 && block.found.is_empty() {
            block.found.push(Place {
                start: 0,
                end: carried,
                number: self.size.lines + 1,
                complete: false,
            });
        }
        self.hand_over(block);
        self.size.lines += u64::from(last != b'\n');
        Ok(self.size)
    }

    /// Gives a block to the caller, if anything was found in it, and takes one
    /// to go on with; `None` if the caller has ended.
    fn hand_over(&self, block: Block) -> Option<Block> {
        let spare = match self.spare.try_recv() {
            Ok(spare) => Some(spare),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => return None,
        };
        if block.found.is_empty() {
            return Some(block);
        }
        self.send.send(block).ok()?;
        Some(spare.unwrap_or_else(Block::new))
    }

    /// Searches a block up to `end`, at a line end or the end of the file.
    fn search(&mut self, block: &mut Block, end: usize, complete: bool) {
        block.found.clear();
        let bytes = &block.bytes[..end];
        let more = if self.only_outline.load(Ordering::Relaxed) {
            Depth::Outline
        } else {
            Depth::Details
        };
        let mut at = 0;
        let mut counted = 0;
        loop {
            let offset = self.size.bytes;
            let wanted = |at: usize| offset + (at as u64) < self.wanted_until;
            let depth = if wanted(at) { more } else { Depth::Crashes };
            let Some(found) = next(bytes, at, depth, self.begins) else {
                break;
            };
            if found.depth > Depth::Crashes && !wanted(found.at) {
                // A word beyond the window, seen because the search began
                // inside it: what is read must not depend on the blocks.
                at = found.at + 1;
                continue;
            }
            let start = memrchr2(b'\n', b'\r', &bytes[..found.at]).map_or(0, |i| i + 1);
            let end =
                memchr2(b'\n', b'\r', &bytes[found.at..]).map_or(bytes.len(), |i| found.at + i);
            at = end;
            if found.end - start > MAX_LINE {
                continue;
            }
            self.size.lines += memchr_iter(b'\n', &bytes[counted..start]).count() as u64;
            counted = start;
            if found.is_crash {
                self.wanted_until = offset + end as u64 + WINDOW;
            }
            block.found.push(Place {
                start,
                end: end.min(start + MAX_LINE),
                number: self.size.lines + 1,
                complete: complete || end < bytes.len(),
            });
        }
        self.size.lines += memchr_iter(b'\n', &bytes[counted..]).count() as u64;
        self.size.bytes += bytes.len() as u64;
        self.begins = bytes.last().map_or(self.begins, |b| *b == b'\n');
    }
}

/// Reads until the buffer is full or the log ends.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match log.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The next word in a block from `at` on.
fn next(bytes: &[u8], at: usize, depth: Depth, begins: bool) -> Option<Found> {
    if at == 0 && begins && needles::opens_with_fence(bytes) {
        return Some(Found {
            at: 0,
            end: 3,
            depth: Depth::Crashes,
            is_crash: false,
        });
    }
    let found = needles::find(&bytes[at..], depth)?;
    Some(Found {
        at: at + found.at,
        end: at + found.end,
        ..found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(reader: impl Read + Send) -> (Vec<(u64, Vec<u8>, bool)>, Size) {
        let mut found = Vec::new();
        let size = scan(reader, &AtomicBool::new(false), |line| {
            found.push((line.number, line.bytes.to_vec(), line.complete));
            Ok::<_, io::Error>(())
        })
        .unwrap();
        (found, size)
    }

    /// Hands out its bytes a few at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn numbers_lines_and_marks_the_unfinished_one() {
        let log = b"a\nBye!\r\n\r\nx Bye! y\nb\nBye!";
        let (found, size) = lines_of(&log[..]);
        assert_eq!(
            found,
            [
                (2, b"Bye!".to_vec(), true),
                (4, b"x Bye! y".to_vec(), true),
                (6, b"Bye!".to_vec(), false)
            ]
        );
        assert_eq!(
            size,
            Size {
                bytes: 25,
                lines: 6
            }
        );
    }

    #[test]
    fn the_last_line_is_shown_if_it_has_no_end() {
        assert_eq!(lines_of(&b"a\nb"[..]).0, [(2, b"b".to_vec(), false)]);
        assert_eq!(lines_of(&b"a\nb\n"[..]).0, []);
    }

    #[test]
    fn a_line_longer_than_memory_is_passed_over() {
        let mut log = b"Bye! begins".to_vec();
        log.resize(3 * BLOCK, b'x');
        log.extend_from_slice(b" Bye! far in\nBye!\n");
        let (found, size) = lines_of(&log[..]);
        let numbers: Vec<_> = found.iter().map(|(n, ..)| *n).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(found[0].1.len(), MAX_LINE);
        assert_eq!((size.bytes, size.lines), (log.len() as u64, 2));
    }

    #[test]
    fn details_are_only_sought_near_a_crash() {
        let mut log = b"pc : early\nBye!\npc : near\n".to_vec();
        log.resize(3 * BLOCK, b'\n');
        log.extend_from_slice(b"pc : far\n");
        let lines: Vec<_> = lines_of(&log[..]).0.into_iter().map(|l| l.1).collect();
        assert_eq!(lines, [b"Bye!".to_vec(), b"pc : near".to_vec()]);
    }

    #[test]
    fn an_error_of_the_caller_ends_the_reading() {
        let log = Read::chain(&b"Bye!\n"[..], io::repeat(b'\n'));
        let result = scan(log, &AtomicBool::new(false), |_| {
            Err::<(), _>(io::Error::other("enough"))
        });
        assert_eq!(result.unwrap_err().to_string(), "enough");
    }

    proptest! {
        /// How the bytes arrive changes nothing.
        #[test]
        fn reads_alike_in_any_portions(
            pieces in proptest::collection::vec("(Bye!|pc : |[ab ]{0,9}|\n|\r\n|\r|```)", 0..60),
            long in proptest::option::of(0..60_usize),
            portion in 1..5000_usize,
        ) {
            let mut log = Vec::new();
            for (i, piece) in pieces.iter().enumerate() {
                log.extend_from_slice(piece.as_bytes());
                if long == Some(i) {
                    log.resize(log.len() + MAX_LINE, b'.');
                }
            }
            // Not prop_assert_eq, which would print all of it.
            prop_assert!(lines_of(Drip(&log, portion)) == lines_of(&log[..]));
        }
    }
}
