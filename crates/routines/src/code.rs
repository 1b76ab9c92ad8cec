//! Code that is written while the image runs, to see what is fetched.

#![expect(unsafe_code, reason = "writes code, and calls it")]

/// Writes a function that returns `value` at `address`: `movz w0, #value; ret`.
///
/// # Safety
/// `address` must be writable, 4-byte aligned, and used by nobody else.
#[inline(always)]
pub unsafe fn write_function(address: usize, value: u16) {
    let code = [0x5280_0000 | u32::from(value) << 5, 0xd65f_03c0];
    for (at, instruction) in code.into_iter().enumerate() {
        let address = (address + at * size_of::<u32>()) as *mut u32;
        // SAFETY: the caller vouches for the address.
        unsafe { address.write_volatile(instruction) }
    }
}

/// The same for code that is executed though nothing makes it visible, as an
/// operation that is wrong on purpose is to be seen to be: by its name the checker's
/// user can tell that.
///
/// # Safety
/// As above.
#[inline(never)]
pub unsafe fn write_unseen(address: usize, value: u16) {
    // SAFETY: the caller vouches for the address.
    unsafe { write_function(address, value) }
}

/// Calls the function that [`write_function`] wrote.
///
/// # Safety
/// `address` must be the executable view of such a function.
pub unsafe fn call_function(address: usize) -> u16 {
    // SAFETY: the caller vouches that there is a function of this type.
    let function: extern "C" fn() -> u32 = unsafe { core::mem::transmute(address) };
    function() as u16
}
