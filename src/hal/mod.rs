//! The hardware: one file for one device or one kind of register.

pub mod exit;
pub mod watchdog;
pub mod console;
pub mod symbols;
pub mod gic;
pub mod arena;
pub mod memory;
pub mod mmio;
pub mod sdei;
pub mod boot;
pub mod controls;
pub mod psci;
pub mod clock;
pub mod frame;
pub mod layout;
pub mod arch;
pub mod registers;
pub mod heap;
