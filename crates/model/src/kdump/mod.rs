//! The crash path of arm64 Linux, as far as it can be written down without hardware: what
//! it prints, in which order, and how kernels differ. The image plays it; a reader of real
//! logs finds the same steps and lines here.

pub mod image;
pub mod kernel;
pub mod message;
pub mod registers;
pub mod step;

pub use kernel::Kernel;
pub use step::{KdumpRecord, Step};
