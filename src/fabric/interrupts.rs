//! Interrupts while EL2 takes them first (GICv3): each is passed on to EL1
//! through a list register, but for the kick, which EL2 keeps. It reaches a
//! core whatever EL1 masks.

#![expect(unsafe_code, reason = "the interrupt controller's system registers")]

use core::sync::atomic::Ordering;

use crate::{
    cores::percpu::Core,
    hal::{arch, frame::Frame, gic},
};

/// Defines reads and writes of the controller's system registers.
macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident: $register:literal;)*) => {$(
        $(#[$doc])*
        mod $name {
            use core::arch::asm;

            #[allow(dead_code, reason = "some registers are only written")]
            pub fn read() -> u64 {
                let value: u64;
                // SAFETY: runs at EL2, on this core's own controller state.
                unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack, preserves_flags)) }
                value
            }

            #[allow(dead_code, reason = "some registers are only read")]
            pub fn write(value: u64) {
                // SAFETY: as in `read`.
                unsafe { asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nostack, preserves_flags)) }
            }
        }
    )*};
}

registers! {
    icc_pmr_el1: "S3_0_C4_C6_0";
    icc_iar1_el1: "S3_0_C12_C12_0";
    icc_eoir1_el1: "S3_0_C12_C12_1";
    icc_dir_el1: "S3_0_C12_C11_1";
    icc_sgi1r_el1: "S3_0_C12_C11_5";
    icc_ctlr_el1: "S3_0_C12_C12_4";
    icc_igrpen1_el1: "S3_0_C12_C12_7";
    ich_hcr_el2: "S3_4_C12_C11_0";
    ich_vtr_el2: "S3_4_C12_C11_1";
    ich_vmcr_el2: "S3_4_C12_C11_7";
    ich_lr0_el2: "S3_4_C12_C12_0";
    ich_lr1_el2: "S3_4_C12_C12_1";
    ich_lr2_el2: "S3_4_C12_C12_2";
    ich_lr3_el2: "S3_4_C12_C12_3";
}

/// ICC_SGI1R_EL1 as a trap names it: op0, op1, CRn, CRm, op2.
const SGI1R: (u8, u8, u8, u8, u8) = (3, 0, 12, 11, 5);

/// `ICH_LR<n>_EL2`: pending, group 1, the physical interrupt behind it.
const LR_PENDING: u64 = 1 << 62;
const LR_STATE: u64 = 3 << 62;
const LR_HW: u64 = 1 << 61;
const LR_GROUP1: u64 = 1 << 60;
/// The priority that the image gives everything.
const LR_PRIORITY: u64 = 0x80 << 48;

/// Takes interrupts at EL2 from now on, and gives EL1 virtual ones.
pub fn init() {
    icc_pmr_el1::write(0xff);
    // EOImode: the end of an interrupt drops its priority alone, so that a
    // level that EL1 has not served yet stays active.
    icc_ctlr_el1::write(icc_ctlr_el1::read() | 1 << 1);
    icc_igrpen1_el1::write(1);
    // VPMR open, group 1 on.
    ich_vmcr_el2::write(0xff << 24 | 1 << 1);
    for (_, write) in LISTS.iter().take(lists()) {
        write(0);
    }
    ich_hcr_el2::write(1);
    arch::isb();
}

/// Is it the register that sends an interrupt to other cores?
pub fn is_sgi_register(register: (u8, u8, u8, u8, u8)) -> bool {
    register == SGI1R
}

/// Sends EL1's interrupt to other cores.
pub fn send(value: u64) {
    icc_sgi1r_el1::write(value);
    arch::isb();
}

type List = (fn() -> u64, fn(u64));
static LISTS: [List; 4] = [
    (ich_lr0_el2::read, ich_lr0_el2::write),
    (ich_lr1_el2::read, ich_lr1_el2::write),
    (ich_lr2_el2::read, ich_lr2_el2::write),
    (ich_lr3_el2::read, ich_lr3_el2::write),
];

/// List registers that this core has, of the four that are used.
fn lists() -> usize {
    ((ich_vtr_el2::read() & 0x1f) as usize + 1).min(LISTS.len())
}

/// Takes a physical interrupt.
pub fn take(core: &Core, frame: &Frame) {
    let interrupt = icc_iar1_el1::read() & 0xff_ffff;
    if interrupt >= 1020 {
        return; // spurious
    }
    icc_eoir1_el1::write(interrupt);
    if interrupt == u64::from(gic::KICK_NUMBER) {
        let kicked = &core.kicked;
        kicked.pc.store(frame.elr, Ordering::Relaxed);
        kicked.lr.store(frame.x[30], Ordering::Relaxed);
        kicked.spsr.store(frame.spsr, Ordering::Relaxed);
        kicked.count.fetch_add(1, Ordering::Release);
        icc_dir_el1::write(interrupt);
        return;
    }
    pass_on(interrupt);
    if interrupt < 16 {
        // An SGI has no level behind it: nothing is left to deactivate.
        icc_dir_el1::write(interrupt);
    }
}

/// Makes the interrupt pending at EL1: in the list register that holds it, or
/// a free one. With none free EL1 has four pending, and will look.
fn pass_on(interrupt: u64) {
    let lists = &LISTS[..lists()];
    let same = lists
        .iter()
        .find(|(read, _)| read() & LR_STATE != 0 && read() & 0xffff_ffff == interrupt);
    if let Some((read, write)) = same {
        write(read() | LR_PENDING);
    } else if let Some((_, write)) = lists.iter().find(|(read, _)| read() & LR_STATE == 0) {
        // Behind anything but an SGI stands a physical one that EL1's end of
        // interrupt deactivates.
        let physical = if interrupt >= 16 {
            LR_HW | interrupt << 32
        } else {
            0
        };
        write(LR_PENDING | LR_GROUP1 | LR_PRIORITY | physical | interrupt);
    }
    arch::isb();
}
