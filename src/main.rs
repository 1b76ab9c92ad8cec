//! The EL1 image: finds out about the machine, brings its cores up, and lets
//! the conductor run the plan.
#![no_std]
#![no_main]
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(missing_docs))]

extern crate alloc;

mod acpi;
mod arch;
mod board;
mod calibrate;
mod clock;
mod conductor;
mod console;
mod core_local;
mod cores;
mod entry;
mod exception;
mod exit;
mod fabric;
mod findings;
mod gic;
mod identity;
mod initiator;
mod kdump;
mod ladder;
mod mark;
mod memory;
mod probe;
mod psci;
mod recorder;
mod report;
mod routines;
mod scenario;
mod sentinel;
mod stuck;
mod symbols;
mod worker;

use alloc::{string::String, vec::Vec};
use core::panic::PanicInfo;

use stalecore_model::{
    cpuset::CpuSet, exit::ExitCode, glossary::StaleState, ktap, options::DEFAULT_SLOWDOWN,
};

use crate::{
    board::Board,
    conductor::Conductor,
    findings::Judge,
    worker::{Command, core},
};

/// Enters Rust on the core that booted: MMU on, on the boot stacks. `tree` is
/// the device tree's address or 0, `entry_el` the exception level of entry.
extern "C" fn primary_main(tree: usize, entry_el: u64) -> ! {
    let started = arch::cntvct();
    memory::init_heap();
    match Board::set_up(tree, entry_el) {
        // On its own stacks from here, with a guard page below each.
        Ok(board) => board.leave_boot_stacks(started),
        Err(error) => refuse(&error),
    }
}

/// Goes on where [`primary_main`] left: the boot core on its own stacks.
extern "C" fn boot_core_main() -> ! {
    match run() {
        Ok(()) => worker::serve(core(board::get().boot_cpu)),
        Err(error) => refuse(&error),
    }
}

/// Brings up the cores that the plan needs first, reports the machine, and
/// hands the run to the core that conducts it.
fn run() -> Result<(), String> {
    let board = board::get();
    let own = core(board.boot_cpu);
    worker::init(own)?;
    let plan = board.plan.clone()?;
    let roles = plan.roles;

    // Cores that are to be found never started must not be.
    let spare = if plan
        .groups
        .iter()
        .any(|g| g.state == StaleState::NeverStarted)
    {
        roles.stale
    } else {
        CpuSet::EMPTY
    };
    cores::start_all(&CpuSet::first(core_local::all().len()).difference(&spare))?;
    board.set_up_areas()?;

    let (counter, empty) = calibrate::counter(board.options.counter, own)?;
    let resolution = stalecore_model::verdict::resolution(&empty);
    let mut notes = Vec::new();
    let left = recorder::begin(board, &plan, &mut |note| notes.push(note))?;
    if left.is_none() {
        console::with(|out| {
            // Writing to a console cannot fail: a dead line swallows it.
            let _ = ktap::write_head(out, &plan);
        });
    }
    board.report_machine(counter, empty, &plan);
    notes.into_iter().for_each(report::note);
    if board.options.icount {
        calibrate::instructions(counter);
    }
    let conductor = roles.conductor();
    conductor::install(Conductor {
        plan,
        samples: board.options.samples,
        max_slowdown: board.options.max_slowdown,
        judge: Judge {
            counter,
            resolution,
            threshold: board.options.max_slowdown.unwrap_or(DEFAULT_SLOWDOWN),
        },
        bisect: board.options.bisect,
        after_block: board.options.after_block,
        left,
        counts_instructions: board.options.icount,
        boot_cpu: board.boot_cpu,
        started: board.started(),
    });
    if conductor == board.boot_cpu {
        conductor::conduct();
    }
    scenario::ask(&CpuSet::one(conductor), Command::Conduct, |_| 0);
    Ok(())
}

/// Says in one line why there is no run, and ends.
fn refuse(error: &str) -> ! {
    println!("stalecore: {error}");
    exit::end(ExitCode::Harness)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!(
        "stalecore: panic on CPU {}: {info}",
        core_local::this().map_or(0, |c| c.index)
    );
    exit::end(ExitCode::Harness)
}
