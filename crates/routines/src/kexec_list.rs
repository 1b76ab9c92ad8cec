//! A kexec list in memory: built, and walked as the kernel does.

#![expect(unsafe_code, reason = "the list is raw memory")]

use stalecore_model::kdump::image::{DESTINATION, DONE, FLAGS, INDIRECTION, SOURCE};

use super::area::{Area, PAGE};

/// Calls `flush` with start and size for each entry of the list at `list`, and
/// for each page that it names, in the order of the kernel's
/// `kexec_list_flush`; ends with the first that says `Err`. At most `limit`
/// entries: a damaged list must not be walked for ever.
///
/// # Errors
/// What `flush` said; `not_a_list` if it has no end.
pub fn walk<E>(
    list: usize,
    limit: usize,
    not_a_list: E,
    mut flush: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = list;
    for _ in 0..limit {
        flush(at, size_of::<u64>())?;
        // SAFETY: the list was built in mapped memory.
        let value = unsafe { (at as *const u64).read_volatile() };
        let page = value as usize & !(PAGE - 1);
        at += size_of::<u64>();
        match value & FLAGS {
            DONE => return Ok(()),
            INDIRECTION => at = page,
            SOURCE => flush(page, PAGE)?,
            _ => {}
        }
    }
    Err(not_a_list)
}

/// Writes a kexec list into the area's list page: one destination, the data
/// pages as sources, with an indirection in the middle, and the end.
///
/// # Safety
/// `area.list` must be a writable page that nobody else uses.
pub unsafe fn build_list(area: &Area) {
    let mut at = area.list;
    let mut push = |address: usize, flag: u64| {
        let value = address as u64 | flag;
        // SAFETY: at most 3 + 2 * pages entries, the page holds 512.
        unsafe { (at as *mut u64).write_volatile(value) };
        at += size_of::<u64>();
        if flag == INDIRECTION {
            at = address;
        }
    };
    push(area.data, DESTINATION);
    let pages = (area.data_size / PAGE).min(4);
    for page in 0..pages {
        push(area.data + page * PAGE, SOURCE);
    }
    // The list goes on in the next page.
    push(area.list + PAGE, INDIRECTION);
    push(area.data + pages * PAGE, DESTINATION);
    push(0, DONE);
}
