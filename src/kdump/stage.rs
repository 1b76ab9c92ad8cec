//! Sets the stage of the scenario: every core stuck where it should be, and the part
//! that each plays.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arm_gic::IntId;
use stalecore_model::{cpuset::CpuSet, exit::ExitCode, glossary::StaleState, kdump::Step};

use super::{
    end, kexec, lockup, log,
    setup::{SETUP, Setup, Watch},
    stop,
};
use crate::{
    board,
    conductor::{Conductor, Run},
    cores::{
        ask::{ask, wait_for},
        command::Command,
        mark,
        percpu::{self, Core, core},
    },
    hal::{clock, console::println, exit, frame::Frame, gic},
    report::{self, screen},
    routines::trace,
    stuck::{self, Release},
};

/// How long an interrupt may take before not taking it means that it is masked.
const MASKED_MS: u64 = 20;

/// Sets the stage, lets the initiator crash, and ends the run.
pub fn stage(conductor: Conductor) -> ! {
    let conductor: &'static Conductor = Box::leak(Box::new(conductor));
    let mut run = Run::new(conductor);
    let setup = match prepare(conductor, &mut run) {
        Ok(setup) => setup,
        Err(error) => {
            report::note(format!("harness error: {error}"));
            screen::fail(|| error);
            run.close(true)
        }
    };
    if setup.sentinel().is_none() {
        play_part(core(setup.cpu));
        // The crash kernel ends the run: this is reached only if a lock opened by itself.
        exit::end(ExitCode::Harness);
    }
    ask(&CpuSet::one(setup.cpu), Command::Kdump, |_| 0);
    end::watch(setup, &mut run)
}

/// Loads the crash image and gets every core stuck but the one that crashes.
fn prepare(conductor: &'static Conductor, run: &mut Run<'_>) -> Result<&'static Setup, String> {
    run.start_everybody()?;
    let roles = &conductor.plan.roles;
    let options = &board::get().options;
    let cpu = roles.initiators.lowest().ok_or("no core to crash")?;
    let case = *conductor
        .plan
        .groups
        .first()
        .and_then(|group| group.cases.first())
        .ok_or("no case")?;
    mark::begin_case(case.number);
    let mut others = CpuSet::first(percpu::all().len());
    others.remove(cpu);
    if let Some(sentinel) = roles.sentinel {
        others.remove(sentinel);
    }
    let rest = others.difference(&roles.stale);
    log::start(cpu);
    let image = kexec::load(cpu, options.kernel)?;
    let watches = (0..percpu::all().len())
        .map(|_| Watch {
            touched: AtomicU64::new(0),
            locked_up: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            stopped_at: AtomicU64::new(0),
        })
        .collect();
    if case.state != StaleState::Parked {
        for cpu in roles.stale.iter() {
            core(cpu).irqs_masked.store(true, Ordering::Relaxed);
        }
    }
    trace::switch(options.trace);
    let setup = SETUP.call_once(|| Setup {
        cpu,
        stale: roles.stale,
        state: case.state,
        rest,
        others,
        case,
        kernel: options.kernel,
        threshold_ms: options.watchdog_ms.into(),
        conductor,
        watches,
        image,
    });
    log::reach(
        Step::Lockup,
        Some(setup.stale),
        Some(format!(
            "stuck in {}, {}; CPU {} in {} with interrupts open",
            setup.state,
            if setup.state == StaleState::Parked {
                "interrupts open"
            } else {
                "interrupts masked"
            },
            if rest.is_empty() {
                "-".into()
            } else {
                format!("{rest}")
            },
            StaleState::Qspinlock
        )),
    );
    stuck::hold_qspinlock();
    if let Release::Unlock(take, _) = stuck::row(setup.state).release
        && setup.state != StaleState::Qspinlock
    {
        take(); // and is never released
    }
    ask(&others, Command::Kdump, |_| 0);
    prove(setup)?;
    Ok(setup)
}

/// Waits until the cores are where they were sent, and makes them show it:
/// those with interrupts open take one, the others do not.
fn prove(setup: &Setup) -> Result<(), String> {
    let inside = |core: &Core| core.state() == Some(setup.state_of(core.index));
    wait_for(&setup.others, "to get stuck", inside, |_| ())?;
    let before: Vec<u64> = percpu::all().iter().map(Core::interrupts).collect();
    setup.others.iter().for_each(|cpu| core(cpu).call());
    let masked: CpuSet = setup
        .others
        .iter()
        .filter(|cpu| core(*cpu).irqs_masked.load(Ordering::Relaxed))
        .collect();
    let has_taken = |core: &Core| core.interrupts() > before[core.index];
    wait_for(
        &setup.others.difference(&masked),
        "to take an interrupt where it is stuck",
        has_taken,
        |_| (),
    )?;
    clock::wait_ms(MASKED_MS, || false);
    match masked.iter().find(|cpu| has_taken(core(*cpu))) {
        Some(cpu) => Err(format!(
            "CPU {cpu} was to have interrupts masked and took one"
        )),
        None => Ok(()),
    }
}

/// Plays this core's part: gets stuck. Returns only if it is released.
pub fn play_part(core: &'static Core) {
    let Some(setup) = SETUP.get() else { return };
    let watch = setup.watch(core.index);
    let listening = gic::enable(core.index, core.cpu.mpidr, gic::CRASH_STOP).and_then(|()| {
        if core.index == setup.cpu || setup.rest.contains(core.index) {
            lockup::start(core, watch, setup)
        } else {
            Ok(())
        }
    });
    if let Err(error) = listening {
        println!("stalecore: {error}");
        screen::fail(|| error);
        exit::end(ExitCode::Harness);
    }
    core.force_complete.store(false, Ordering::Relaxed);
    stuck::enter(core, setup.state_of(core.index));
}

/// Takes the interrupts of the scenario; does not return from one that ends the kernel
/// or this core.
pub fn on_interrupt(core: &'static Core, frame: &Frame, interrupt: IntId) {
    let Some(setup) = SETUP.get() else { return };
    if interrupt == gic::VIRTUAL_TIMER {
        lockup::tick(setup, core, frame);
    } else if interrupt == gic::CRASH_STOP {
        stop::take(setup, core, frame);
    }
}
