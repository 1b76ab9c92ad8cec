//! Where in a routine an address lies.

use stalecore_routines::kernel;

use crate::hal::layout;

/// How far into its routine an address is; `None` outside all routines.
pub fn offset_of(address: u64) -> Option<u16> {
    if !layout::routines().contains(&address) {
        return None;
    }
    let start = kernel::starts()
        .map(|start| start as u64)
        .filter(|start| *start <= address)
        .max()?;
    u16::try_from(address - start).ok()
}
