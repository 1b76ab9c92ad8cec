//! Stale states: how a core gets stuck, how it shows that it is, how it is let
//! go.

mod entered;
mod table;
mod power;
mod locks;
mod loops;
mod far;

pub use entered::{StaleSet, recover};
pub use far::{FAR_SIZE, next_line, set_up as set_up_far};
pub use locks::hold_qspinlock;
pub use loops::{SCRATCH_SIZE, contains};
pub use power::{crash_stopped, refused, release_cpu_off};
pub use table::{Proof, Release, enter, row, takes_interrupts};
