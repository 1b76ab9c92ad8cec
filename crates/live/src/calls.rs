//! Calls: a signal is to a stuck thread what an interrupt is to a stuck core.

#![expect(unsafe_code, reason = "a signal's handler")]

use std::{io, sync::atomic::Ordering};

use crate::{os, status::Status};

/// The signal that a stuck thread takes, as a stuck core takes an interrupt.
const CALL: libc::c_int = libc::SIGUSR1;

thread_local! {
    /// Where the handler finds what this thread tells and is told.
    static OWN: core::cell::Cell<*const Status> = const { core::cell::Cell::new(core::ptr::null()) };
}

/// What the handler of this thread's calls writes to.
pub fn answer_by(status: &'static Status) {
    OWN.set(status);
}

/// From here on a called thread notes where it was hit, and leaves a loop that it is told
/// to leave.
///
/// # Errors
/// Those of `sigaction`.
pub fn take() -> io::Result<()> {
    // SAFETY: all zeros is no handler and an empty mask.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = called as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler has the type that SA_SIGINFO asks for.
    match unsafe { libc::sigaction(CALL, &raw const action, core::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The handler: no lock, no allocation.
extern "C" fn called(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let own = OWN.get();
    if own.is_null() {
        return;
    }
    // SAFETY: set by `answer_by`, to what lives as long as the program.
    let own = unsafe { &*own };
    // SAFETY: the kernel passes a context to a handler with SA_SIGINFO.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext;
    own.hit.store(registers.pc, Ordering::Relaxed);
    own.calls.fetch_add(1, Ordering::Release);
    if own.is_to_leave() && Status::is_stuck_at(registers.pc as usize) {
        // The loops are leaves that keep off the stack: by their link register they
        // return to who called them.
        registers.pc = registers.regs[30];
    }
}

/// Calls a thread.
pub fn call(of: &Status) {
    let thread = of.thread.load(Ordering::Acquire);
    // SAFETY: numbers; a thread that is gone is an error, which means nothing here.
    unsafe { libc::syscall(libc::SYS_tgkill, os::process(), thread, CALL) };
}
