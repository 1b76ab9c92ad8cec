//! Puts cores into a stale state, proves that they are in it, and releases them. Every
//! wait has a deadline.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState},
};

use super::{
    loops,
    table::{self, Proof, Release},
};
use crate::{
    cores::{
        ask::{ask, wait_for},
        command::{Command, StaleOrder},
        percpu::{Core, RELEASE, core},
        start,
    },
    fabric,
    hal::{clock, psci},
};

/// How long after AFFINITY_INFO says so a core is really off: milliseconds at most,
/// according to power controllers' manuals.
const OFF_MS: u64 = 5;
/// After how long a device that has not answered a load does not answer: milliseconds. Bus
/// timeouts are shorter.
const UNANSWERED_MS: u64 = 200;

/// Cores in a stale state, and what holds them there.
pub struct StaleSet {
    /// Which.
    pub cpus: CpuSet,
    /// The state.
    pub state: StaleState,
    /// What each has shown, in the order in `cpus`.
    shown: Vec<u64>,
    /// Releases the lock that they wait for, until that is done.
    unlock: Option<fn()>,
}

/// A set that is given up, because cores did not get there, no longer holds a lock.
impl Drop for StaleSet {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl StaleSet {
    /// Puts cores into a state and proves that they are in it. `of` is the number of all
    /// stale cores, which share the lines to touch.
    ///
    /// # Errors
    /// Names the cores that did not get there, or show no sign.
    pub fn enter(
        cpus: &CpuSet,
        state: StaleState,
        line: LineState,
        of: usize,
    ) -> Result<Self, String> {
        let mut entered = Self {
            cpus: *cpus,
            state,
            shown: Vec::new(),
            unlock: None,
        };
        if state == StaleState::NeverStarted {
            cpus.iter().for_each(|cpu| fabric::enter(cpu, state));
            entered.prove(0)?;
            return Ok(entered);
        }
        let row = table::row(state);
        if let Release::Unlock(take, release) = row.release {
            take();
            entered.unlock = Some(release);
        }
        if let Some(hold) = row.hold {
            hold();
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
        wait_for(
            cpus,
            &format!("to enter {state}"),
            |core| core.state() == Some(state),
            Core::call,
        )?;
        entered.prove(2)?;
        Ok(entered)
    }

    /// Makes each core show that it is where it was put. `word` is what
    /// polling cores are asked to answer; each proof has its own.
    fn prove(&mut self, word: u32) -> Result<(), String> {
        let what = format!("to show that they are in {}", self.state);
        let shown = match table::row(self.state).proof {
            Proof::Interrupt => {
                let before: Vec<u64> = self.cpus.iter().map(|cpu| core(cpu).interrupts()).collect();
                for cpu in self.cpus.iter() {
                    core(cpu).call();
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
                    |core| core.interrupts() > before[place(core)] || fabric::holds_up(core),
                    Core::call,
                )?;
                self.cpus
                    .iter()
                    .map(|cpu| core(cpu).status.interrupted_at.load(Ordering::Relaxed))
                    .collect()
            }
            Proof::Answer => {
                for cpu in self.cpus.iter() {
                    table::post_request(core(cpu), word);
                }
                wait_for(
                    &self.cpus,
                    &what,
                    |core| table::read_ack(core) == u64::from(word),
                    |core| table::post_request(core, word),
                )?;
                Vec::new()
            }
            Proof::Gone => {
                wait_for(&self.cpus, &what, |core| !core.is_online(), |_| ())?;
                clock::wait_ms(OFF_MS, || false);
                Vec::new()
            }
            // Whether it has is seen before the operations: `answered`.
            Proof::Unanswered => {
                clock::wait_ms(UNANSWERED_MS, || loops::answered().is_some());
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
                    // Firmware says so before it hands the core to the power controller,
                    // which takes it out of coherency: TF-A marks the core off, then
                    // cleans its caches and waits.
                    clock::wait_ms(OFF_MS, || false);
                } else if self.cpus.iter().any(|cpu| core(cpu).is_online()) {
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
    /// Names those that are not, or do not answer.
    pub fn verify(&self) -> Result<(), String> {
        if table::row(self.state).hold.is_some() {
            // By now they have passed through it.
            return match self.state {
                StaleState::CpuOnInflight => {
                    wait_for(&self.cpus, "to come up", Core::is_online, |_| ())
                }
                _ => wait_for(
                    &self.cpus,
                    "to be off",
                    |core| psci::is_off(core.cpu.mpidr),
                    |_| (),
                ),
            };
        }
        let mut again = Self {
            cpus: self.cpus,
            state: self.state,
            shown: Vec::new(),
            unlock: None,
        };
        again.prove(4)?;
        let left = self.left();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("CPU {left} left {} by itself", self.state))
        }
    }

    /// Those that are no longer where they were put, by what they say themselves.
    fn left(&self) -> CpuSet {
        match table::row(self.state).proof {
            Proof::AffinityInfo => return CpuSet::EMPTY,
            Proof::Unanswered if loops::answered().is_some() => return self.cpus,
            _ => {}
        }
        let gone = table::row(self.state).proof == Proof::Gone;
        let here = |cpu: &usize| {
            core(*cpu).state() == Some(self.state) && !(gone && core(*cpu).is_online())
        };
        self.cpus.iter().filter(|cpu| !here(cpu)).collect()
    }

    /// Has none left by itself? Only looks, without asking: it was proved when they
    /// entered. In a state that passes: have they all passed through it?
    pub fn have_stayed(&self) -> bool {
        match table::row(self.state).hold {
            Some(_) => self.verify().is_ok(),
            None => self.left().is_empty(),
        }
    }

    /// What a core showed last: where an interrupt hit it, if one did.
    pub fn shown_by(&self, cpu: usize) -> Option<u64> {
        let place = self.cpus.iter().position(|c| c == cpu)?;
        self.shown.get(place).copied()
    }

    /// Releases the lock that the cores wait for.
    pub fn unlock(&mut self) {
        if let Some(unlock) = self.unlock.take() {
            unlock();
        }
    }

    /// Releases the cores, and waits until they are back.
    ///
    /// # Errors
    /// Names those that did not come back.
    pub fn release(mut self) -> Result<(), String> {
        let (cpus, state) = (self.cpus, self.state);
        let release = table::row(state).release;
        match release {
            Release::Word => post_release(&cpus),
            Release::Unlock(..) => self.unlock(),
            Release::CpuOn => return start::bring_back(&cpus),
        }
        let what = format!("to come back from {state}");
        wait_for(
            &cpus,
            &what,
            |core| core.mailbox.is_done(),
            |core| {
                if matches!(release, Release::Word) {
                    table::post_request(core, RELEASE);
                }
            },
        )
    }
}

fn post_release(cpus: &CpuSet) {
    for cpu in cpus.iter() {
        table::post_request(core(cpu), RELEASE);
    }
}

/// Gets cores back after some of them did not enter a state: by the word, by interrupt,
/// and by PSCI for those that are off.
///
/// # Errors
/// Names those that did not come back.
pub fn recover(cpus: &CpuSet) -> Result<(), String> {
    post_release(cpus);
    let off: CpuSet = cpus
        .iter()
        .filter(|cpu| psci::is_off(core(*cpu).cpu.mpidr))
        .collect();
    start::bring_back(&off)?;
    wait_for(
        cpus,
        "to come back",
        |core| core.mailbox.is_done(),
        |core| table::post_request(core, RELEASE),
    )
}
