//! What runs at EL2 while there is a fabric: takes EL1's maintenance and
//! barriers, waits for as long as the model says, and carries them out on
//! EL1's behalf. A core that waits here takes no interrupt of EL1, as on
//! silicon.

#![expect(
    unsafe_code,
    reason = "EL2's registers, and EL1's instructions on its behalf"
)]

use core::{arch::asm, sync::atomic::Ordering};

use stalecore_model::{
    fabric::{
        Maintenance, Progress, Ticket,
        trap::{self, Barrier, Trap},
    },
    glossary::Subject,
};

use super::{
    interrupts,
    shared::{FABRIC, MAX_BARRIERS, PRESENCE, Shared},
};
use crate::{
    cores::percpu::{self, Core},
    hal::{arch, frame::Frame, layout},
    routines::{extable, kernel, trace},
};

/// Finishes the installation on this core. (SMCCC, OEM fast calls.)
pub const READY: u32 = 0xc300_5745;
/// Watches the barriers at the addresses in x1 to x6; 0 for none.
pub const WATCH: u32 = 0xc300_5746;

/// Waits, as a barrier does, until all that this core has posted is answered.
pub const DRAIN: u32 = 0xc300_5747;

/// Steps through what follows if x1 is not 0.
pub const STEP: u32 = 0xc300_5748;

/// SPSR_EL2.SS: execute one instruction, then step.
const SPSR_SS: u64 = 1 << 21;
/// EC of a software step in a lower exception level.
const SOFTWARE_STEP: u8 = 0x32;

/// SPSR_EL2.D, A, I, F and EL1h: how EL1 enters an exception.
const SPSR_EL1H: u64 = 0x3c5;

/// Defines reads and writes of EL2's registers.
macro_rules! el2_registers {
    ($($read:ident, $write:ident: $register:literal;)*) => {$(
        #[allow(dead_code, reason = "not every register is both read and written")]
        fn $read() -> u64 {
            let value: u64;
            // SAFETY: reads a register; runs at EL2 alone.
            unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack, preserves_flags)) }
            value
        }

        #[allow(dead_code, reason = "not every register is both read and written")]
        fn $write(value: u64) {
            // SAFETY: a register of EL1's state or of interrupts, which this
            // handler is there to change; runs at EL2 alone.
            unsafe { asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nostack, preserves_flags)) }
        }
    )*};
}

el2_registers! {
    vbar_el1, set_vbar_el1: "vbar_el1";
    esr_el1, set_esr_el1: "esr_el1";
    far_el1, set_far_el1: "far_el1";
    elr_el1, set_elr_el1: "elr_el1";
    spsr_el1, set_spsr_el1: "spsr_el1";
    par_el1, set_par_el1: "par_el1";
    mdscr_el1, set_mdscr_el1: "mdscr_el1";
    oslar_el1_dummy, set_oslar_el1: "oslar_el1";
    dbgbvr0, set_dbgbvr0: "dbgbvr0_el1";
    dbgbvr1, set_dbgbvr1: "dbgbvr1_el1";
    dbgbvr2, set_dbgbvr2: "dbgbvr2_el1";
    dbgbvr3, set_dbgbvr3: "dbgbvr3_el1";
    dbgbvr4, set_dbgbvr4: "dbgbvr4_el1";
    dbgbvr5, set_dbgbvr5: "dbgbvr5_el1";
    dbgbcr0, set_dbgbcr0: "dbgbcr0_el1";
    dbgbcr1, set_dbgbcr1: "dbgbcr1_el1";
    dbgbcr2, set_dbgbcr2: "dbgbcr2_el1";
    dbgbcr3, set_dbgbcr3: "dbgbcr3_el1";
    dbgbcr4, set_dbgbcr4: "dbgbcr4_el1";
    dbgbcr5, set_dbgbcr5: "dbgbcr5_el1";
}

/// Handles an exception to EL2; returns to where the frame then says.
pub extern "C" fn handle(frame: &mut Frame, vector: u64) {
    let (Some(core), Some(shared)) = (percpu::this_at_el2(), FABRIC.get()) else {
        return;
    };
    match vector {
        8 => synchronous(core, shared, frame),
        9 | 10 => interrupts::take(core, frame),
        _ => reflect(frame, frame.esr, frame.far),
    }
}

fn synchronous(core: &Core, shared: &Shared, frame: &mut Frame) {
    match trap::decode(frame.esr) {
        Trap::Maintenance { what, rt } => maintenance(core, shared, frame, what, rt),
        Trap::Breakpoint => barrier(core, shared, frame),
        Trap::Hvc(_) => {
            frame.x[0] = call(core, shared, frame);
        }
        Trap::Other {
            class: SOFTWARE_STEP,
            ..
        } => {
            trace::at(frame.elr);
            frame.spsr |= SPSR_SS;
        }
        Trap::System {
            register,
            rt,
            read: false,
        } if interrupts::is_sgi_register(register) => {
            interrupts::send(operand(frame, rt));
            skip(frame);
        }
        _ => reflect(frame, frame.esr, frame.far),
    }
}

/// Goes on after the trapped instruction. Where EL1 is stepped, the next step
/// comes before the instruction there.
fn skip(frame: &mut Frame) {
    frame.elr += 4;
    frame.spsr &= !SPSR_SS;
}

fn operand(frame: &Frame, rt: u8) -> u64 {
    frame.x.get(usize::from(rt)).copied().unwrap_or(0)
}

fn maintenance(core: &Core, shared: &Shared, frame: &mut Frame, what: Maintenance, rt: u8) {
    let address = operand(frame, rt);
    if let Some(subject) = Subject::of(what) {
        mark(
            core,
            frame,
            subject,
            if subject.takes_line() { address } else { 0 },
        );
    }
    let ticket = shared
        .model
        .post(core.index, what, address, arch::cntvct(), &PRESENCE);
    match wait(core, shared, ticket) {
        // Not the harness's own maintenance, nor that of a storm.
        Progress::Faulted if extable::is_under_test(frame.elr) => {
            reflect(frame, trap::INJECTED_ESR_EL1, address)
        }
        _ if what.can_fault() && !translates(address) => {
            reflect(frame, trap::INJECTED_ESR_EL1, address)
        }
        _ => {
            execute(what, address);
            skip(frame);
        }
    }
}

fn barrier(core: &Core, shared: &Shared, frame: &mut Frame) {
    // EL2 maps the image's code too.
    let Some(barrier) = layout::instruction(frame.elr).and_then(Barrier::decode) else {
        reflect(frame, frame.esr, frame.far);
        return;
    };
    mark(
        core,
        frame,
        if barrier.option == 0xf {
            Subject::DsbSy
        } else {
            Subject::DsbIsh
        },
        0,
    );
    let ticket = shared.model.sync(core.index, arch::cntvct(), &PRESENCE);
    wait(core, shared, ticket);
    arch::dsb_sy();
    skip(frame);
}

/// Waits until the model lets the operation go on.
fn wait(core: &Core, shared: &Shared, mut ticket: Ticket) -> Progress {
    core.in_fabric.store(true, Ordering::Release);
    let progress = loop {
        match shared.model.poll(&mut ticket, arch::cntvct(), &PRESENCE) {
            Progress::Waiting if core.force_complete.load(Ordering::Acquire) => {
                break Progress::Done;
            }
            Progress::Waiting => arch::pause(),
            progress => break progress,
        }
    };
    core.in_fabric.store(false, Ordering::Release);
    progress
}

/// Moves the mark of an initiator to the instruction that has been trapped.
fn mark(core: &Core, frame: &Frame, instruction: Subject, address: u64) {
    core.mark
        .trapped(kernel::offset_of(frame.elr), instruction, address);
}

/// Does EL1 have a translation for the address?
fn translates(address: u64) -> bool {
    arch::at_s1e1r(address);
    par_el1() & 1 == 0
}

/// Makes EL1 take a synchronous exception at the trapped instruction.
fn reflect(frame: &mut Frame, esr: u64, far: u64) {
    set_esr_el1(esr);
    set_far_el1(far);
    set_elr_el1(frame.elr);
    set_spsr_el1(frame.spsr);
    // From SP_EL0 to the first group of vectors, from SP_EL1 to the second.
    let group = if frame.spsr & 1 == 0 { 0 } else { 0x200 };
    frame.elr = vbar_el1() + group;
    frame.spsr = SPSR_EL1H;
}

/// Serves a call of EL1.
fn call(core: &Core, shared: &Shared, frame: &mut Frame) -> u64 {
    match frame.x[0] as u32 {
        READY => {
            if shared.kicks {
                interrupts::init();
            }
            set_oslar_el1(0);
            set_mdscr_el1(trap::MDSCR_EL1_MDE);
            arch::isb();
            0
        }
        WATCH => {
            watch(core::array::from_fn(|index| frame.x[index + 1]));
            0
        }
        DRAIN => {
            core.force_complete.store(false, Ordering::Relaxed);
            let ticket = shared.model.sync(core.index, arch::cntvct(), &PRESENCE);
            wait(core, shared, ticket);
            0
        }
        STEP => {
            let on = frame.x[1] != 0;
            set_mdscr_el1(trap::MDSCR_EL1_MDE | u64::from(on));
            arch::isb();
            if on {
                frame.spsr |= SPSR_SS;
            } else {
                frame.spsr &= !SPSR_SS;
            }
            0
        }
        // SMCCC: not supported.
        _ => u64::MAX,
    }
}

/// How a breakpoint's value and control are written.
type Breakpoint = (fn(u64), fn(u64));

/// Programs this core's breakpoints, as many as it has.
fn watch(addresses: [u64; MAX_BARRIERS]) {
    let set: [Breakpoint; MAX_BARRIERS] = [
        (set_dbgbvr0, set_dbgbcr0),
        (set_dbgbvr1, set_dbgbcr1),
        (set_dbgbvr2, set_dbgbcr2),
        (set_dbgbvr3, set_dbgbcr3),
        (set_dbgbvr4, set_dbgbcr4),
        (set_dbgbvr5, set_dbgbcr5),
    ];
    // ID_AA64DFR0_EL1.BRPs: how many there are, less one.
    let here = ((arch::id_aa64dfr0_el1() >> 12) & 0xf) as usize + 1;
    for (index, (value, control)) in set.into_iter().enumerate().take(here) {
        control(0);
        if addresses[index] != 0 {
            value(addresses[index]);
            control(trap::DBGBCR_EL1_ONLY);
        }
    }
    arch::isb();
}

/// Executes an instruction on EL1's behalf: EL2 maps EL1's memory at the same
/// addresses, and the TLB instructions act on EL1's translations from here too.
fn execute(what: Maintenance, address: u64) {
    /// One `sys` instruction, by its `op1, CRn, CRm, op2`.
    macro_rules! sys {
        ($op1:literal, $crn:literal, $crm:literal, $op2:literal) => {
            // SAFETY: maintenance changes no value that a program can read;
            // the address has just been translated.
            unsafe {
                asm!(
                    concat!("sys #", $op1, ", C", $crn, ", C", $crm, ", #", $op2, ", {}"),
                    in(reg) address,
                    options(nostack, preserves_flags)
                )
            }
        };
    }
    match what {
        Maintenance::IcIalluis => sys!(0, 7, 1, 0),
        Maintenance::IcIallu => sys!(0, 7, 5, 0),
        Maintenance::IcIvau => sys!(3, 7, 5, 1),
        Maintenance::DcIvac => sys!(0, 7, 6, 1),
        Maintenance::DcIsw => sys!(0, 7, 6, 2),
        Maintenance::DcCsw => sys!(0, 7, 10, 2),
        Maintenance::DcCisw => sys!(0, 7, 14, 2),
        Maintenance::DcCvac => sys!(3, 7, 10, 1),
        Maintenance::DcCvau => sys!(3, 7, 11, 1),
        Maintenance::DcCvap => sys!(3, 7, 12, 1),
        Maintenance::DcCvadp => sys!(3, 7, 13, 1),
        Maintenance::DcCivac => sys!(3, 7, 14, 1),
        Maintenance::TlbiVmalle1is => sys!(0, 8, 3, 0),
        Maintenance::TlbiVae1is => sys!(0, 8, 3, 1),
        Maintenance::TlbiAside1is => sys!(0, 8, 3, 2),
        Maintenance::TlbiVaae1is => sys!(0, 8, 3, 3),
        Maintenance::TlbiVale1is => sys!(0, 8, 3, 5),
        Maintenance::TlbiVaale1is => sys!(0, 8, 3, 7),
        Maintenance::TlbiVmalle1 => sys!(0, 8, 7, 0),
        Maintenance::TlbiVae1 => sys!(0, 8, 7, 1),
        Maintenance::TlbiAside1 => sys!(0, 8, 7, 2),
        Maintenance::TlbiVaae1 => sys!(0, 8, 7, 3),
        Maintenance::TlbiVale1 => sys!(0, 8, 7, 5),
        Maintenance::TlbiVaale1 => sys!(0, 8, 7, 7),
    }
}
