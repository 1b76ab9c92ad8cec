//! What the EL1 vectors call: interrupts, faults with a fixup, steps through a
//! routine, stale cores that loop on a fault; everything else ends the run.

use alloc::format;
use core::sync::atomic::Ordering;

use aarch64_cpu::registers::SPSR_EL1;
use stalecore_model::{
    exit::ExitCode,
    glossary::Subject,
    syndrome::{self, SOFTWARE_STEP},
};
use stalecore_routines::{kernel::EFAULT, probe};

use crate::{
    cores::percpu::{self, Core, RELEASE},
    fabric,
    hal::{arch, console::println, exit, frame::Frame, gic, layout, symbols},
    kdump,
    report::{recorder, screen},
    routines::{extable, kernel, trace},
    stuck,
};

/// Handles an exception; returns to where the frame then says. `vector` is
/// the number of the vector, 0 to 15.
pub extern "C" fn handle(frame: &mut Frame, vector: u64) {
    match vector % 4 {
        0 if vector < 8 => synchronous(frame),
        1 | 2 if vector < 8 => interrupt(frame),
        3 if vector < 8 => serror(frame),
        _ => fatal(frame, "from a wrong exception level"),
    }
}

/// Notes an asynchronous abort for the report, and goes on: the operation that it
/// belongs to is the core's to finish, or not.
fn serror(frame: &Frame) {
    if let Some(core) = percpu::this() {
        core.status.serror.store(frame.esr, Ordering::Relaxed);
        core.status.serrors.fetch_add(1, Ordering::Release);
    }
}

fn interrupt(frame: &mut Frame) {
    let Some(core) = percpu::this() else {
        gic::acknowledge();
        return;
    };
    let Some(interrupt) = gic::acknowledge() else {
        return;
    };
    core.status
        .interrupted_at
        .store(frame.elr, Ordering::Relaxed);
    core.status.interrupts.fetch_add(1, Ordering::Release);
    // From now on it can be called by interrupt.
    core.polls.store(false, Ordering::Relaxed);
    if interrupt == gic::STORM
        && core.interruptible.load(Ordering::Relaxed)
        && let Some(block) = probe::of(Subject::IcIvau).and_then(|probe| probe.complete)
    {
        // On a line that nobody measures.
        block[1](core.scratch);
    }
    kdump::on_interrupt(core, frame, interrupt);
    leave_if_released(core, frame);
}

/// Lets a stale core out of its loop: all loops are leaves, so the link register is the
/// way out.
fn leave_if_released(core: &Core, frame: &mut Frame) -> bool {
    let released = core.request.load(Ordering::Acquire) == RELEASE && stuck::contains(frame.elr);
    if released {
        frame.elr = frame.x[30];
    }
    released
}

fn synchronous(frame: &mut Frame) {
    let Some(core) = percpu::this() else {
        fatal(frame, "before the cores were set up");
    };
    if syndrome::class(frame.esr) == SOFTWARE_STEP {
        step(core, frame);
        return;
    }
    if let Some(to) = extable::fixup(frame.elr) {
        note_fault(core, frame);
        frame.elr = to;
        return;
    }
    // A routine without a fixup of its own returns -EFAULT to its caller.
    if layout::routines().contains(&frame.elr) {
        note_fault(core, frame);
        frame.x[0] = EFAULT.cast_unsigned();
        frame.elr = frame.x[30];
        return;
    }
    // The stale state that re-enters its exception for ever.
    if layout::stuck().contains(&frame.elr) {
        core.ack.fetch_add(1, Ordering::Release);
        leave_if_released(core, frame);
        return;
    }
    fatal(frame, "outside any timed block");
}

fn note_fault(core: &Core, frame: &mut Frame) {
    let slot = &core.fault;
    slot.esr.store(frame.esr, Ordering::Relaxed);
    slot.far.store(frame.far, Ordering::Relaxed);
    slot.elr.store(frame.elr, Ordering::Relaxed);
    slot.taken.store(true, Ordering::Relaxed);
    stop_stepping(frame);
}

/// Moves the mark to the instruction about to be executed, if it is an
/// operation, and goes on stepping while in the routines.
fn step(core: &Core, frame: &mut Frame) {
    // Also outside the routines, until the initiator switches stepping off.
    frame.spsr = (SPSR_EL1::SS::SET + SPSR_EL1::D::Unmasked).modify(frame.spsr);
    if !layout::routines().contains(&frame.elr) {
        return;
    }
    if let Some(instruction) = layout::instruction(frame.elr)
        && let Some(operation) = Subject::decode(instruction)
    {
        let register = (instruction & 31) as usize;
        let address = frame
            .x
            .get(register)
            .copied()
            .filter(|_| operation.takes_line())
            .unwrap_or(0);
        core.mark.step(
            kernel::offset_of(frame.elr).unwrap_or(0),
            operation,
            address,
        );
        recorder::follow(core);
    }
    trace::at(frame.elr);
}

fn stop_stepping(frame: &mut Frame) {
    if fabric::is_on() {
        return; // debug exceptions are EL2's, and nothing is stepped
    }
    arch::set_stepping(false);
    frame.spsr = (SPSR_EL1::SS::CLEAR + SPSR_EL1::D::Masked).modify(frame.spsr);
}

/// Prints what happened and ends the run: the harness itself is at fault.
fn fatal(frame: &Frame, context: &str) -> ! {
    println!(
        "stalecore: exception {context}: {}",
        syndrome::describe(frame.esr)
    );
    println!(
        "  CPU {}  esr {:#x}  far {:#x}  elr {}  lr {}  sp {:#x}  spsr {:#x}",
        percpu::this().map_or(0, |c| c.index),
        frame.esr,
        frame.far,
        symbols::At(frame.elr),
        symbols::At(frame.x[30]),
        frame.sp,
        frame.spsr,
    );
    for (row, values) in frame.x.chunks(4).enumerate() {
        let mut line = alloc::string::String::new();
        for (column, value) in values.iter().enumerate() {
            let _ = core::fmt::Write::write_fmt(
                &mut line,
                format_args!("  x{:<2} {value:#018x}", row * 4 + column),
            );
        }
        println!("{line}");
    }
    screen::fail(|| {
        let what = syndrome::describe(frame.esr);
        format!("exception {context}: {what} at {}", symbols::At(frame.elr))
    });
    exit::end(ExitCode::Harness)
}
