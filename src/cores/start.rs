//! Brings cores up, and up again after they were turned off. The run goes on without a
//! core that does not answer; what firmware said about it is kept.

use alloc::{format, string::String, vec::Vec};

use smccc::psci::{AffinityState, error::Error};
use stalecore_model::{cpuset::CpuSet, platform::Start, record::Absent, wait::Wait};

use super::percpu::{self, Core, core};
use crate::hal::{arch, boot, clock, mmio, psci, watchdog};

/// How long after its last answer firmware is asked again to start a core that is
/// not off yet.
const ASK_AGAIN_MS: u64 = 10;
/// How long a core's first turn at the pen is; each of the next few is twice as
/// long.
const TURN_MS: u64 = 10;
/// How many turns it has at least, as the clock may have run on while the host stood.
const TURNS: u32 = 3;

/// A core that did not come up.
pub struct Missing {
    /// Which.
    pub cpu: usize,
    /// What firmware answered, or what did not happen.
    pub why: String,
    /// Its MPIDR, where firmware says that it is on and refuses to start it: something
    /// else runs on it.
    pub on_mpidr: Option<u64>,
}

impl Missing {
    /// As a record. After kexec, a core that is on is taken to be the earlier kernel's.
    pub fn told(self, after_kexec: bool) -> Absent {
        let inherited = self.on_mpidr.filter(|_| after_kexec);
        Absent {
            cpus: CpuSet::one(self.cpu),
            why: match inherited {
                Some(mpidr) => format!(
                    "stale since before this boot (inherited): MPIDR {mpidr:#x}, PSCI AFFINITY_INFO: on, {}; the kernel before has left it so, and only --disturb-inherited touches it",
                    self.why
                ),
                None => self.why,
            },
            inherited: inherited.is_some(),
        }
    }
}

/// Asks firmware once to start a core; it is up once [`Core::online`] says so.
///
/// # Errors
/// The firmware's.
#[inline(never)]
pub fn start(core: &'static Core) -> Result<(), Error> {
    core.set_online(false);
    // The core reads its stacks with its caches on, but nothing should depend on that.
    boot::clean(core.address());
    match core.cpu.start {
        Start::Psci => psci::cpu_on(
            core.cpu.mpidr,
            boot::secondary_entry_address(),
            core.address() as u64,
        ),
        Start::SpinTable(address) => {
            // Firmware says that the core polls this word.
            mmio::write_u64(address, boot::pen_address());
            boot::clean(address as usize);
            arch::sev();
            boot::release_from_pen(core.address());
            Ok(())
        }
        Start::Pen => {
            boot::release_from_pen(core.address());
            Ok(())
        }
    }
}

/// Starts cores and waits until they are up; returns those that are not.
pub fn start_all(cpus: &CpuSet) -> Vec<Missing> {
    let waiting: CpuSet = cpus.iter().filter(|cpu| !core(*cpu).is_online()).collect();
    let by_psci = |cpu: &usize| core(*cpu).cpu.start == Start::Psci;
    let mut missing = start_by_psci(waiting.iter().filter(by_psci).collect());
    let in_pen: CpuSet = waiting.iter().filter(|cpu| !by_psci(cpu)).collect();
    if !in_pen.is_empty() {
        missing.extend(start_from_pen(in_pen));
    }
    missing
}

/// The pen's word names one core at a time, so the cores take turns: one that is too
/// late for its turn gets another.
fn start_from_pen(mut waiting: CpuSet) -> Vec<Missing> {
    let mut wait = Wait::of(waiting.len(), percpu::all().len());
    let begun = clock::now();
    for cpu in waiting.iter() {
        // A pen refuses no core.
        let _ = start(core(cpu));
    }
    let mut turn = 0;
    while !waiting.is_empty()
        && (!wait.is_over(waiting.len(), clock::ms_since(begun)) || turn < TURNS)
    {
        waiting = waiting
            .iter()
            .filter(|cpu| {
                boot::release_from_pen(core(*cpu).address());
                !clock::wait_ms(TURN_MS << turn.min(5), || {
                    watchdog::refresh();
                    // Again: an event that came just before the core slept is lost.
                    arch::sev();
                    core(*cpu).is_online()
                })
            })
            .collect();
        turn += 1;
    }
    boot::release_from_pen(0);
    let missing = waiting.iter().map(|cpu| Missing {
        cpu,
        why: match core(cpu).cpu.start {
            Start::SpinTable(_) => "it does not come out of its spin table",
            _ => "nothing starts it, and it has not entered the image by itself",
        }
        .into(),
        on_mpidr: None,
    });
    missing.collect()
}

/// The same for cores that were up before.
///
/// # Errors
/// Names those that did not come up, and why.
pub fn bring_back(cpus: &CpuSet) -> Result<(), String> {
    let missing = start_all(cpus);
    if missing.is_empty() {
        return Ok(());
    }
    let text: Vec<String> = missing
        .iter()
        .map(|missing| format!("CPU {}: {}", missing.cpu, missing.why))
        .collect();
    Err(text.join("; "))
}

/// A core on its way up.
struct Starting {
    cpu: usize,
    /// CNTVCT_EL0 when firmware was asked last.
    asked: Option<u64>,
    /// Has firmware agreed to start it?
    agreed: bool,
    /// What it answered last, where it did not agree.
    answer: String,
}

fn start_by_psci(cpus: CpuSet) -> Vec<Missing> {
    let mut wait = Wait::of(cpus.len(), percpu::all().len());
    let begun = clock::now();
    let mut missing = Vec::new();
    let mut waiting: Vec<Starting> = cpus
        .iter()
        .map(|cpu| Starting {
            cpu,
            asked: None,
            agreed: false,
            answer: String::new(),
        })
        .collect();
    loop {
        watchdog::refresh();
        // Before the look: behind it, this core may not run for a while.
        let now_ms = clock::ms_since(begun);
        waiting.retain_mut(|starting| {
            let core = core(starting.cpu);
            if core.is_online() {
                // At once: until it has taken its first interrupt it looks for orders by
                // itself, and what emulates it has no time for those that still come up.
                if core.polls() {
                    core.call();
                }
                return false;
            }
            match starting.ask() {
                Ok(()) => true,
                Err(why) => {
                    missing.push(Missing {
                        cpu: starting.cpu,
                        why,
                        on_mpidr: None,
                    });
                    false
                }
            }
        });
        if waiting.is_empty() {
            return missing;
        }
        if wait.is_over(waiting.len(), now_ms) {
            let ms = wait.ms();
            missing.extend(waiting.into_iter().map(|starting| starting.late(ms)));
            return missing;
        }
        arch::pause();
    }
}

impl Starting {
    /// The core did not come up within `ms`.
    fn late(self, ms: u64) -> Missing {
        let answer = if self.agreed {
            "PSCI CPU_ON: started"
        } else {
            &self.answer
        };
        let mpidr = core(self.cpu).cpu.mpidr;
        let on = matches!(psci::affinity(mpidr), Ok(AffinityState::On));
        Missing {
            cpu: self.cpu,
            why: format!("{answer}, and it did not come up within {ms} ms"),
            on_mpidr: (on && !self.agreed).then_some(mpidr),
        }
    }

    /// Asks firmware to start the core, if it is time to. To firmware, a core that is
    /// still turning off is on, and it refuses to start it: it is asked again once the
    /// core is off, as Linux does.
    ///
    /// # Errors
    /// Firmware refuses for good.
    fn ask(&mut self) -> Result<(), String> {
        let soon = |asked: u64| clock::ms_since(asked) < ASK_AGAIN_MS;
        if self.agreed || self.asked.is_some_and(soon) {
            return Ok(());
        }
        self.asked = Some(clock::now());
        let core = core(self.cpu);
        // For a core that this image never had, only CPU_ON's own answer tells.
        let was_ours = core.identity.get().is_some();
        match psci::affinity(core.cpu.mpidr) {
            Ok(AffinityState::On) if was_ours => {
                self.answer = "PSCI AFFINITY_INFO: still on".into();
                return Ok(());
            }
            // A rung of the release ladder has started it.
            Ok(AffinityState::OnPending) => {
                self.answer = "PSCI AFFINITY_INFO: on its way".into();
                return Ok(());
            }
            _ => {}
        }
        match start(core) {
            Ok(()) => {
                self.agreed = true;
                Ok(())
            }
            Err(error @ (Error::AlreadyOn | Error::OnPending)) => {
                self.answer = format!("PSCI CPU_ON: {error}");
                Ok(())
            }
            Err(error) => Err(format!("PSCI CPU_ON: {error}")),
        }
    }
}

/// The cores that firmware says are on though this image does not run on them.
pub fn on(cpus: &CpuSet) -> CpuSet {
    let on = |cpu: &usize| {
        let core = core(*cpu);
        core.cpu.start == Start::Psci
            && !core.is_online()
            && matches!(psci::affinity(core.cpu.mpidr), Ok(AffinityState::On))
    };
    cpus.iter().filter(on).collect()
}

/// Of the cores that are not to be started yet, those that firmware says do not exist.
pub fn unknown(cpus: &CpuSet) -> Vec<Missing> {
    cpus.iter()
        .filter(|cpu| core(*cpu).cpu.start == Start::Psci && !core(*cpu).is_online())
        .filter_map(|cpu| match psci::affinity(core(cpu).cpu.mpidr) {
            Err(error @ (Error::InvalidParameters | Error::NotPresent | Error::Disabled)) => {
                Some(Missing {
                    cpu,
                    why: format!("PSCI AFFINITY_INFO: {error}"),
                    on_mpidr: None,
                })
            }
            _ => None,
        })
        .collect()
}

/// Waits until cores that are up have taken an interrupt; returns those that take none.
/// Those look for their orders by themselves, woken by events.
pub fn without_interrupts(cpus: &CpuSet) -> CpuSet {
    let mut wait = Wait::for_ms(1000 + 20 * cpus.len() as u64, cpus.len());
    let begun = clock::now();
    let mut called = None;
    loop {
        watchdog::refresh();
        // Before the look: behind it, this core may not run for a while.
        let now_ms = clock::ms_since(begun);
        // The core that asks is one of them.
        arch::irq_open();
        arch::isb();
        arch::irq_mask();
        let silent: CpuSet = cpus.iter().filter(|cpu| core(*cpu).polls()).collect();
        if silent.is_empty() || wait.is_over(silent.len(), now_ms) {
            return silent;
        }
        if called.is_none_or(|at| clock::ms_since(at) >= 100) {
            super::percpu::call(silent.iter().map(core));
            called = Some(clock::now());
        }
        arch::pause();
    }
}
