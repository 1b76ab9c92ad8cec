//! Registers of devices, and the words at which firmware holds cores: mapped, but not
//! Rust's memory. Each access is checked against what the page tables in use map as
//! such.

#![expect(unsafe_code, reason = "registers are accessed by their address")]

use alloc::vec::Vec;
use core::{arch::asm, ptr::NonNull};

use spin::Once;
use stalecore_model::platform::Region;

/// What may be accessed.
static MAPPED: Once<Vec<Region>> = Once::new();

/// From now on these regions may be accessed: the page tables in use map them for good,
/// and they are not Rust's memory.
pub fn set_mapped(regions: Vec<Region>) {
    MAPPED.call_once(|| Region::joined(regions));
}

/// The registers of type `T` at an address.
///
/// # Panics
/// They may not be accessed, or are not aligned: a mistake in the image.
pub fn registers<T>(address: u64) -> NonNull<T> {
    check(address, size_of::<T>(), align_of::<T>()).cast()
}

#[inline(never)]
fn check(base: u64, size: usize, align: usize) -> NonNull<u8> {
    let size = size as u64;
    let wanted = Region { base, size };
    let mut mapped = MAPPED.get().into_iter().flatten();
    let may = mapped.any(|region| region.common(&wanted) == Some(wanted));
    match NonNull::new(base as *mut u8) {
        Some(registers) if may && base.is_multiple_of(align as u64) => registers,
        _ => panic!("{base:#x} is no register of a mapped device"),
    }
}

/// Defines how registers of one width are read and written.
macro_rules! registers {
    ($($read:ident, $write:ident: $type:ty;)*) => {$(
        /// Reads a register.
        #[inline(never)]
        pub fn $read(address: u64) -> $type {
            let register = registers::<$type>(address);
            // SAFETY: aligned, mapped, and none of Rust's memory: `registers`.
            unsafe { register.read_volatile() }
        }

        /// Writes a register.
        #[inline(never)]
        pub fn $write(address: u64, value: $type) {
            let register = registers::<$type>(address);
            // SAFETY: aligned, mapped, and none of Rust's memory: `registers`.
            unsafe { register.write_volatile(value) }
        }
    )*};
}

/// Defines how a register of one width is read where the access may take an exception.
macro_rules! probe {
    ($($probe:ident: $type:ty, $load:literal;)*) => {$(
        /// Reads a register; nothing where that takes an exception.
        #[inline(never)]
        pub fn $probe(address: u64) -> Option<$type> {
            let register = registers::<$type>(address);
            let (value, read): ($type, u64);
            // SAFETY: aligned, mapped, and none of Rust's memory: `registers`. A synchronous
            // exception goes on behind the load, by the exception table, with `read` 0.
            unsafe {
                asm!(
                    "mov {read}, #0",
                    concat!("2: ", $load),
                    "mov {read}, #1",
                    "3:",
                    ".pushsection __ex_table, \"a\"",
                    ".balign 4",
                    ".long (2b - .), (3b - .)",
                    ".popsection",
                    at = in(reg) register.as_ptr(),
                    read = out(reg) read,
                    value = inout(reg) 0 as $type => value,
                    options(nostack)
                );
            }
            (read == 1).then_some(value)
        }
    )*};
}

probe! {
    probe_u32: u32, "ldr {value:w}, [{at}]";
    probe_u64: u64, "ldr {value:x}, [{at}]";
}

registers! {
    read_u8, write_u8: u8;
    read_u32, write_u32: u32;
    read_u64, write_u64: u64;
}
