//! The scenario `kdump`: a kernel's crash path from soft lockup to crash
//! kernel, played with real stuck cores, real interrupts and real maintenance.
//!
//! Whoever conducts the run sets the stage ([`stage`]) and, if it is a
//! sentinel, watches. The crashing core gets stuck in the lock like all others
//! until its watchdog finds it ([`lockup`]), stops the other cores ([`stop`]),
//! leaves through [`kexec`] and comes back as the crash kernel ([`capture`]).

mod backtrace;
pub mod capture;
mod end;
mod kexec;
mod lockup;
mod log;
mod stop;
pub mod trace;

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arm_gic::IntId;
use spin::Once;
use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::StaleState,
    kdump::{Kernel, Step},
    options::Scenario,
    plan::Case,
};

use crate::{
    arch, board,
    clock::{self, Deadline},
    conductor::{Conductor, Run},
    core_local::{self, Core},
    exception::Frame,
    exit, gic, mark, scenario, stuck,
    worker::{Command, core},
};

/// How long the cores may take to get stuck: emulated, all of them may share
/// one core of the host.
const ENTER_MS: u64 = 5000;
/// The same, for each core.
const ENTER_EACH_MS: u64 = 100;
/// How long an interrupt may take before not taking it means being deaf.
const DEAF_MS: u64 = 20;

/// What is known of each core while the scenario runs; written by the core
/// itself but for `deaf`.
pub struct Watch {
    /// It gets stuck with interrupts masked.
    deaf: AtomicBool,
    /// CNTVCT_EL0 when its watchdog was last content.
    touched: AtomicU64,
    /// Its watchdog has found it stuck.
    locked_up: AtomicBool,
    /// It has taken the crash-stop interrupt.
    stopped: AtomicBool,
    /// Where that hit.
    stopped_at: AtomicU64,
}

/// The scenario, set up once.
pub struct Setup {
    /// Who crashes.
    cpu: usize,
    /// Deaf to interrupts, in [`Setup::state`].
    stale: CpuSet,
    /// How the stale cores are stuck.
    state: StaleState,
    /// Stuck in the lock with interrupts open.
    rest: CpuSet,
    /// Every core of the kernel that crashes but the one that does.
    others: CpuSet,
    case: Case,
    kernel: Kernel,
    trace: bool,
    /// The watchdog's threshold, in milliseconds.
    threshold_ms: u64,
    conductor: &'static Conductor,
    watches: Vec<Watch>,
    image: kexec::Image,
}

static SETUP: Once<Setup> = Once::new();

/// Is it this scenario that was asked for?
pub fn is_asked() -> bool {
    board::get().options.scenario == Scenario::Kdump
}

/// Is this core to get stuck with interrupts masked?
pub fn is_deaf(core: &Core) -> bool {
    SETUP
        .get()
        .is_some_and(|setup| setup.watch(core.index).deaf.load(Ordering::Relaxed))
}

impl Setup {
    fn watch(&self, cpu: usize) -> &Watch {
        &self.watches[cpu]
    }

    /// The cores for which `asked` holds.
    fn which(&self, asked: impl Fn(&Watch) -> bool) -> CpuSet {
        self.others
            .iter()
            .filter(|cpu| asked(self.watch(*cpu)))
            .collect()
    }

    fn sentinel(&self) -> Option<usize> {
        self.conductor.plan.roles.sentinel
    }
}

/// Sets the stage, lets the initiator crash, and ends the run.
pub fn stage(conductor: Conductor) -> ! {
    let conductor: &'static Conductor = Box::leak(Box::new(conductor));
    let mut run = Run::new(conductor);
    let setup = match prepare(conductor, &mut run) {
        Ok(setup) => setup,
        Err(error) => {
            crate::report::note(format!("harness error: {error}"));
            run.close(true)
        }
    };
    if setup.sentinel().is_none() {
        obey(core(setup.cpu));
        // The crash kernel ends the run: only a lock that opened by itself
        // leads here.
        exit::end(ExitCode::Harness);
    }
    scenario::ask(&CpuSet::one(setup.cpu), Command::Kdump, |_| 0);
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
    let mut others = CpuSet::first(core_local::all().len());
    others.remove(cpu);
    if let Some(sentinel) = roles.sentinel {
        others.remove(sentinel);
    }
    let rest = others.difference(&roles.stale);
    log::start(cpu);
    let image = kexec::load(cpu, options.kernel)?;
    let watches = (0..core_local::all().len())
        .map(|index| Watch {
            deaf: AtomicBool::new(roles.stale.contains(index) && case.state != StaleState::Parked),
            touched: AtomicU64::new(0),
            locked_up: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            stopped_at: AtomicU64::new(0),
        })
        .collect();
    let setup = SETUP.call_once(|| Setup {
        cpu,
        stale: roles.stale,
        state: case.state,
        rest,
        others,
        case,
        kernel: options.kernel,
        trace: options.trace,
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
    if setup.state == StaleState::TicketLock {
        // Whoever holds it never lets go.
        core::mem::forget(stuck::hold_ticket_lock());
    }
    scenario::ask(&others, Command::Kdump, |_| 0);
    prove(setup)?;
    Ok(setup)
}

/// Waits until the cores are where they were sent, and makes them show it:
/// those with interrupts open take one, deaf ones do not.
fn prove(setup: &Setup) -> Result<(), String> {
    let inside = |cpu: usize| {
        let state = if setup.stale.contains(cpu) {
            setup.state
        } else {
            StaleState::Qspinlock
        };
        core(cpu).life.0.state.load(Ordering::Acquire) == state as u8 + 1
    };
    let patience = ENTER_MS + ENTER_EACH_MS * setup.others.len() as u64;
    wait(patience, &setup.others, "to get stuck", inside)?;
    let taken = |cpu: usize| core(cpu).life.0.interrupts.load(Ordering::Acquire);
    let before: Vec<u64> = (0..core_local::all().len()).map(taken).collect();
    for cpu in setup.others.iter() {
        gic::call(core(cpu));
    }
    let deaf = setup.which(|watch| watch.deaf.load(Ordering::Relaxed));
    let open = setup.others.difference(&deaf);
    wait(
        patience,
        &open,
        "to take an interrupt where it is stuck",
        |cpu| taken(cpu) > before[cpu],
    )?;
    let start = arch::cntvct();
    while clock::ms_since(start) < DEAF_MS {
        arch::pause();
    }
    match deaf.iter().find(|cpu| taken(*cpu) > before[*cpu]) {
        Some(cpu) => Err(format!("CPU {cpu} was to be deaf and took an interrupt")),
        None => Ok(()),
    }
}

fn wait(ms: u64, cpus: &CpuSet, what: &str, reached: impl Fn(usize) -> bool) -> Result<(), String> {
    let deadline = Deadline::after_ms(ms);
    let mut waiting = *cpus;
    loop {
        waiting = waiting.iter().filter(|cpu| !reached(*cpu)).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(format!("waited {ms} ms for CPU {waiting} {what}"));
        }
        arch::pause();
    }
}

/// Plays this core's part: gets stuck. Returns only if it is let go.
pub fn obey(core: &'static Core) {
    let Some(setup) = SETUP.get() else { return };
    let watch = setup.watch(core.index);
    let listening = gic::enable(core, gic::CRASH_STOP).and_then(|()| {
        if core.index == setup.cpu || setup.rest.contains(core.index) {
            lockup::start(core, watch, setup)
        } else {
            Ok(())
        }
    });
    if let Err(error) = listening {
        crate::println!("stalecore: {error}");
        exit::end(ExitCode::Harness);
    }
    let state = if setup.stale.contains(core.index) {
        setup.state
    } else {
        StaleState::Qspinlock
    };
    core.given_up.store(false, Ordering::Relaxed);
    stuck::enter(core, state);
}

/// Takes the interrupts of the scenario; does not return from those that end
/// something.
pub fn on_interrupt(core: &'static Core, frame: &Frame, interrupt: IntId) {
    let Some(setup) = SETUP.get() else { return };
    if interrupt == gic::VIRTUAL_TIMER {
        lockup::tick(setup, core, frame);
    } else if interrupt == gic::CRASH_STOP {
        stop::take(setup, core, frame);
    }
}
