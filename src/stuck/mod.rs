//! Stale states: how a core gets stuck, how it shows that it is, how it is let
//! go.

mod entered;
mod table;
mod power;
mod locks;
mod loops;

pub use entered::{StaleSet, recover};
pub use locks::hold_qspinlock;
pub use loops::SCRATCH_SIZE;
pub use power::{crash_stopped, refused, release_cpu_off};
pub use table::{Proof, Release, enter, row};
