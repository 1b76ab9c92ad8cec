//! The kernel's routines: run, stepped through, and what they run over.

pub mod trace;
pub mod run;
pub mod kexec_list;
pub mod code;
pub mod area;
pub mod extable;
pub mod kernel;
