//! Where the linker script puts the image's parts.

#![expect(
    unsafe_code,
    reason = "the linker's symbols, and what lies between them"
)]

use core::{ops::Range, slice};

/// Defines functions that give the addresses of the linker script's symbols.
macro_rules! linker_symbols {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident;)*) => {
        $(
            $(#[$doc])*
            pub fn $name() -> usize {
                unsafe extern "C" {
                    #[link_name = stringify!($symbol)]
                    static SYMBOL: u8;
                }
                &raw const SYMBOL as usize
            }
        )*
    };
}

linker_symbols! {
    /// The image's first byte.
    image_start = image_head;
    /// One past the image's last byte.
    image_end = image_end;
    /// Code.
    text_start = text_start;
    /// One past the code.
    text_end = text_end;
    /// Constants.
    rodata_start = rodata_start;
    /// One past the constants.
    rodata_end = rodata_end;
    /// Data, zeroed data and early tables, to the image's end.
    data_start = data_start;
    /// The kernel's routines.
    routines_start = routines_start;
    /// One past them.
    routines_end = routines_end;
    /// The loops of stale cores.
    stuck_start = stuck_start;
    /// One past them.
    stuck_end = stuck_end;
    /// The exception table.
    ex_table_start = ex_table_start;
    /// One past it.
    ex_table_end = ex_table_end;
    /// The symbol table's section.
    symbols_start = symbols_start;
    /// One past it.
    symbols_end = symbols_end;
}

/// The instruction at an address of the image's code; `None` elsewhere.
pub fn instruction(address: u64) -> Option<u32> {
    let code = text_start() as u64..text_end() as u64;
    if !code.contains(&address) || !address.is_multiple_of(4) {
        return None;
    }
    // SAFETY: aligned, and in the image's code, which ends with a page, is mapped as
    // long as the image runs, and is written by `memory::patch` alone.
    Some(unsafe { (address as *const u32).read_volatile() })
}

/// A function's instructions, with their addresses, to its `ret`.
pub fn instructions_of(function: usize) -> impl Iterator<Item = (usize, u32)> {
    const RET: u32 = 0xd65f_03c0;
    const LONGEST: usize = 2048;
    (function..function + LONGEST)
        .step_by(4)
        .map_while(|address| Some((address, instruction(address as u64)?)))
        .take_while(|(_, instruction)| *instruction != RET)
}

/// The exception table: pairs of offsets, each relative to its own address: to an
/// instruction, and to where execution goes on after a fault on it.
pub fn ex_table() -> &'static [[i32; 2]] {
    let size = (ex_table_end() - ex_table_start()) / size_of::<[i32; 2]>();
    // SAFETY: the linker script aligns the section's start to 8 bytes; it is among
    // the constants, which are mapped and never written.
    unsafe { slice::from_raw_parts(ex_table_start() as *const [i32; 2], size) }
}

/// The symbol table's bytes.
pub fn symbols() -> &'static [u8] {
    let size = symbols_end() - symbols_start();
    // SAFETY: the section is part of the image, mapped, and never written while the
    // image runs.
    unsafe { slice::from_raw_parts(symbols_start() as *const u8, size) }
}

/// Addresses of the kernel's routines.
pub fn routines() -> Range<u64> {
    routines_start() as u64..routines_end() as u64
}

/// Addresses of the loops of stale cores.
pub fn stuck() -> Range<u64> {
    stuck_start() as u64..stuck_end() as u64
}
