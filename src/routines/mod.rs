//! The routines in the image: traced, and caught where they fault. What they are is
//! in the crate of the routines.

pub mod trace;
pub mod extable;
pub mod kernel;
