//! What one initiator works on: words of data, code of which each word is a function, and
//! a kexec list, as the image's.

#![expect(unsafe_code, reason = "executes code that was written")]

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use stalecore_model::glossary::LineState;
use stalecore_routines::{
    area::{Area, PAGE},
    code, instructions, kernel, kexec_list,
};

use crate::os::{self, Code};

/// Bytes of data, and of code, that each initiator works on.
pub const BUFFER_SIZE: usize = 64 * 1024;
/// Data and code each have a page after them.
const WITH_ROOM: usize = BUFFER_SIZE + PAGE;
/// The pages of the kexec list.
const LIST_SIZE: usize = 2 * PAGE;
/// Where in the code the older copy is that `selftest-stale` executes.
pub const OLDER: usize = BUFFER_SIZE / 2;

/// An initiator's buffers.
#[derive(Clone, Copy)]
pub struct Buffers {
    /// Where they are.
    pub area: Area,
    /// Data and list.
    data: &'static [AtomicU64],
    code: &'static [AtomicU64],
}

impl Buffers {
    /// Takes memory and fills it.
    ///
    /// # Errors
    /// There is none that may be executed.
    pub fn new() -> io::Result<Self> {
        Self::of(&Code::new(WITH_ROOM)?)
    }

    /// With this memory for code, of [`WITH_ROOM`] bytes.
    fn of(memory: &Code) -> io::Result<Self> {
        let data = os::memory(WITH_ROOM + LIST_SIZE, false)?;
        let code = memory.words;
        let at = |words: &[AtomicU64]| words.as_ptr() as usize;
        let area = Area {
            data: at(data),
            data_size: BUFFER_SIZE,
            code: memory.executed,
            code_writable: at(code),
            size: BUFFER_SIZE,
            list: at(data) + WITH_ROOM,
        };
        let own = Self { area, data, code };
        for place in (0..BUFFER_SIZE).step_by(size_of::<u64>()) {
            own.write_function(place, 0);
        }
        kernel::caches_clean_inval_pou(area.code, area.code + area.size);
        for (place, entry) in kexec_list::entries(&area) {
            own.data[(place - area.data) / size_of::<u64>()].store(entry, Ordering::Relaxed);
        }
        Ok(own)
    }

    /// Is the code executed at another address than it is written at?
    pub const fn is_twice(&self) -> bool {
        self.area.code != self.area.code_writable
    }

    /// The word at an address of the buffers, which is written at its own.
    fn word(&self, address: usize) -> &AtomicU64 {
        let nth = |start: usize| address.wrapping_sub(start) / size_of::<u64>();
        let data = self.data.get(nth(self.area.data));
        data.unwrap_or_else(|| &self.code[nth(self.area.code)])
    }

    /// Brings a line into a state, as far as one core can.
    pub fn bring(&self, address: usize, line: LineState) {
        let word = self.word(address);
        match line {
            LineState::Cold => instructions::dc_civac(address),
            LineState::DirtyHere | LineState::DirtyThere => {
                word.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            LineState::Shared => drop(word.load(Ordering::Relaxed)),
            LineState::ExecutedThere => {}
        }
    }

    /// Touches all lines as the line state asks, on a thread that is about to get stuck:
    /// the `nth` of so many.
    pub fn touch(&self, line: LineState, size: usize, nth: usize, of: usize) {
        for (index, at) in (0..BUFFER_SIZE).step_by(size).enumerate() {
            match line {
                LineState::DirtyThere if index % of.max(1) == nth => {
                    self.bring(self.area.data + at, line);
                    self.bring(self.area.code + at, line);
                }
                LineState::Shared => {
                    self.bring(self.area.data + at, line);
                    self.bring(self.area.code + at, line);
                }
                LineState::ExecutedThere => drop(self.call(at)),
                _ => {}
            }
        }
    }

    /// Writes a function there that returns `value`.
    pub fn write_function(&self, at: usize, value: u16) {
        code::write_function(&self.code[at / size_of::<u64>()], value);
    }

    /// Calls the function there; what it returned.
    pub fn call(&self, at: usize) -> u16 {
        assert!(
            at < BUFFER_SIZE && at.is_multiple_of(8),
            "a word of the code"
        );
        // SAFETY: `new` has made each word of the code a function, and nothing but a
        // function is written over one: `bring` puts back what it found.
        unsafe { code::call_function(self.area.code + at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_at_two_addresses_is_written_and_executed() {
        let twice = Buffers::of(&Code::twice(WITH_ROOM).unwrap()).unwrap();
        let once = Buffers::new().unwrap();
        assert!(twice.is_twice());
        for (buffers, value) in [(twice, 7), (once, 9)] {
            let area = buffers.area;
            // Not executed before: QEMU before 8.1 does not see, in user mode, that code
            // which it has translated is changed through another address.
            buffers.write_function(64, value);
            kernel::caches_clean_inval_pou(area.code, area.code + area.size);
            assert_eq!(buffers.call(64), value);
            assert_eq!(buffers.call(128), 0);
            // A line is dirtied without a change.
            buffers.bring(area.code + 64, LineState::DirtyHere);
            assert_eq!(buffers.call(64), value);
        }
    }
}
