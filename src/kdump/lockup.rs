//! The soft-lockup watchdog: the virtual timer's interrupt on each core that
//! can take it, and what the crashing core does when it finds itself stuck.

#![expect(unsafe_code, reason = "functions that carry the kernel's names")]

use alloc::{format, string::String};
use core::sync::atomic::Ordering;

use stalecore_model::kdump::{Step, message};

use super::{
    backtrace, kexec, log,
    setup::{Setup, Watch},
    stop,
};
use crate::{
    cores::percpu::Core,
    fabric,
    hal::{arch, clock, frame::Frame, gic},
};

/// A core is stuck after twice the threshold (the kernel's
/// `get_softlockup_thresh`), and looked at five times in that time.
const STUCK: u64 = 2;
const LOOKS: u64 = 5;

fn arm(setup: &Setup) {
    let period_us = setup.threshold_ms * STUCK * 1000 / LOOKS;
    let ticks = u128::from(period_us) * u128::from(clock::frequency()) / 1_000_000;
    arch::start_virtual_timer(arch::cntvct() + u64::try_from(ticks).unwrap_or(u64::MAX / 2));
}

/// Starts this core's watchdog.
///
/// # Errors
/// One line if the interrupt controller does not know the timer's interrupt.
pub fn start(core: &Core, watch: &Watch, setup: &Setup) -> Result<(), String> {
    watch.touched.store(arch::cntvct(), Ordering::Relaxed);
    gic::enable(core.index, core.cpu.mpidr, gic::VIRTUAL_TIMER)?;
    arm(setup);
    Ok(())
}

/// The timer's interrupt: has this core done nothing else for too long?
pub fn tick(setup: &'static Setup, core: &'static Core, frame: &Frame) {
    arm(setup);
    let watch = setup.watch(core.index);
    let stuck_ms = clock::ms_since(watch.touched.load(Ordering::Relaxed));
    if stuck_ms < STUCK * setup.threshold_ms {
        return;
    }
    let first = !watch.locked_up.swap(true, Ordering::Relaxed);
    // A kernel would report it on the other cores too; one report is enough.
    if first && core.index == setup.cpu {
        watchdog_timer_fn(setup, core, frame, stuck_ms);
    }
}

/// What the kernel's function of that name does with
/// `kernel.softlockup_panic=1`.
#[unsafe(export_name = "watchdog_timer_fn")]
#[inline(never)]
extern "C" fn watchdog_timer_fn(
    setup: &'static Setup,
    core: &'static Core,
    frame: &Frame,
    stuck_ms: u64,
) -> ! {
    // This core runs again, and answers.
    fabric::leave(core.index);
    let also = setup.which(|watch| watch.locked_up.load(Ordering::Relaxed));
    log::reach(
        Step::SoftLockup,
        (!also.is_empty()).then_some(also),
        Some(format!("CPU {} stuck for {stuck_ms} ms", core.index)),
    );
    let kernel = setup.kernel;
    log::say(message::soft_lockup(core.index, stuck_ms));
    log::say(message::MODULES);
    backtrace::say_machine(setup, core.index, false);
    backtrace::print_registers(kernel, [frame.elr, frame.spsr, frame.sp], &frame.x);
    backtrace::print_trace(&backtrace::interrupted(core, frame));
    panic(setup, core, frame)
}

/// What the kernel's function of that name does when a crash image is loaded.
#[unsafe(export_name = "panic")]
#[inline(never)]
extern "C" fn panic(setup: &'static Setup, core: &'static Core, frame: &Frame) -> ! {
    log::reach(Step::Panic, None, None);
    log::say(message::PANIC);
    backtrace::say_machine(setup, core.index, true);
    backtrace::print_trace(&backtrace::here(core, frame));
    crash_kexec(setup, core, frame)
}

#[unsafe(export_name = "__crash_kexec")]
#[inline(never)]
extern "C" fn crash_kexec(setup: &'static Setup, core: &'static Core, frame: &Frame) -> ! {
    arch::stop_virtual_timer();
    let left = stop::crash_smp_send_stop(setup);
    log::reach(Step::Starting, None, None);
    log::say(message::STARTING);
    kexec::machine_kexec(setup, core, frame, &left)
}
