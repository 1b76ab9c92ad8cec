//! Reads a log in blocks and jumps from one interesting word to the next.

use std::{
    io::{self, Read},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError},
    },
};

use memchr::{memchr_iter, memchr2, memrchr2};

use super::needles::{Depth, Found, Search};

/// How much of a line is looked at. The kernel's own limit is about 1 KiB; a
/// list of modules may reach a few KiB.
pub const MAX_LINE: usize = 64 << 10;

/// Bytes asked for in one read.
pub const BLOCK: usize = 128 << 10;

/// How far after the last line that speaks of a crash its other lines are still
/// looked for, in bytes.
const WINDOW: u64 = 256 << 10;

/// How much of what follows a line is shown with it, in bytes: enough for a trace
/// whose frames no word finds.
pub const BEHIND: usize = 4 << 10;

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
    /// Lines; a last one without a line end counts.
    pub lines: u64,
}

impl Size {
    /// That of a text in memory.
    pub fn of(text: &[u8]) -> Self {
        let open = u64::from(text.last().is_some_and(|b| *b != b'\n'));
        Self {
            bytes: text.len() as u64,
            lines: count_lines(text) + open,
        }
    }
}

/// Where a line is in its block.
pub struct Place {
    /// Lines of the block in front of it.
    pub lines: u64,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// Did the file go on after it?
    pub complete: bool,
}

/// A piece of the log and the lines found in it.
pub struct Block {
    /// The piece, and spare room.
    pub bytes: Box<[u8]>,
    /// Where the piece ends.
    pub end: usize,
    /// Where the bytes that were read end; those after `end` belong to the next piece,
    /// and are here to be looked at.
    pub filled: usize,
    /// Lines of the log in front of it.
    pub lines_before: u64,
    /// The lines.
    pub found: Vec<Place>,
}

impl Block {
    fn new() -> Self {
        Self {
            bytes: vec![0; BLOCK + MAX_LINE].into(),
            end: 0,
            filled: 0,
            lines_before: 0,
            found: Vec::new(),
        }
    }
}

/// The thread that reads and searches.
pub struct Finder<'a> {
    /// Registers and traces are not wanted any more.
    only_outline: &'a AtomicBool,
    send: SyncSender<Block>,
    spare: Receiver<Block>,
    /// More than the beginnings of crashes is wanted up to this offset in the file; at
    /// first as well, since a log may begin in the middle of a dump.
    wanted_until: u64,
    /// Bytes that were searched.
    searched: u64,
    /// Line ends in what was searched.
    lines: u64,
    /// What comes next is right after a line feed or the beginning of the file.
    begins: bool,
}

impl<'a> Finder<'a> {
    /// A reader at the beginning of a log: it sends blocks with lines in them,
    /// and takes back spent ones.
    pub fn new(
        only_outline: &'a AtomicBool,
        send: SyncSender<Block>,
        spare: Receiver<Block>,
    ) -> Self {
        Self {
            only_outline,
            send,
            spare,
            wanted_until: WINDOW,
            searched: 0,
            lines: 0,
            begins: true,
        }
    }

    /// Reads the log to its end, or until nobody takes blocks any more; its
    /// bytes and lines.
    ///
    /// # Errors
    /// Those of the log.
    pub fn run(mut self, mut log: impl Read) -> io::Result<Size> {
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
                self.searched += skip as u64;
                block.bytes.copy_within(skip..filled, 0);
                filled -= skip;
            }
            let ends = |upto: usize| memrchr2(b'\n', b'\r', &block.bytes[..upto]).map(|at| at + 1);
            // What follows a line has to be there when the line is looked at.
            let mut whole = ends(filled.saturating_sub(BEHIND)).unwrap_or(0);
            if filled - whole >= MAX_LINE {
                whole = ends(filled).unwrap_or(0);
            }
            carried = filled - whole;
            block.filled = filled;
            if carried < MAX_LINE {
                next.bytes[..carried].copy_from_slice(&block.bytes[whole..filled]);
                self.search(&mut block, whole, true);
            } else {
                whole += MAX_LINE;
                overlong = true;
                carried = 0;
                self.search(&mut block, whole, true);
                self.searched += (filled - whole) as u64;
            }
            std::mem::swap(&mut block, &mut next);
            next = match self.hand_over(next) {
                Some(spare) => spare,
                None => return Ok(self.size(last)),
            };
        }
        block.filled = carried;
        self.search(&mut block, carried, false);
        show_last(&mut block);
        self.hand_over(block);
        Ok(self.size(last))
    }

    fn size(&self, last: u8) -> Size {
        Size {
            bytes: self.searched,
            lines: self.lines + u64::from(last != b'\n'),
        }
    }

    /// Gives a block to the caller, if anything was found in it, and takes one
    /// to go on with; `None` if the caller has ended.
    fn hand_over(&mut self, block: Block) -> Option<Block> {
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
        block.end = end;
        block.lines_before = self.lines;
        let bytes = &block.bytes[..end];
        let more = if self.only_outline.load(Ordering::Relaxed) {
            Depth::Outline
        } else {
            Depth::Details
        };
        let mut words = Search::new(bytes);
        let mut at = 0;
        let mut lines = 0;
        let mut counted = 0;
        loop {
            let offset = self.searched;
            let wanted = |at: usize| offset + (at as u64) < self.wanted_until;
            let depth = if wanted(at) { more } else { Depth::Crashes };
            let Some(found) = next(&mut words, at, depth, self.begins) else {
                break;
            };
            if found.depth > Depth::Crashes && !wanted(found.at) {
                // A word beyond the window, found because the search began inside
                // it: the reading must not depend on where blocks begin.
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
            if found.is_crash {
                self.wanted_until = offset + end as u64 + WINDOW;
            }
            lines += count_lines(&bytes[counted..start]);
            counted = start;
            block.found.push(Place {
                lines,
                start,
                end: end.min(start + MAX_LINE),
                complete: complete || end < bytes.len(),
            });
        }
        self.lines += lines + count_lines(&bytes[counted..]);
        self.searched += bytes.len() as u64;
        self.begins = bytes.last().map_or(self.begins, |b| *b == b'\n');
    }
}

/// Adds the last line that is not empty, if no word found it.
fn show_last(block: &mut Block) {
    let bytes = &block.bytes[..block.end];
    let Some(end) = bytes.iter().rposition(|b| !b.is_ascii_whitespace()) else {
        return;
    };
    let start = memrchr2(b'\n', b'\r', &bytes[..end]).map_or(0, |at| at + 1);
    let end = memchr2(b'\n', b'\r', &bytes[end..]).map(|at| end + at);
    if block.found.last().is_none_or(|place| place.start != start) {
        block.found.push(Place {
            lines: count_lines(&bytes[..start]),
            start,
            end: end.unwrap_or(bytes.len()).min(start + MAX_LINE),
            complete: end.is_some(),
        });
    }
}

/// How many lines end here.
pub fn count_lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
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
fn next(words: &mut Search<'_>, at: usize, depth: Depth, begins: bool) -> Option<Found> {
    if at == 0 && begins && words.opens_with_fence() {
        return Some(Found {
            start: 0,
            at: 0,
            end: 3,
            depth: Depth::Crashes,
            is_crash: false,
        });
    }
    words.find(at, depth)
}
