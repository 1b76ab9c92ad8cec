//! Stale states: how a core gets stuck, how it shows that it is, how it is released.

mod entered;
mod table;
mod power;
mod locks;
mod sgis;
mod loops;
mod far;

pub use entered::{StaleSet, recover};
pub use far::{FAR_CODE, FAR_SIZE, next_line, set_up as set_up_far};
pub use locks::hold_qspinlock;
pub use loops::{SCRATCH_SIZE, aim_at, answered, contains, device, load_from};
pub use power::{
    begin, crash_stopped, go_off, have_passed, may_power_down, refused, set_power_states,
    start_next, stood_by,
};
pub use sgis::interrupt;
pub use table::{Proof, Release, enter, row, takes_interrupts};
