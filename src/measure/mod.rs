//! What an initiator runs and times, and what times it.

mod calibrate;
mod initiator;
mod operation;
mod routine;
mod call;
mod seam;
mod measurement;
mod areas;
mod buffers;
mod barriers;

pub use areas::{AREAS, Areas, check_newest, mend, touch};
pub use barriers::put as put_barrier;
pub use buffers::{AREA_SIZE, BUFFER_SIZE, Buffers, code_of};
pub use calibrate::{counter, frequency, instructions};
pub use initiator::run_orders;
pub use seam::{SEAM_SIZE, set_up as set_up_seam};
