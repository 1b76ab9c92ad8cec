//! Puts cores into a stale state, proves that they are in it, and lets them
//! go. Every wait has a deadline.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use spin::mutex::TicketMutexGuard;
use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState},
};

use crate::{
    arch,
    clock::{self, Deadline},
    core_local::{Core, RELEASE},
    cores, fabric, gic, psci,
    stuck::{self, Proof, Release},
    watchdog,
    worker::{Command, StaleOrder, core},
};

/// How long cores may take to enter, to answer and to come back: emulated,
/// all of them may share one core of the host.
fn patience(cpus: &CpuSet) -> Deadline {
    Deadline::after_ms(5000 + 100 * cpus.len() as u64)
}

/// How often a core that has not reacted is called again.
const CALL_AGAIN_MS: u64 = 20;

/// Asks cores to do something and calls them.
pub fn ask(cpus: &CpuSet, command: Command, argument: impl Fn(&Core) -> usize) {
    for cpu in cpus.iter() {
        let core = core(cpu);
        core.argument.store(argument(core), Ordering::Relaxed);
        core.mailbox.0.ask(command as u32);
    }
    for cpu in cpus.iter() {
        gic::call(core(cpu));
    }
}

/// Waits until all cores have done what they were asked.
///
/// # Errors
/// Names those that have not.
pub fn wait_done(cpus: &CpuSet, what: &str) -> Result<(), String> {
    wait_for(cpus, what, |core| core.mailbox.0.is_done(), |_| ())
}

/// Waits until `reached` holds on every core; nudges those where it does not.
fn wait_for(
    cpus: &CpuSet,
    what: &str,
    reached: impl Fn(&Core) -> bool,
    nudge: impl Fn(&Core),
) -> Result<(), String> {
    let deadline = patience(cpus);
    let mut nudged = arch::cntvct();
    let mut waiting = *cpus;
    loop {
        watchdog::refresh();
        waiting = waiting.iter().filter(|cpu| !reached(core(*cpu))).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(format!(
                "waited {} ms for CPU {waiting} {what}",
                deadline.ms()
            ));
        }
        if clock::ms_since(nudged) >= CALL_AGAIN_MS {
            for cpu in waiting.iter() {
                nudge(core(cpu));
            }
            nudged = arch::cntvct();
        }
        arch::pause();
    }
}

/// Cores in a stale state, and what holds them there.
pub struct Entered {
    /// Which.
    pub cpus: CpuSet,
    /// The state.
    pub state: StaleState,
    /// What each has shown, by [`Core::index`]'s order in `cpus`.
    shown: Vec<u64>,
    ticket: Option<TicketMutexGuard<'static, ()>>,
}

/// Puts cores into a state and proves that they are in it. `of` is how many
/// stale cores there are in all, as they share the lines to touch.
///
/// # Errors
/// Names the cores that did not get there, or show no sign.
pub fn enter(
    cpus: &CpuSet,
    state: StaleState,
    line: LineState,
    of: usize,
) -> Result<Entered, String> {
    let mut entered = Entered {
        cpus: *cpus,
        state,
        shown: Vec::new(),
        ticket: None,
    };
    if state == StaleState::NeverStarted {
        cpus.iter().for_each(|cpu| fabric::enter(cpu, state));
        entered.prove(0)?;
        return Ok(entered);
    }
    match state {
        StaleState::TicketLock => entered.ticket = Some(stuck::hold_ticket_lock()),
        StaleState::Qspinlock => stuck::hold_qspinlock(),
        StaleState::CpuOffInflight => stuck::shut_gate(),
        _ => {}
    }
    let nth = |own: &Core| cpus.iter().position(|cpu| cpu == own.index).unwrap_or(0);
    ask(cpus, Command::Stale, |core| {
        StaleOrder {
            state,
            line,
            nth: nth(core),
            of,
        }
        .pack()
    });
    let inside = state as u8 + 1;
    wait_for(
        cpus,
        &format!("to enter {state}"),
        |core| core.life.0.state.load(Ordering::Acquire) == inside,
        gic::call,
    )?;
    entered.prove(2)?;
    Ok(entered)
}

impl Entered {
    /// Makes each core show that it is where it was put. `word` is what
    /// polling cores are asked to answer; each proof has its own.
    fn prove(&mut self, word: u32) -> Result<(), String> {
        let what = format!("to show that they are in {}", self.state);
        let shown = match stuck::row(self.state).proof {
            Proof::Interrupt => {
                let before: Vec<u64> = self.cpus.iter().map(|cpu| interrupts(core(cpu))).collect();
                for cpu in self.cpus.iter() {
                    gic::call(core(cpu));
                }
                let place = |own: &Core| {
                    self.cpus
                        .iter()
                        .position(|cpu| cpu == own.index)
                        .unwrap_or(0)
                };
                // A core that its own operation holds up takes no interrupt,
                // but then EL2 knows where it is.
                wait_for(
                    &self.cpus,
                    &what,
                    |core| interrupts(core) > before[place(core)] || fabric::holds_up(core),
                    gic::call,
                )?;
                self.cpus
                    .iter()
                    .map(|cpu| core(cpu).life.0.at.load(Ordering::Relaxed))
                    .collect()
            }
            Proof::Answer => {
                for cpu in self.cpus.iter() {
                    stuck::tell(core(cpu), word);
                }
                wait_for(
                    &self.cpus,
                    &what,
                    |core| stuck::answer(core) == u64::from(word),
                    |core| stuck::tell(core, word),
                )?;
                Vec::new()
            }
            Proof::AffinityInfo => {
                if psci::is_available() {
                    wait_for(
                        &self.cpus,
                        &what,
                        |core| psci::is_off(core.cpu.mpidr),
                        |_| (),
                    )?;
                } else if self
                    .cpus
                    .iter()
                    .any(|cpu| core(cpu).online.load(Ordering::Acquire))
                {
                    return Err(format!("a core that was to be {} is up", self.state));
                }
                Vec::new()
            }
        };
        self.shown = shown;
        Ok(())
    }

    /// Are the cores still where they were put, after the operations?
    ///
    /// # Errors
    /// Names those that are not, or say nothing.
    pub fn verify(&self) -> Result<(), String> {
        if self.state == StaleState::CpuOffInflight {
            // By now they are through.
            return wait_for(
                &self.cpus,
                "to be off",
                |core| psci::is_off(core.cpu.mpidr),
                |_| (),
            );
        }
        let mut again = Self {
            cpus: self.cpus,
            state: self.state,
            shown: Vec::new(),
            ticket: None,
        };
        again.prove(4)?;
        if stuck::row(self.state).proof == Proof::AffinityInfo {
            return Ok(());
        }
        let inside = self.state as u8 + 1;
        let left: CpuSet = self
            .cpus
            .iter()
            .filter(|cpu| core(*cpu).life.0.state.load(Ordering::Acquire) != inside)
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("CPU {left} left {} by itself", self.state))
        }
    }

    /// What a core has shown last: where an interrupt hit it, if one did.
    pub fn shown_by(&self, cpu: usize) -> Option<u64> {
        let place = self.cpus.iter().position(|c| c == cpu)?;
        self.shown.get(place).copied()
    }

    /// Releases the lock that the cores wait for.
    pub fn unlock(&mut self) {
        drop(self.ticket.take());
        if self.state == StaleState::Qspinlock {
            stuck::release_qspinlock();
        }
    }

    /// Lets the cores go, and waits until they are back.
    ///
    /// # Errors
    /// Names those that did not come back.
    pub fn release(mut self) -> Result<(), String> {
        let (cpus, state) = (self.cpus, self.state);
        match stuck::row(state).release {
            Release::Word => tell_all(&cpus),
            Release::Unlock => self.unlock(),
            Release::CpuOn => return cores::start_all(&cpus),
        }
        let what = format!("to come back from {state}");
        wait_for(
            &cpus,
            &what,
            |core| core.mailbox.0.is_done(),
            |core| {
                if stuck::row(state).release == Release::Word {
                    stuck::tell(core, RELEASE);
                }
            },
        )
    }
}

fn tell_all(cpus: &CpuSet) {
    for cpu in cpus.iter() {
        stuck::tell(core(cpu), RELEASE);
    }
}

fn interrupts(core: &Core) -> u64 {
    core.life.0.interrupts.load(Ordering::Acquire)
}

/// Gets cores back of which some did not enter a state: by the word, by
/// interrupt, and by PSCI for those that are off.
///
/// # Errors
/// Names those that did not come back.
pub fn recover(cpus: &CpuSet) -> Result<(), String> {
    tell_all(cpus);
    stuck::release_qspinlock();
    let off: CpuSet = cpus
        .iter()
        .filter(|cpu| psci::is_off(core(*cpu).cpu.mpidr))
        .collect();
    cores::start_all(&off)?;
    wait_for(
        cpus,
        "to come back",
        |core| core.mailbox.0.is_done(),
        |core| stuck::tell(core, RELEASE),
    )
}
