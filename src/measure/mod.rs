//! What an initiator runs and times, and what times it.

mod calibrate;
mod initiator;
mod operation;
mod routine;
mod measurement;
mod areas;

pub use areas::{AREA_SIZE, AREAS, Areas, BUFFER_SIZE, check_newest, fill, mend, touch};
pub use calibrate::{counter, frequency, instructions};
pub use initiator::run_order;
