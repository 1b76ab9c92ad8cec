//! Code that is written while the image runs, to see what is fetched.

#![expect(unsafe_code, reason = "calls code that was written")]

use core::sync::atomic::{AtomicU64, Ordering};

/// A function that returns `value`, as one word of memory: `movz w0, #value`, and
/// in the upper half `ret`.
const fn function(value: u16) -> u64 {
    0xd65f_03c0_5280_0000 | (value as u64) << 5
}

/// Writes a function that returns `value`, in one piece: a fetch sees all of it, or all
/// of the old one.
#[inline(always)]
pub fn write_function(word: &AtomicU64, value: u16) {
    word.store(function(value), Ordering::Relaxed);
}

/// The same for code that is executed though nothing makes it visible: by this name a
/// user of the checker can tell that an operation is wrong on purpose.
#[inline(never)]
pub fn write_unseen(word: &AtomicU64, value: u16) {
    write_function(word, value);
}

/// Calls a function that [`write_function`] wrote.
///
/// # Safety
/// `address` must be the executable view of such a function, however old.
pub unsafe fn call_function(address: usize) -> u16 {
    // SAFETY: the caller vouches that there is a function of this type.
    let function: extern "C" fn() -> u32 = unsafe { core::mem::transmute(address) };
    function() as u16
}
