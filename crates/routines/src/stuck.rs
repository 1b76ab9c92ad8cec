//! The loops that a core or a thread is stuck in (`stuck.S`): what any exception level may
//! execute.

#![expect(unsafe_code, reason = "the loops are assembly")]

use core::{
    ops::Range,
    sync::atomic::{AtomicU32, AtomicU64},
};

/// Bytes that each stuck one has for its storms of maintenance.
pub const SCRATCH_SIZE: usize = 16 * 1024;

/// Bytes that storms of loads and stores go over: several times a core's first cache, so
/// that each access leaves it.
pub const STORM_SIZE: usize = 512 * 1024;

/// The word that is polled, the word that is answered, and an address of its own.
pub type Loop = unsafe extern "C" fn(&AtomicU32, &AtomicU64, usize);

/// The assembler's macros of `stuck.S`, for what else is written with them: what begins
/// and ends a loop (a line of its own, a name, a size), and what is done once the word in
/// x0 is new (in w4; w3 holds the last): leaves, or answers and goes back to the loop.
#[macro_export]
macro_rules! stuck_macros {
    () => {
        r"
    .macro  stuck name
    .balign 64
    .global \name
    .type   \name, %function
\name:
    .endm

    .macro  end_stuck name
    .size   \name, . - \name
    .endm

    .macro  answer loop
    cmp     w4, #1
    b.eq    9f
    mov     w3, w4
    str     x4, [x1]
    b       \loop
9:  ret
    .endm
"
    };
}

/// Declares the loops of `stuck.S`.
macro_rules! loops {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        unsafe extern "C" {
            $($(#[$meta])* pub fn $name(request: &AtomicU32, ack: &AtomicU64, own: usize);)*
            fn stale_loops();
            fn stale_loops_end();
        }

        /// Each by its name.
        pub const LOOPS: &[(&str, Loop)] = &[$((stringify!($name), $name)),*];
    };
}

loops! {
    /// Polls its word.
    stale_spin;
    /// Polls its word behind WFE.
    stale_wfe;
    /// `b .`
    stale_branch_self;
    /// `dmb` without a load or a store.
    stale_dmb_loop;
    /// Exclusives on its own line.
    stale_ldxr_stxr;
    /// The kernel's wait for the one before it in the queue, whose word is its own address.
    queued_spin_lock_slowpath;
    /// Stores.
    stale_store_storm;
    /// Stores over the ends of pages.
    stale_store_storm_pages;
    /// Prefetches for store.
    stale_prfm_storm;
    /// Loads.
    stale_load_storm;
    /// Jumps to its own address.
    stale_ifetch_storm;
    /// `dc civac` and a barrier.
    stale_dc_storm;
    /// `ic ivau` and a barrier.
    stale_ic_storm;
}

/// Where all of them are.
pub fn all() -> Range<usize> {
    stale_loops as *const () as usize..stale_loops_end as *const () as usize
}
