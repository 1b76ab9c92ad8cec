//! The ACPI reader on tables dumped from real firmware, on tables made here,
//! and on damaged ones.

mod cross;
mod dumps;
mod hostile;
mod made;
mod memory;
mod odd;
mod platform;
