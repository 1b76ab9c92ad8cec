//! The scenario `kdump`: a kernel's crash path from soft lockup to crash
//! kernel, played with real stuck cores, real interrupts and real maintenance.
//!
//! Whoever conducts the run sets the stage ([`stage()`]) and, if it is a
//! sentinel, watches. The crashing core gets stuck in the lock like all others
//! until its watchdog finds it ([`lockup`]), stops the other cores ([`stop`]),
//! leaves through [`kexec`] and comes back as the crash kernel ([`capture`]).

mod stage;
mod capture;
mod lockup;
mod kexec;
mod end;
mod stop;
mod doing;
mod stepped;
mod backtrace;
mod log;
mod setup;

pub use capture::run as run_crash_kernel;
pub use stage::{on_interrupt, play_part, stage};
