//! The routines in the image: traced, caught where they fault, and those that
//! only the image has. What they are is in the crate of the routines.

pub mod trace;
pub mod extable;
pub mod kernel;
