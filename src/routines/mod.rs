//! The routines in the image: traced, and caught where they fault. The routines
//! themselves are in their own crate.

pub mod trace;
pub mod extable;
pub mod kernel;
