//! The routines that only the image has (`boot/kdump.S`), and where in any of
//! them an address is.

#![expect(unsafe_code, reason = "the routines are assembly")]

use stalecore_routines::kernel::{self, Routine};

use crate::hal::layout;

// SAFETY: maintenance changes no value that a program can read, whatever the
// address; what faults in this section returns `EFAULT`.
unsafe extern "C" {
    /// Opens debug exceptions, and goes on in `routine`.
    pub safe fn run_stepped(start: usize, second: usize, routine: Routine) -> i64;
    pub safe fn capture_ic_ialluis(unused: usize, too: usize) -> i64;
    pub safe fn capture_tlbi_vaale1is(page: usize, unused: usize) -> i64;
}

/// How far into its routine an address is; `None` outside of all.
pub fn offset_of(address: u64) -> Option<u16> {
    if !layout::routines().contains(&address) {
        return None;
    }
    let own = [
        run_stepped as *const () as usize,
        capture_ic_ialluis as *const () as usize,
        capture_tlbi_vaale1is as *const () as usize,
    ];
    let start = kernel::starts()
        .chain(own)
        .map(|start| start as u64)
        .filter(|start| *start <= address)
        .max()?;
    u16::try_from(address - start).ok()
}
