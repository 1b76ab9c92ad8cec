//! What one initiator works on: words of data, code of which each word is a
//! function, a kexec list, and a page for code that kexec copies. Several cores read and
//! write them at once, and caches are made to lose and to find them.

#![expect(unsafe_code, reason = "executes code that was written")]

use core::sync::atomic::{AtomicU64, Ordering};

use stalecore_routines::{
    area::{Area, PAGE},
    code, kernel, kexec_list,
};

use crate::hal::{arena::Pages, memory::executable};

/// Bytes of data, and of code, that each initiator works on.
pub const BUFFER_SIZE: usize = 64 * 1024;
/// Data and code each have a page after them.
const WITH_ROOM: usize = BUFFER_SIZE + PAGE;
/// The pages of the kexec list.
const LIST_SIZE: usize = 2 * PAGE;
/// Bytes of all of it.
pub const AREA_SIZE: usize = 2 * WITH_ROOM + LIST_SIZE + PAGE;

/// An initiator's buffers.
#[derive(Clone, Copy)]
pub struct Buffers {
    /// Where they are.
    pub area: Area,
    /// All of them, from `area.data` on.
    words: &'static [AtomicU64],
}

/// The part of an area of [`AREA_SIZE`] at `start` that is code: its address, and its
/// bytes with the room after it.
pub const fn code_of(start: usize) -> (usize, usize) {
    (start + WITH_ROOM, WITH_ROOM)
}

impl Buffers {
    /// Fills an area of [`AREA_SIZE`] of which the code is mapped executable: zeros, the
    /// code, a kexec list.
    pub fn new(pages: Pages) -> Self {
        let data = pages.start();
        let (code_writable, _) = code_of(data);
        let area = Area {
            data,
            data_size: BUFFER_SIZE,
            code: executable(code_writable),
            code_writable,
            size: BUFFER_SIZE,
            list: code_writable + WITH_ROOM,
        };
        let words = pages.words();
        assert!(size_of_val(words) == AREA_SIZE, "an area");
        let own = Self { area, words };
        let (start, _) = code_of(0);
        for word in &words[start / size_of::<u64>()..][..BUFFER_SIZE / size_of::<u64>()] {
            code::write_function(word, 0);
        }
        // The executable view has been there for a while, so what was in memory
        // before may have been fetched.
        kernel::caches_clean_inval_pou(area.code, area.code + area.size);
        for (at, entry) in kexec_list::entries(&area) {
            own.store(at, entry);
        }
        own
    }

    /// The page for code that kexec copies.
    pub const fn control(&self) -> usize {
        self.area.list + LIST_SIZE
    }

    /// The word at an address of the buffers.
    #[inline(always)]
    fn word(&self, address: usize) -> &AtomicU64 {
        &self.words[address.wrapping_sub(self.area.data) / size_of::<u64>()]
    }

    /// What is there.
    #[inline(always)]
    pub fn load(&self, address: usize) -> u64 {
        self.word(address).load(Ordering::Relaxed)
    }

    /// Reads a line: brings it to where it can be read.
    pub fn read(&self, address: usize) {
        self.load(address);
    }

    /// Modifies a line without changing what is in it.
    #[inline(always)]
    pub fn dirty(&self, address: usize) {
        let word = self.word(address);
        word.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Writes a word of data, of the list, or of the page for copied code.
    pub fn store(&self, address: usize, value: u64) {
        let (code, size) = code_of(self.area.data);
        assert!(
            !(code..code + size).contains(&address),
            "code is functions alone"
        );
        self.word(address).store(value, Ordering::Relaxed);
    }

    /// The word `at` bytes from the start of the code, through its writable view.
    fn function(&self, at: usize) -> &AtomicU64 {
        assert!(at < BUFFER_SIZE, "in the code");
        self.word(self.area.code_writable + at)
    }

    /// Writes a function there that returns `value`.
    pub fn write_function(&self, at: usize, value: u16) {
        code::write_function(self.function(at), value);
    }

    /// The same for code that nothing makes visible.
    pub fn write_unseen(&self, at: usize, value: u16) {
        code::write_unseen(self.function(at), value);
    }

    /// Calls the function there; what it returned.
    pub fn call(&self, at: usize) -> u16 {
        assert!(
            at < BUFFER_SIZE && at.is_multiple_of(8),
            "a word of the code"
        );
        // SAFETY: `new` has made each word of the code a function, and nothing but
        // a function is written over one: `store` keeps off the code, and `dirty` puts
        // back what it found. A word is written whole, so no core sees half of one.
        unsafe { code::call_function(self.area.code + at) }
    }
}
