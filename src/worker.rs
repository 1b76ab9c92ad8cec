//! The loop of every core that does not conduct: wait for an order, carry it
//! out, wait again.

#![expect(unsafe_code, reason = "the entry code hands over a pointer")]

use core::sync::atomic::Ordering;

use stalecore_model::{
    exit::ExitCode,
    glossary::{LineState, StaleState},
};

use crate::{
    arch, conductor,
    core_local::{self, Core},
    exit, fabric, gic,
    identity::Identity,
    initiator, kdump, println, stuck,
};

/// What a core can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Command {
    /// Get stuck: [`StaleOrder`].
    Stale = 1,
    /// Run the order in the core's job.
    Measure,
    /// Execute the newest code of an initiator; the argument is its number
    /// and, above 16 bits, the generation.
    Check,
    /// Wait until what this core has posted is answered.
    Settle,
    /// Conduct the run.
    Conduct,
    /// Play this core's part in the scenario `kdump`.
    Kdump,
}

/// How to get stuck, packed into one argument.
#[derive(Clone, Copy)]
pub struct StaleOrder {
    /// Where to.
    pub state: StaleState,
    /// What to touch before.
    pub line: LineState,
    /// The core's place among the stale cores.
    pub nth: usize,
    /// How many they are.
    pub of: usize,
}

impl StaleOrder {
    /// As an argument.
    pub const fn pack(self) -> usize {
        self.state as usize | (self.line as usize) << 8 | self.nth << 16 | self.of << 32
    }

    fn unpack(argument: usize) -> Option<Self> {
        Some(Self {
            state: StaleState::from_number((argument & 0xff) as u8)?,
            line: *LineState::ALL.get(argument >> 8 & 0xff)?,
            nth: argument >> 16 & 0xffff,
            of: argument >> 32,
        })
    }
}

/// Enters Rust on a started core.
pub extern "C" fn secondary_main(core: *const Core) -> ! {
    // SAFETY: the entry code passes on what `cores::start` gave PSCI: one of
    // the static cores.
    let core = unsafe { &*core };
    if let Err(error) = init(core) {
        println!("stalecore: {error}");
        exit::end(ExitCode::Harness);
    }
    serve(core)
}

/// Readies this core: interrupts, counters, identity.
///
/// # Errors
/// One line if the interrupt controller does not know the core.
pub fn init(core: &'static Core) -> Result<(), alloc::string::String> {
    core.identity.call_once(Identity::read);
    // Before the interrupts: where EL2 takes them first, the core's own
    // controller becomes a virtual one.
    fabric::install(core);
    gic::init_core(core)?;
    if core.identity.get().is_some_and(|i| i.pmu.is_some()) {
        arch::start_cycle_counter();
    }
    core.mailbox.0.reset();
    core.life.0.state.store(0, Ordering::Relaxed);
    core.breathe();
    core.online.store(true, Ordering::Release);
    Ok(())
}

/// Carries out orders for ever.
pub fn serve(core: &'static Core) -> ! {
    loop {
        // Masked, so that an interrupt between the look and the wait still
        // ends the wait.
        arch::irq_mask();
        match core.mailbox.0.take() {
            Some(command) => {
                obey(core, command);
                core.breathe();
                core.mailbox.0.finish();
            }
            None => {
                arch::wfi();
                arch::irq_open();
                arch::isb();
            }
        }
    }
}

fn obey(core: &'static Core, command: u32) {
    let argument = core.argument.load(Ordering::Relaxed);
    if command == Command::Stale as u32 {
        if let Some(order) = StaleOrder::unpack(argument) {
            initiator::touch(core, order.line, order.nth, order.of);
            stuck::enter(core, order.state);
        }
    } else if command == Command::Measure as u32 {
        initiator::measure(core);
    } else if command == Command::Check as u32 {
        let seen = initiator::AREAS.get().and_then(|areas| {
            initiator::check_newest(areas, (argument >> 16) as u16, argument & 0xffff)
        });
        core.answer
            .store(seen.map_or(u32::MAX, u32::from), Ordering::Relaxed);
    } else if command == Command::Settle as u32 {
        fabric::settle();
    } else if command == Command::Conduct as u32 {
        conductor::conduct();
    } else if command == Command::Kdump as u32 {
        kdump::obey(core);
    }
}

/// The core of a number; the caller's numbers come from the plan, which was
/// made for this machine.
pub fn core(cpu: usize) -> &'static Core {
    &core_local::all()[cpu]
}
