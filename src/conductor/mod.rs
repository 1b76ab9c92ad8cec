//! Conducts the run: group by group, baseline beside each case, every result
//! written as it comes, one closing record.
//!
//! It runs on the sentinel, which only watches while an operation is in
//! flight. With no sentinel it runs on the lowest initiator, and then only the
//! host can see a block.

mod groups;
mod rounds;
mod after_reset;
mod blocks;
mod escalation;
mod cases;
mod effort;
mod outcome;
pub mod leave;
mod run;
mod findings;
mod sentinel;
pub mod witness;

pub use findings::fault_record;
pub use groups::run_plan;
pub use run::{Conductor, Run};
