//! The cores: what each keeps, what it is asked, how it is brought up.

pub mod survey;
pub mod start;
pub mod ask;
pub mod sleep;
pub mod command;
pub mod percpu;
pub mod identity;
pub mod job;
pub mod mark;
