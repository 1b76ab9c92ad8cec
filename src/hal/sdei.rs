//! SDEI: events that firmware delivers to a core whatever that masks (Arm DEN0054), which
//! newer kernels stop cores with. EL2 has to ask for them, and takes them.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use smccc::hvc64;

use super::boot::{self, SDEI_CALLS};

const VERSION: u32 = SDEI_CALLS;
const EVENT_REGISTER: u32 = SDEI_CALLS + 1;
const EVENT_ENABLE: u32 = SDEI_CALLS + 2;
const PE_UNMASK: u32 = SDEI_CALLS + 0xc;
const PE_MASK: u32 = SDEI_CALLS + 0xb;
const EVENT_SIGNAL: u32 = SDEI_CALLS + 0xf;
const PRIVATE_RESET: u32 = SDEI_CALLS + 0x11;
/// The event that software signals.
const EVENT: u64 = 0;

static ON: AtomicBool = AtomicBool::new(false);

fn call(function: u32, arguments: [u64; 3]) -> i64 {
    let mut all = [0; 17];
    all[..3].copy_from_slice(&arguments);
    hvc64(function, all)[0].cast_signed()
}

/// Uses it from now on, if firmware, which says that it has it, answers. EL2 must be the
/// image's own.
pub fn set_up() {
    ON.store(call(VERSION, [0; 3]) >= 0, Ordering::Relaxed);
}

/// Is it in use?
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Has this core take events, with the address of its `request`. What firmware
/// refuses is noticed when an event does not come: a core that was off has it registered.
pub fn init_core(request: &AtomicU32) {
    if is_on() {
        let word = core::ptr::from_ref(request) as u64;
        // A kernel before this boot may have left handlers of its own.
        call(PRIVATE_RESET, [0; 3]);
        call(EVENT_REGISTER, [EVENT, boot::sdei_event_address(), word]);
        call(EVENT_ENABLE, [EVENT, 0, 0]);
        call(PE_UNMASK, [0; 3]);
    }
}

/// Takes no events on this core any more: their handler will be gone.
pub fn leave() {
    if is_on() {
        call(PE_MASK, [0; 3]);
        call(PRIVATE_RESET, [0; 3]);
    }
}

/// Signals the event to a core.
pub fn signal(mpidr: u64) {
    call(EVENT_SIGNAL, [EVENT, mpidr, 0]);
}
