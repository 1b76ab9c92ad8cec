//! Interrupts while EL2 takes them first (GICv3): each is passed on to EL1
//! through a list register, except the kick, which EL2 keeps: it reaches a core
//! whatever EL1 masks.

use core::sync::atomic::Ordering;

use aarch64_cpu::registers::{
    ICH_HCR_EL2, ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_VMCR_EL2, ICH_VTR_EL2,
    ReadWriteable, Readable, Writeable,
};

use crate::{
    cores::percpu::Core,
    hal::{
        arch,
        frame::Frame,
        gic,
        registers::{
            ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1,
            ICC_SGI1R_EL1, ICH_VMCR_FIELDS,
        },
    },
};

/// ICC_SGI1R_EL1 as a trap names it: op0, op1, CRn, CRm, op2.
const SGI1R: (u8, u8, u8, u8, u8) = (3, 0, 12, 11, 5);

/// `ICH_LR<n>_EL2`: pending, of group 1, at the priority that the image gives
/// everything.
const LR_PENDING: u64 = ICH_LR0_EL2::State::Pending.value;
const LR_STATE: u64 = ICH_LR0_EL2::State::SET.value;
const LR_NEW: u64 =
    LR_PENDING | ICH_LR0_EL2::Group::SET.value | ICH_LR0_EL2::Priority.val(0x80).value;

/// Takes interrupts at EL2 from now on, and gives EL1 virtual ones.
pub fn init() {
    ICC_PMR_EL1.set(0xff);
    // EOImode: the end of an interrupt only drops its priority, so that a level
    // that EL1 has not served yet stays active.
    ICC_CTLR_EL1.modify(ICC_CTLR_EL1::EOImode::SET);
    ICC_IGRPEN1_EL1.write(ICC_IGRPEN1_EL1::Enable::SET);
    let open = ICH_VMCR_FIELDS::VPMR.val(0xff) + ICH_VMCR_FIELDS::VENG1::SET;
    ICH_VMCR_EL2.set(open.value);
    for (_, write) in LISTS.iter().take(lists()) {
        write(0);
    }
    ICH_HCR_EL2.write(ICH_HCR_EL2::En::SET);
    arch::isb();
}

/// Is it the register that sends an interrupt to other cores?
pub fn is_sgi_register(register: (u8, u8, u8, u8, u8)) -> bool {
    register == SGI1R
}

/// Sends EL1's interrupt to other cores.
pub fn send(value: u64) {
    ICC_SGI1R_EL1.set(value);
    arch::isb();
}

type List = (fn() -> u64, fn(u64));
static LISTS: [List; 4] = [
    (|| ICH_LR0_EL2.get(), |value| ICH_LR0_EL2.set(value)),
    (|| ICH_LR1_EL2.get(), |value| ICH_LR1_EL2.set(value)),
    (|| ICH_LR2_EL2.get(), |value| ICH_LR2_EL2.set(value)),
    (|| ICH_LR3_EL2.get(), |value| ICH_LR3_EL2.set(value)),
];

/// List registers that this core has, of the four that are used.
fn lists() -> usize {
    (ICH_VTR_EL2.read(ICH_VTR_EL2::ListRegs) as usize + 1).min(LISTS.len())
}

/// Takes a physical interrupt.
pub fn take(core: &Core, frame: &Frame) {
    let interrupt = ICC_IAR1_EL1.read(ICC_IAR1_EL1::INTID);
    if interrupt >= 1020 {
        return; // spurious
    }
    ICC_EOIR1_EL1.set(interrupt);
    if interrupt == u64::from(gic::KICK_NUMBER) {
        let kicked = &core.kicked;
        kicked.pc.store(frame.elr, Ordering::Relaxed);
        kicked.lr.store(frame.x[30], Ordering::Relaxed);
        kicked.spsr.store(frame.spsr, Ordering::Relaxed);
        kicked.count.fetch_add(1, Ordering::Release);
        ICC_DIR_EL1.set(interrupt);
        return;
    }
    pass_on(interrupt);
    if interrupt < 16 {
        // An SGI has no level behind it: nothing is left to deactivate.
        ICC_DIR_EL1.set(interrupt);
    }
}

/// Makes the interrupt pending at EL1: in the list register that holds it, or in a
/// free one. With none free, EL1 has others pending and will look anyway.
fn pass_on(interrupt: u64) {
    let lists = &LISTS[..lists()];
    let same = lists
        .iter()
        .find(|(read, _)| read() & LR_STATE != 0 && read() & 0xffff_ffff == interrupt);
    if let Some((read, write)) = same {
        write(read() | LR_PENDING);
    } else if let Some((_, write)) = lists.iter().find(|(read, _)| read() & LR_STATE == 0) {
        // Anything but an SGI is tied to a physical interrupt, which EL1's end of
        // interrupt deactivates.
        let physical = if interrupt >= 16 {
            ICH_LR0_EL2::HW::SET.value | ICH_LR0_EL2::pINTID.val(interrupt).value
        } else {
            0
        };
        write(LR_NEW | physical | interrupt);
    }
    arch::isb();
}
