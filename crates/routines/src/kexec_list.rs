//! A kexec list in memory: what is in it, and how the kernel walks it.

#![expect(unsafe_code, reason = "the list is raw memory")]

use stalecore_model::kdump::image::{DESTINATION, DONE, FLAGS, INDIRECTION, SOURCE};

use super::area::{Area, PAGE};

/// Calls `flush` with start and size for each entry of the list at `list`, and
/// for each page that it names, in the order of the kernel's
/// `kexec_list_flush`; stops at the first `Err`. At most `limit`
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

/// A kexec list for the area's two list pages, as (address, entry): one
/// destination, the data pages as sources, with an indirection in the middle, and
/// the end.
pub fn entries(area: &Area) -> impl Iterator<Item = (usize, u64)> {
    let pages = (area.data_size / PAGE).min(4);
    let page = |nth: usize| (area.data + nth * PAGE) as u64;
    let next = area.list + PAGE;
    let first = core::iter::once(page(0) | DESTINATION)
        .chain((0..pages).map(move |nth| page(nth) | SOURCE))
        .chain([next as u64 | INDIRECTION]);
    // The list goes on in the next page.
    let second = [page(pages) | DESTINATION, DONE];
    let step = size_of::<u64>();
    (area.list..)
        .step_by(step)
        .zip(first)
        .chain((next..).step_by(step).zip(second))
}
