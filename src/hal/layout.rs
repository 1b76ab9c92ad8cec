//! Where the linker script has put the image's parts.

#![expect(unsafe_code, reason = "the linker's symbols")]

use core::ops::Range;

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

/// Addresses of the kernel's routines.
pub fn routines() -> Range<u64> {
    routines_start() as u64..routines_end() as u64
}

/// Addresses of the loops of stale cores.
pub fn stuck() -> Range<u64> {
    stuck_start() as u64..stuck_end() as u64
}
