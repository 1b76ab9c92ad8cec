//! The exception table: where execution goes on after a fault of an instruction
//! under test.

#![expect(unsafe_code, reason = "reads the linker's exception table")]

use crate::hal::layout;

/// Is an instruction at `at` under test, so that a fault of it is a finding?
pub fn is_under_test(at: u64) -> bool {
    layout::routines().contains(&at) || fixup(at).is_some()
}

/// Where execution goes on after a fault at `at`, by the exception table.
pub fn fixup(at: u64) -> Option<u64> {
    let mut entry = layout::ex_table_start();
    while entry + 8 <= layout::ex_table_end() {
        let relative = |address: usize| {
            // SAFETY: within the linker's exception table, whose entries are
            // pairs of 32-bit self-relative offsets.
            let offset = unsafe { (address as *const i32).read() };
            (address as u64).wrapping_add_signed(i64::from(offset))
        };
        if relative(entry) == at {
            return Some(relative(entry + 4));
        }
        entry += 8;
    }
    None
}
