//! The loop of every core that does not conduct: wait for an order, carry it
//! out, wait again.

use alloc::format;
use core::sync::atomic::Ordering;

use stalecore_model::exit::ExitCode;

use crate::{
    board,
    conductor::leave,
    cores::{
        command::{Command, StaleOrder},
        identity::Identity,
        percpu::{self, Core},
    },
    fabric,
    hal::{arch, console::println, exit, gic, sdei},
    kdump,
    measure::{self, AREAS},
    report::screen,
    scenarios, stuck,
};

/// Enters Rust on a started core, whose `Core` the entry code passes on.
pub extern "C" fn secondary_main(core: &'static Core) -> ! {
    init(core);
    command_loop(core)
}

/// Readies this core: identity, interrupts, counters. It works even without interrupts.
pub fn init(core: &'static Core) {
    core.identity.call_once(Identity::read);
    // Before the interrupts: where EL2 takes them first, the core's own interface
    // becomes a virtual one.
    fabric::stage2::install();
    if let Err(why) = fabric::install(core) {
        println!("stalecore: CPU {}: {why}", core.index);
        screen::fail(|| format!("CPU {}: {why}", core.index));
        exit::end(ExitCode::Harness);
    }
    sdei::init_core(&core.request);
    if let Err(why) = gic::init_core(core.index, core.cpu.mpidr) {
        core.trouble.call_once(|| why);
        core.polls.store(true, Ordering::Relaxed);
    }
    if core.identity.get().is_some_and(|i| i.pmu.is_some()) {
        arch::start_cycle_counter();
    }
    core.mailbox.reset();
    core.set_state(None);
    // From here on asynchronous aborts are taken and noted: they are what a broken
    // interconnect reports first.
    arch::serror_open();
    core.set_online(true);
}

/// Carries out orders for ever.
pub fn command_loop(core: &'static Core) -> ! {
    loop {
        // Masked, so that an interrupt between looking and waiting still ends the wait.
        arch::irq_mask();
        match core.mailbox.take() {
            Some(command) => {
                dispatch(core, command);
                core.mailbox.finish();
            }
            None => {
                if core.polls() {
                    arch::wfe();
                } else {
                    arch::wfi();
                }
                arch::irq_open();
                arch::isb();
            }
        }
    }
}

fn dispatch(core: &'static Core, command: u32) {
    let argument = core.argument.load(Ordering::Relaxed);
    match Command::from_number(command) {
        Some(Command::Stale) => {
            if let Some(order) = StaleOrder::unpack(argument) {
                measure::touch(order.line, order.nth, order.of);
                stuck::enter(core, order.state);
            }
        }
        Some(Command::Measure) => measure::run_orders(core),
        Some(Command::Check) => {
            let seen = AREAS.get().and_then(|areas| {
                measure::check_newest(areas, (argument >> 16) as u16, argument & 0xffff)
            });
            core.answer
                .store(seen.map_or(u32::MAX, u32::from), Ordering::Relaxed);
        }
        Some(Command::Drain) => {
            fabric::drain();
            measure::mend(core.index);
        }
        Some(Command::Conduct) => board::get().conduct(scenarios::conduct),
        Some(Command::Kdump) => kdump::play_part(core),
        Some(Command::Leave) => leave::leave(core),
        None => {}
    }
}

/// Enters the crash kernel of the scenario `kdump` on its own stack, MMU and
/// caches on again.
pub extern "C" fn crash_kernel_main() -> ! {
    let Some(own) = percpu::this() else {
        exit::end(ExitCode::Harness);
    };
    kdump::run_crash_kernel(own);
    own.mailbox.finish();
    command_loop(own)
}
