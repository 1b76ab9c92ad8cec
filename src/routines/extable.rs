//! The exception table: where execution goes on after a fault on an instruction under
//! test.

use core::ptr;

use crate::hal::layout;

/// Is the instruction at `at` under test, so that a fault on it is a finding?
pub fn is_under_test(at: u64) -> bool {
    layout::routines().contains(&at) || fixup(at).is_some()
}

/// Where execution goes on after a fault at `at`, by the exception table.
pub fn fixup(at: u64) -> Option<u64> {
    let target = |offset: &i32| {
        let own = ptr::from_ref(offset) as u64;
        own.wrapping_add_signed(i64::from(*offset))
    };
    let mut entries = layout::ex_table().iter();
    entries
        .find(|[from, _]| target(from) == at)
        .map(|[_, to]| target(to))
}
