//! Call traces by frame pointers, and register dumps, as the kernel prints
//! them.

use alloc::vec::Vec;
use core::fmt;

use stalecore_model::kdump::{Kernel, message, registers};

use super::{log, setup::Setup};
use crate::{
    board,
    cores::percpu::{self, Core},
    hal::{arch, frame::Frame, layout, symbols},
};

/// The longest trace: a damaged stack must not be printed for ever.
const LIMIT: usize = 48;

/// An address as the kernel writes it: `symbol+0xoffset/0xsize`.
pub struct SymbolOffset(pub u64);

impl fmt::Display for SymbolOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbol(f, self.0, 0)
    }
}

/// A return address, written like [`SymbolOffset`]. It belongs to the call before it,
/// which may be the last instruction of its function.
struct Return(u64);

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbol(f, self.0, 1)
    }
}

fn write_symbol(f: &mut fmt::Formatter<'_>, at: u64, back: u64) -> fmt::Result {
    match symbols::find_with_room(at.wrapping_sub(back)) {
        Some((name, offset, room)) => {
            write!(f, "{name}+{:#x}", offset + back)?;
            room.map_or(Ok(()), |size| write!(f, "/{size:#x}"))
        }
        None => write!(f, "{}", symbols::At(at)),
    }
}

/// Follows frame records from `frame` upwards within `[low, high)`.
fn walk(mut frame: u64, low: u64, high: u64, found: &mut Vec<u64>) {
    let mut low = low;
    while found.len() < LIMIT && frame >= low && frame + 16 <= high {
        let Some([next, lr]) = percpu::frame_record(frame) else {
            return;
        };
        if lr != 0 {
            found.push(lr);
        }
        low = frame + 16;
        frame = next;
    }
}

/// The trace of what was interrupted.
pub fn interrupted(core: &Core, frame: &Frame) -> Vec<u64> {
    let mut found = Vec::from([frame.elr]);
    // The loops of stuck cores are leaves without a frame of their own.
    if layout::stuck().contains(&frame.elr) {
        found.push(frame.x[30]);
    }
    walk(frame.x[29], frame.sp, core.stacks[0] as u64, &mut found);
    found
}

/// The trace of the caller, which runs in an interrupt, and of what was interrupted.
#[inline(always)]
pub fn here(core: &Core, frame: &Frame) -> Vec<u64> {
    let own = arch::frame_pointer();
    let mut found = Vec::from([arch::program_counter()]);
    // The handler's frame on the stack of exceptions is followed by the frame
    // that the vectors saved.
    walk(own, own, core::ptr::from_ref(frame) as u64, &mut found);
    found.extend(interrupted(core, frame));
    found
}

/// Prints a trace.
pub fn print_trace(trace: &[u64]) {
    log::say(message::CALL_TRACE);
    for at in trace {
        log::say(format_args!(" {}", Return(*at)));
    }
}

/// Prints a frame's registers.
pub fn print_registers(kernel: Kernel, [pc, spsr, sp]: [u64; 3], x: &[u64; 31]) {
    log::say(registers::pstate(kernel, spsr));
    log::say(format_args!("pc : {}", SymbolOffset(pc)));
    log::say(format_args!("lr : {}", SymbolOffset(x[30])));
    for line in registers::dump(kernel, sp, x) {
        log::say(line);
    }
}

/// The lines that say which CPU, kernel and machine.
pub fn say_machine(setup: &Setup, cpu: usize, locked_up: bool) {
    log::say(message::cpu_line(setup.kernel, cpu, locked_up));
    if let Some(taint) = message::taint(setup.kernel, locked_up) {
        log::say(taint);
    }
    log::say(message::hardware(&board::get().platform.model));
}
