//! Puts threads into a stale state, has them show that they are there, lets them go. Every
//! wait has a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{LineState, StaleState},
};
use stalecore_routines::instructions;

use crate::{
    calls,
    offline::Tell,
    os,
    status::Status,
    table::{self, Release},
    threads::{Done, Task, Threads},
};

/// How long a thread may take to get there, or back: it may have to wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Threads in a stale state.
pub struct Entered {
    /// The CPUs that they are on.
    pub cpus: CpuSet,
    /// The state.
    pub state: StaleState,
    /// The CPUs that have been taken offline.
    off: CpuSet,
    /// Releases the lock that they wait for, until that is done.
    unlock: Option<fn()>,
}

/// Waits for a condition of each of these threads.
fn wait(
    threads: &Threads,
    cpus: &CpuSet,
    what: &str,
    mut holds: impl FnMut(&'static Status) -> bool,
) -> Result<(), String> {
    let begun = Instant::now();
    let mut open: Vec<_> = cpus.iter().filter_map(|cpu| threads.status(cpu)).collect();
    loop {
        open.retain(|status| !holds(status));
        let Some(first) = open.first() else {
            return Ok(());
        };
        if begun.elapsed() > PATIENCE {
            return Err(format!(
                "CPU {}: its thread took too long {what}: {} s",
                first.cpu,
                PATIENCE.as_secs()
            ));
        }
        thread::sleep(Duration::from_micros(200));
    }
}

impl Entered {
    /// Puts the threads of these CPUs into a state, and has them show it. `of` is how many
    /// stale ones there are in all, as they share the lines, of `size` bytes, to touch.
    ///
    /// # Errors
    /// Names the one that did not get there, or shows no sign; those that did are let go.
    pub fn enter(
        threads: &Threads,
        tell: &mut Tell,
        cpus: &CpuSet,
        state: StaleState,
        (line, size): (LineState, usize),
        of: usize,
    ) -> Result<Self, String> {
        let mut entered = Self {
            cpus: *cpus,
            state,
            off: CpuSet::EMPTY,
            unlock: None,
        };
        let entering = entered.go(threads, tell, (line, size), of);
        match entering {
            Ok(()) => Ok(entered),
            Err(why) => {
                entered.release(threads, tell)?;
                Err(why)
            }
        }
    }

    fn go(
        &mut self,
        threads: &Threads,
        tell: &mut Tell,
        (line, size): (LineState, usize),
        of: usize,
    ) -> Result<(), String> {
        let row = table::of(self.state);
        if let Release::Unlock(take, release) = row.release {
            take();
            self.unlock = Some(release);
        }
        for (nth, cpu) in self.cpus.iter().enumerate() {
            if let Some(status) = threads.status(cpu) {
                status.let_go(false);
            }
            let state = self.state;
            let task = Task::Stale {
                state,
                line,
                size,
                nth,
                of,
            };
            threads.ask(cpu, task);
        }
        if row.sleeps() {
            // It has touched the lines, and waits for what comes next.
            self.collect(threads)?;
            if matches!(row.release, Release::Online) {
                for cpu in self.cpus.iter() {
                    self.off.insert(cpu);
                    tell.off(cpu)?;
                }
            }
            return Ok(());
        }
        // Behind the first in a queue each is in its loop; the first holds the lock.
        let by_call = !matches!(self.state, StaleState::TicketLock);
        if by_call {
            let what = format!("to enter {}", self.state);
            wait(threads, &self.cpus, &what, |own| {
                own.stuck.load(std::sync::atomic::Ordering::Acquire)
            })?;
        }
        self.show(threads)
    }

    /// Has each thread take a call where it is, and go back.
    ///
    /// # Errors
    /// Names the one that shows no sign, or is no longer there.
    pub fn show(&self, threads: &Threads) -> Result<(), String> {
        use std::sync::atomic::Ordering;
        if table::of(self.state).sleeps() {
            return Ok(());
        }
        let calls = |own: &Status| own.calls.load(Ordering::Acquire);
        let all = || self.cpus.iter().filter_map(|cpu| threads.status(cpu));
        let before: Vec<(usize, u64)> = all().map(|own| (own.cpu, calls(own))).collect();
        all().for_each(calls::call);
        let what = format!("to show that it is in {}", self.state);
        wait(threads, &self.cpus, &what, |own| {
            before
                .iter()
                .any(|(cpu, had)| *cpu == own.cpu && calls(own) > *had)
        })?;
        let loops = self.state != StaleState::TicketLock;
        let away = |own: &&Status| loops && !own.stuck.load(Ordering::Acquire);
        all().find(away).map_or(Ok(()), |own| {
            Err(format!(
                "CPU {}: its thread has left {}",
                own.cpu, self.state
            ))
        })
    }

    /// Where the thread of a CPU was when it showed itself.
    pub fn shown_by(&self, threads: &Threads, cpu: usize) -> Option<String> {
        let asleep = table::of(self.state).sleeps();
        (!asleep).then(|| threads.status(cpu).map(Status::place))?
    }

    /// Releases the lock that they wait for, if that has not been done.
    pub fn unlock(&mut self) -> bool {
        let unlock = self.unlock.take();
        unlock.is_some_and(|unlock| {
            unlock();
            true
        })
    }

    /// Puts back the CPUs that are offline; were there any?
    ///
    /// # Errors
    /// One does not come back.
    pub fn online(&mut self, threads: &Threads, tell: &mut Tell) -> Result<bool, String> {
        let off = self.off;
        for cpu in off.iter() {
            tell.on(cpu)?;
            self.off.remove(cpu);
            // Linux has moved the thread elsewhere, and forgotten what it was bound to.
            if let Some(own) = threads.status(cpu) {
                let number = own.thread.load(std::sync::atomic::Ordering::Acquire);
                os::pin(number, cpu).map_err(|error| format!("CPU {cpu}: {error}"))?;
            }
        }
        Ok(!off.is_empty())
    }

    /// Lets all of them go, and waits until they have.
    ///
    /// # Errors
    /// One does not come back.
    pub fn release(&mut self, threads: &Threads, tell: &mut Tell) -> Result<(), String> {
        self.unlock();
        self.online(threads, tell)?;
        if table::of(self.state).sleeps() {
            return Ok(());
        }
        let all = || self.cpus.iter().filter_map(|cpu| threads.status(cpu));
        for own in all() {
            own.let_go(true);
            calls::call(own);
        }
        instructions::sev();
        self.collect(threads)
    }

    /// Waits until each thread has said that it is done.
    fn collect(&self, threads: &Threads) -> Result<(), String> {
        let mut open = self.cpus;
        let begun = Instant::now();
        while !open.is_empty() {
            match threads.done.recv_timeout(Duration::from_millis(10)) {
                Ok((cpu, Done::Left)) => open.remove(cpu),
                Ok(_) => {}
                Err(_) if begun.elapsed() > PATIENCE => {
                    return Err(format!(
                        "CPU {open}: a thread took too long to come back from {}",
                        self.state
                    ));
                }
                // A call that hit it just before its loop has changed nothing.
                Err(_) => open
                    .iter()
                    .filter_map(|cpu| threads.status(cpu))
                    .filter(|own| own.is_to_leave())
                    .for_each(calls::call),
            }
        }
        Ok(())
    }
}
