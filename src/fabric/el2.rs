//! What runs at EL2 while there is a fabric: takes EL1's maintenance and
//! barriers, waits for as long as the model says, and carries them out on
//! EL1's behalf. A core that waits here takes no interrupt of EL1, as on
//! silicon.

#![expect(unsafe_code, reason = "EL1's instructions, on its behalf")]

use core::{arch::asm, sync::atomic::Ordering};

use aarch64_cpu::registers::{
    ELR_EL1, ESR_EL1, FAR_EL1, ID_AA64DFR0_EL1, MDSCR_EL1, OSLAR_EL1, PAR_EL1, Readable, SPSR_EL1,
    VBAR_EL1, Writeable,
};
use smccc::smc64;
use stalecore_model::{
    fabric::{
        Maintenance, Progress, Ticket,
        trap::{self, Barrier, Trap},
    },
    glossary::{StaleState, Subject},
};

use super::{
    interrupts,
    shared::{FABRIC, MAX_BARRIERS, PRESENCE, Shared},
};
use crate::{
    cores::percpu::{self, Core, RELEASE},
    hal::{
        arch, boot,
        controls::{SPSR_EL1H, SPSR_STEP},
        frame::Frame,
        layout,
        registers::set_breakpoint,
    },
    routines::{extable, kernel, trace},
};

/// Finishes the installation on this core. (SMCCC, OEM fast calls.)
pub const READY: u32 = 0xc300_5745;
/// Watches the instructions at the addresses in x1 to x6; 0 for none.
pub const WATCH: u32 = 0xc300_5746;

/// Waits, as a barrier does, until all that this core has posted is answered.
pub const DRAIN: u32 = 0xc300_5747;

/// Steps through what follows if x1 is not 0.
pub const STEP: u32 = 0xc300_5748;

/// EC of a software step in a lower exception level.
const SOFTWARE_STEP: u8 = 0x32;

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
        Trap::Hvc(0) => {
            frame.x[0] = call(core, shared, frame);
        }
        Trap::Hvc(number) => own(core, shared, number),
        Trap::Other {
            class: SOFTWARE_STEP,
            ..
        } => stepped(frame),
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
    frame.spsr &= !SPSR_STEP;
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
        // But not the harness's own maintenance, nor a storm's.
        Progress::Faulted if extable::is_under_test(frame.elr) => {
            reflect(frame, trap::INJECTED_ESR_EL1, address)
        }
        _ if what.can_fault() && !translates(address) => {
            reflect(frame, trap::INJECTED_ESR_EL1, address)
        }
        _ => {
            // But not a storm's.
            if core.state().is_some() || !shared.model.loses(what) {
                execute(what, address);
            }
            skip(frame);
        }
    }
}

/// Maintenance that only EL2 may execute, by the numbers of `boot/levels.S`.
fn own(core: &Core, shared: &Shared, number: u16) {
    let what = match number {
        1 => Maintenance::TlbiAlle2is,
        _ => Maintenance::TlbiVmalls12e1is,
    };
    let ticket = shared
        .model
        .post(core.index, what, 0, arch::cntvct(), &PRESENCE);
    wait(core, shared, ticket);
    execute(what, 0);
}

fn barrier(core: &Core, shared: &Shared, frame: &mut Frame) {
    // EL2 maps the image's code too.
    let Some(instruction) = layout::instruction(frame.elr) else {
        reflect(frame, frame.esr, frame.far);
        return;
    };
    if Barrier::decode(instruction).is_none() {
        access(core, shared, frame);
        return;
    }
    let subject = Subject::decode(instruction).unwrap_or(Subject::DsbIsh);
    mark(core, frame, subject, 0);
    let ticket = shared.model.sync(core.index, arch::cntvct(), &PRESENCE);
    wait(core, shared, ticket);
    arch::dsb_sy();
    skip(frame);
}

/// A watched instruction that is no barrier, but leaves the core: it waits, and is then
/// executed in place, with breakpoints off until it has been.
fn access(core: &Core, shared: &Shared, frame: &mut Frame) {
    if core.state() == Some(StaleState::DeviceStuck) {
        hold(core);
    } else {
        let ticket = shared.model.access(core.index, arch::cntvct(), &PRESENCE);
        wait(core, shared, ticket);
    }
    MDSCR_EL1.write(MDSCR_EL1::SS::SoftwareStepEnabled);
    arch::isb();
    frame.spsr |= SPSR_STEP;
}

/// Holds a stale core up as a device that does not answer does, until it is released.
fn hold(core: &Core) {
    core.in_fabric.store(true, Ordering::Release);
    while core.request.load(Ordering::Acquire) != RELEASE {
        arch::pause();
    }
    core.in_fabric.store(false, Ordering::Release);
}

/// After a step: over a watched instruction, or in a routine that is traced.
fn stepped(frame: &mut Frame) {
    if MDSCR_EL1.get() & trap::MDSCR_EL1_MDE == 0 {
        MDSCR_EL1.set(trap::MDSCR_EL1_MDE);
        arch::isb();
        frame.spsr &= !SPSR_STEP;
    } else {
        trace::at(frame.elr);
        frame.spsr |= SPSR_STEP;
    }
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
    !PAR_EL1.is_set(PAR_EL1::F)
}

/// Makes EL1 take a synchronous exception at the trapped instruction.
fn reflect(frame: &mut Frame, esr: u64, far: u64) {
    ESR_EL1.set(esr);
    FAR_EL1.set(far);
    ELR_EL1.set(frame.elr);
    SPSR_EL1.set(frame.spsr);
    // From SP_EL0 to the first group of vectors, from SP_EL1 to the second.
    let group = if frame.spsr & 1 == 0 { 0 } else { 0x200 };
    frame.elr = VBAR_EL1.get() + group;
    frame.spsr = SPSR_EL1H;
}

/// Serves a call of EL1.
fn call(core: &Core, shared: &Shared, frame: &mut Frame) -> u64 {
    match frame.x[0] as u32 {
        READY => {
            if shared.kicks {
                interrupts::init();
            }
            OSLAR_EL1.write(OSLAR_EL1::OSLK::Unlocked);
            MDSCR_EL1.set(trap::MDSCR_EL1_MDE);
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
            let step = MDSCR_EL1::SS.val(on.into());
            MDSCR_EL1.set(trap::MDSCR_EL1_MDE | step.value);
            arch::isb();
            if on {
                frame.spsr |= SPSR_STEP;
            } else {
                frame.spsr &= !SPSR_STEP;
            }
            0
        }
        sdei if sdei & !0x1f == boot::SDEI_CALLS => {
            let arguments = core::array::from_fn(|index| frame.x[index + 1]);
            smc64(sdei, arguments)[0]
        }
        // SMCCC: not supported.
        _ => u64::MAX,
    }
}

/// Programs this core's breakpoints, as many as it has.
fn watch(addresses: [u64; MAX_BARRIERS]) {
    // How many there are, less one.
    let here = ID_AA64DFR0_EL1.read(ID_AA64DFR0_EL1::BRPs) as usize + 1;
    for (index, address) in addresses.into_iter().enumerate().take(here) {
        let control = match address {
            0 => 0,
            _ => trap::DBGBCR_EL1_ONLY,
        };
        set_breakpoint(index, address, control);
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
        Maintenance::TlbiRvae1is => sys!(0, 8, 2, 1),
        Maintenance::TlbiVmalle1 => sys!(0, 8, 7, 0),
        Maintenance::TlbiVae1 => sys!(0, 8, 7, 1),
        Maintenance::TlbiAside1 => sys!(0, 8, 7, 2),
        Maintenance::TlbiVaae1 => sys!(0, 8, 7, 3),
        Maintenance::TlbiVale1 => sys!(0, 8, 7, 5),
        Maintenance::TlbiVaale1 => sys!(0, 8, 7, 7),
        Maintenance::TlbiAlle2is => sys!(4, 8, 3, 0),
        Maintenance::TlbiVmalls12e1is => sys!(4, 8, 3, 6),
    }
}
