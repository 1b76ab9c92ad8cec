//! Finds the few lines worth reading in a log of any size.
//!
//! One thread reads the log in blocks and jumps from one interesting word to
//! the next; the lines that hold them go to the caller, in order. Memory is a
//! few blocks, however long the file or its longest line, and most of the time
//! goes into reading the file.

use std::{
    io::{self, Read},
    sync::{atomic::AtomicBool, mpsc},
    thread,
};

use super::finder::{BEHIND, Finder};

pub use super::finder::Size;

/// Blocks that may wait for the caller.
const WAITING: usize = 4;

/// One line of the log that may hold a message.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes without the line end, at most [`super::finder::MAX_LINE`] of them.
    pub bytes: &'a [u8],
    /// Its number in the file, from 1.
    pub number: u64,
    /// Did the file go on after it? The last line of a log that was cut off
    /// may be half a message.
    pub complete: bool,
    /// What follows it, as far as it has been read: some lines, of which the last may
    /// not be whole.
    pub behind: &'a [u8],
}

/// Reads the log to its end and hands every line that may hold a message to
/// `sink`, in order, and in any case the last line. Once `only_outline` is set,
/// registers and traces may be left out.
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
    let finder = Finder::new(only_outline, send, spare);
    // `move`: so that an early return closes the channel and ends the thread.
    thread::scope(move |scope| {
        let reading = scope.spawn(|| finder.run(log));
        for block in blocks {
            for place in &block.found {
                sink(Line {
                    bytes: &block.bytes[place.start..place.end],
                    number: block.lines_before + place.lines + 1,
                    complete: place.complete,
                    behind: &block.bytes[place.end..block.filled.min(place.end + BEHIND)],
                })?;
            }
            // Fails only if the thread has ended.
            let _ = give_back.send(block);
        }
        match reading.join() {
            Ok(size) => Ok(size?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::finder::{BLOCK, MAX_LINE},
        *,
    };
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
    fn the_last_line_is_shown_whatever_it_holds() {
        assert_eq!(lines_of(&b"a\nb"[..]).0, [(2, b"b".to_vec(), false)]);
        assert_eq!(lines_of(&b"a\nb\n\n"[..]).0, [(2, b"b".to_vec(), true)]);
        assert_eq!(lines_of(&b"\n\n"[..]).0, []);
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
        let mut log = b"pc : begins\n".to_vec();
        log.resize(3 * BLOCK, b'\n');
        log.extend_from_slice(b"pc : early\nBye!\npc : near\n");
        log.resize(6 * BLOCK, b'\n');
        log.extend_from_slice(b"pc : far\nx\n");
        let lines: Vec<_> = lines_of(&log[..]).0.into_iter().map(|l| l.1).collect();
        let wanted = [&b"pc : begins"[..], b"Bye!", b"pc : near", b"x"];
        assert_eq!(lines, wanted.map(<[u8]>::to_vec));
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
