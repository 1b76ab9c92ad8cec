//! EL1's second stage of translation, on each core as it comes up, where it is asked for.

use core::sync::atomic::Ordering;

use aarch64_cpu::registers::{HCR_EL2, ID_AA64MMFR0_EL1, Readable};
use smccc::hvc64;
use spin::Once;
use stalecore_model::stage2;

use crate::hal::{arena::Pages, boot};

/// VTCR_EL2 and VTTBR_EL2.
static REGISTERS: Once<[u64; 2]> = Once::new();

/// Bytes in which the table has room, wherever they begin.
pub const ROOM: usize = 2 * size_of::<u64>() * stage2::blocks(stage2::MOST_BITS);

/// Makes the table in pages of [`ROOM`] bytes, which are mapped.
pub fn set_up(pages: Pages) {
    let parange = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange);
    let bits = stage2::bits(parange);
    let size = stage2::blocks(bits) * size_of::<u64>();
    let skipped = pages.start().next_multiple_of(size) - pages.start();
    let table = &pages.words()[skipped / size_of::<u64>()..];
    for (nth, word) in table.iter().take(stage2::blocks(bits)).enumerate() {
        word.store(stage2::block(nth), Ordering::Relaxed);
    }
    let at = table.as_ptr() as u64;
    REGISTERS.call_once(|| [stage2::control(bits, parange), at]);
}

/// Switches it on on this core, before anything else is set up at EL2.
pub fn install() {
    if let Some([vtcr, vttbr]) = REGISTERS.get() {
        let mut arguments = [0; 17];
        (arguments[0], arguments[1]) = (*vtcr, *vttbr);
        hvc64(boot::EL2_STAGE2, arguments);
    }
}

/// What it adds to HCR_EL2.
pub fn hcr() -> u64 {
    match REGISTERS.get() {
        Some(_) => HCR_EL2::VM::SET.value,
        None => 0,
    }
}
