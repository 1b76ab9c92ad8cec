//! The EL1 image: finds out about the machine, brings its cores up, and lets
//! one of them conduct the run.
//!
//! The modules are declared in the order of their layers: a file imports only
//! from its own folder and from what is declared below it (`tests/house`
//! checks that). The way of a run through them:
//!
//! | step | where |
//! |---|---|
//! | machine | `run::run`: `board::Board::set_up`, `cores::start`, `measure::counter` |
//! | plan | made by `stalecore_model::plan`; `conductor::run_plan` takes its groups in turn |
//! | state | `stuck::StaleSet::enter`: proved before, verified after |
//! | measure | `conductor` asks, `measure::run_order` runs, the sentinel watches |
//! | verdict | `conductor::Judge`, or a block report after the release ladder |
//! | report | `report::record`: the console, and the flight recorder |
#![no_std]
#![no_main]
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(missing_docs))]

extern crate alloc;

// What the assembly enters.
mod assembly;
mod run;
mod exception;
mod worker;
// What is done.
mod scenarios;
mod kdump;
mod conductor;
// With what.
mod board;
mod measure;
mod stuck;
mod report;
mod fabric;
mod cores;
mod routines;
// On what.
mod hal;

use core::panic::PanicInfo;

use stalecore_model::exit::ExitCode;

use crate::{
    cores::percpu,
    hal::{console::println, exit},
    report::screen,
};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let cpu = percpu::this().map_or(0, |c| c.index);
    println!("stalecore: panic on CPU {cpu}: {info}");
    screen::fail(|| alloc::format!("panic on CPU {cpu}: {info}"));
    exit::end(ExitCode::Harness)
}
