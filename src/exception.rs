//! What the EL1 vectors call: interrupts, faults with a fixup, steps through a
//! routine, stale cores that loop on a fault; everything else ends the run.

#![expect(
    unsafe_code,
    reason = "the exception table, and the frame that the vectors hand over"
)]

use core::sync::atomic::Ordering;

use stalecore_model::{
    exit::ExitCode,
    glossary::Subject,
    syndrome::{self, SOFTWARE_STEP},
};

use crate::{
    core_local::{self, Core, RELEASE},
    entry, exit, fabric, gic, kdump, println, recorder, routines, symbols,
};

/// The registers as the vectors save them.
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// SP_EL0.
    pub sp: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    fpcr: u64,
    fpsr: u64,
    q: [u128; 32],
}

/// SPSR_EL1.SS: execute one instruction, then step.
const SPSR_SS: u64 = 1 << 21;
/// SPSR_EL1.D.
const SPSR_D: u64 = 1 << 9;
/// -EFAULT, as the kernel's routines return it.
const MINUS_EFAULT: u64 = (-14_i64).cast_unsigned();

/// Handles an exception; returns to where the frame then says. `vector` is
/// the number of the vector, 0 to 15.
pub extern "C" fn handle(frame: &mut Frame, vector: u64) {
    match vector % 4 {
        0 if vector < 8 => synchronous(frame),
        1 | 2 if vector < 8 => interrupt(frame),
        _ => fatal(frame, "serror or a wrong exception level"),
    }
}

fn interrupt(frame: &mut Frame) {
    let Some(core) = core_local::this() else {
        gic::acknowledge();
        return;
    };
    let Some(interrupt) = gic::acknowledge_which() else {
        return;
    };
    let life = &core.life.0;
    life.at.store(frame.elr, Ordering::Relaxed);
    core.breathe();
    life.interrupts.fetch_add(1, Ordering::Release);
    kdump::on_interrupt(core, frame, interrupt);
    leave_if_released(core, frame);
}

/// Lets a stale core out of its loop: those are leaves, so the link register
/// is the way out.
fn leave_if_released(core: &Core, frame: &mut Frame) -> bool {
    let stuck = entry::stuck_start() as u64..entry::stuck_end() as u64;
    let released = core.flag.0.load(Ordering::Acquire) == RELEASE && stuck.contains(&frame.elr);
    if released {
        frame.elr = frame.x[30];
    }
    released
}

fn synchronous(frame: &mut Frame) {
    let Some(core) = core_local::this() else {
        fatal(frame, "before the cores were set up");
    };
    if syndrome::class(frame.esr) == SOFTWARE_STEP {
        step(core, frame);
        return;
    }
    if let Some(to) = fixup(frame.elr) {
        note_fault(core, frame);
        frame.elr = to;
        return;
    }
    // A routine without a fixup of its own returns -EFAULT to its caller.
    let routines = entry::routines_start() as u64..entry::routines_end() as u64;
    if routines.contains(&frame.elr) {
        note_fault(core, frame);
        frame.x[0] = MINUS_EFAULT;
        frame.elr = frame.x[30];
        return;
    }
    // The stale state that re-enters its exception for ever.
    let stuck = entry::stuck_start() as u64..entry::stuck_end() as u64;
    if stuck.contains(&frame.elr) {
        core.beat.0.fetch_add(1, Ordering::Release);
        leave_if_released(core, frame);
        return;
    }
    fatal(frame, "outside any timed block");
}

fn note_fault(core: &Core, frame: &mut Frame) {
    let slot = &core.fault.0;
    slot.esr.store(frame.esr, Ordering::Relaxed);
    slot.far.store(frame.far, Ordering::Relaxed);
    slot.elr.store(frame.elr, Ordering::Relaxed);
    slot.taken.store(true, Ordering::Relaxed);
    stop_stepping(frame);
}

/// Is an instruction at `at` under test, so that a fault of it is a finding?
pub fn is_under_test(at: u64) -> bool {
    let routines = entry::routines_start() as u64..entry::routines_end() as u64;
    routines.contains(&at) || fixup(at).is_some()
}

/// Where execution goes on after a fault at `at`, by the exception table.
fn fixup(at: u64) -> Option<u64> {
    let mut entry = entry::ex_table_start();
    while entry + 8 <= entry::ex_table_end() {
        let relative = |address: usize| {
            // SAFETY: within the linker's exception table, whose entries are
            // pairs of 32-bit self-relative offsets.
            let offset = unsafe { (address as *const i32).read() };
            (address as u64).wrapping_add_signed(i64::from(offset))
        };
        if relative(entry) == at {
            return Some(relative(entry + 4));
        }
        entry += 8;
    }
    None
}

/// Moves the mark to the instruction about to be executed, if it is an
/// operation, and goes on stepping while in the routines.
fn step(core: &Core, frame: &mut Frame) {
    let routines = entry::routines_start() as u64..entry::routines_end() as u64;
    // On the way there and back, until the initiator says that it is enough.
    frame.spsr = (frame.spsr | SPSR_SS) & !SPSR_D;
    if !routines.contains(&frame.elr) {
        return;
    }
    // SAFETY: the program counter is in the image's code, which is mapped and
    // aligned.
    let instruction = unsafe { (frame.elr as *const u32).read() };
    if let Some(operation) = decode(instruction) {
        let register = (instruction & 31) as usize;
        let address = frame
            .x
            .get(register)
            .copied()
            .filter(|_| operation.takes_line())
            .unwrap_or(0);
        core.mark.0.step(
            routines::offset_of(frame.elr).unwrap_or(0),
            operation,
            address,
        );
        recorder::follow(core);
    }
    kdump::trace::at(frame.elr);
}

fn stop_stepping(frame: &mut Frame) {
    if fabric::is_on() {
        return; // debug exceptions are EL2's, and nothing is stepped
    }
    crate::arch::set_stepping(false);
    frame.spsr = (frame.spsr & !SPSR_SS) | SPSR_D;
}

/// Which operation an instruction is, its register apart (Arm ARM, C6.2).
fn decode(instruction: u32) -> Option<Subject> {
    Some(match instruction & !31 {
        0xd50b_7e20 => Subject::DcCivac,
        0xd50b_7b20 => Subject::DcCvau,
        0xd50b_7a20 => Subject::DcCvac,
        0xd50b_7520 => Subject::IcIvau,
        _ => match instruction {
            0xd503_3b9f => Subject::DsbIsh,
            0xd503_3f9f => Subject::DsbSy,
            _ => return None,
        },
    })
}

/// Prints what happened and ends the run: the harness itself is at fault.
fn fatal(frame: &Frame, context: &str) -> ! {
    println!(
        "stalecore: exception {context}: {}",
        syndrome::describe(frame.esr)
    );
    println!(
        "  CPU {}  esr {:#x}  far {:#x}  elr {}  lr {}  sp {:#x}  spsr {:#x}",
        core_local::this().map_or(0, |c| c.index),
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
    exit::end(ExitCode::Harness)
}
