//! Watches operations in flight: their marks, by plain loads, and whether Linux runs their
//! threads at all.

use std::{
    fs,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use stalecore_model::{cpuset::CpuSet, mark::Seen, record::CoreState};

use crate::{
    entered::Entered,
    initiator::Results,
    threads::{Done, Threads},
};

/// How often the marks are looked at.
const STEP: Duration = Duration::from_millis(5);
/// A thread that is not run is waited for so many times as long.
const STARVED: u32 = 10;

/// A thread that has run for so long while its mark stood still was not waiting for its
/// turn.
const ENOUGH: Duration = Duration::from_millis(100);

/// How a watch ended.
pub enum Watched {
    /// Everything returned.
    Returned,
    /// An operation had not returned when its deadline passed.
    Held(Held),
    /// Linux did not run the thread of this CPU.
    Starved(usize),
}

/// An operation that has not returned.
pub struct Held {
    /// The CPU of the initiator.
    pub cpu: usize,
    /// Its mark.
    pub seen: Seen,
    /// When it last moved.
    pub since: Instant,
}

impl Held {
    /// How long the mark has not moved, in milliseconds.
    pub fn waited_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An initiator that is watched.
struct Open {
    cpu: usize,
    sequence: u64,
    since: Instant,
    /// How long its thread had run by then, in nanoseconds.
    ran: Option<u64>,
}

/// Waits until each of these has brought what it was asked for, or the mark of one has not
/// moved for the deadline.
pub fn watch(
    threads: &Threads,
    cpus: &CpuSet,
    deadline_ms: u32,
    found: &mut Vec<(usize, Results)>,
) -> Watched {
    let deadline = Duration::from_millis(deadline_ms.into());
    let look = |cpu: usize| {
        let seen = threads.status(cpu).map(|own| own.mark.read());
        Open {
            cpu,
            sequence: seen.map_or(0, |seen| seen.sequence),
            since: Instant::now(),
            ran: ran(threads, cpu),
        }
    };
    let mut open: Vec<Open> = cpus.iter().map(look).collect();
    while !open.is_empty() {
        if let Ok((cpu, Done::Measured(results))) = threads.done.recv_timeout(STEP) {
            open.retain(|one| one.cpu != cpu);
            found.push((cpu, *results));
            continue;
        }
        for one in &mut open {
            let Some(own) = threads.status(one.cpu) else {
                continue;
            };
            let seen = own.mark.read();
            let stood = one.since.elapsed();
            if seen.sequence != one.sequence {
                *one = look(one.cpu);
                continue;
            }
            if stood < deadline {
                continue;
            }
            let is_waiting = is_ready(threads, one.cpu) && !has_run(threads, one, stood);
            if is_waiting && stood < deadline * STARVED {
                continue;
            }
            // Once more, after the time was read: it may have moved meanwhile.
            if own.mark.read().sequence != seen.sequence {
                continue;
            }
            if is_waiting {
                return Watched::Starved(one.cpu);
            }
            return Watched::Held(Held {
                cpu: one.cpu,
                seen,
                since: one.since,
            });
        }
    }
    Watched::Returned
}

/// How long a thread has run, in nanoseconds: the first number of its schedstat.
fn ran(threads: &Threads, cpu: usize) -> Option<u64> {
    let text = about(threads, cpu, "schedstat")?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn about(threads: &Threads, cpu: usize, what: &str) -> Option<String> {
    let number = threads.status(cpu)?.thread.load(Ordering::Relaxed);
    fs::read_to_string(format!("/proc/self/task/{number}/{what}")).ok()
}

/// Is the thread running, or waiting for its turn to?
fn is_ready(threads: &Threads, cpu: usize) -> bool {
    let text = about(threads, cpu, "stat");
    let state = text.as_deref().and_then(|text| text.rsplit_once(") "));
    state.is_some_and(|(_, rest)| rest.starts_with('R'))
}

/// Has a thread run for a part of the time that its mark stood still, or is its CPU one
/// that does nothing at all any more, so that nobody counts?
fn has_run(threads: &Threads, one: &Open, stood: Duration) -> bool {
    let (Some(before), Some(now)) = (one.ran, ran(threads, one.cpu)) else {
        return true;
    };
    let ran = Duration::from_nanos(now.saturating_sub(before));
    ran >= ENOUGH.min(stood / 4) || is_still(one.cpu)
}

/// Does the clock of a CPU stand, by which Linux counts what it does?
fn is_still(cpu: usize) -> bool {
    let counts = || {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let name = format!("cpu{cpu} ");
        let line = text.lines().find(|line| line.starts_with(&name))?;
        Some(line.to_string())
    };
    let before = counts();
    std::thread::sleep(Duration::from_millis(200));
    before.is_some() && before == counts()
}

/// What all CPUs but the one that is held up were doing, equal ones together.
pub fn states(
    threads: &Threads,
    held: &Held,
    entered: &Entered,
    initiators: &CpuSet,
    stale: &CpuSet,
) -> Vec<CoreState> {
    let one = |cpu, role: &str, doing: String, proof: String, at| CoreState {
        cpus: CpuSet::one(cpu),
        role: role.into(),
        doing,
        proof,
        at,
    };
    let mut states = Vec::new();
    let stood = format!("its mark last moved {} ms ago", held.waited_ms());
    one(held.cpu, "initiator", "held up".into(), stood, None).join(&mut states);
    for cpu in initiators.iter().filter(|cpu| *cpu != held.cpu) {
        let marks = threads
            .status(cpu)
            .map_or(0, |own| own.mark.read().sequence);
        one(
            cpu,
            "initiator",
            "running".into(),
            format!("{marks} marks"),
            None,
        )
        .join(&mut states);
    }
    for cpu in stale.iter() {
        let state = if entered.cpus.contains(cpu) {
            let at = entered.shown_by(threads, cpu);
            let proof = match (&at, entered.state.powered_off()) {
                (Some(_), _) => "its thread took a signal there before the case",
                (None, true) => "Linux had taken it offline",
                (None, false) => "its thread slept",
            };
            one(cpu, "stale", entered.state.to_string(), proof.into(), at)
        } else {
            one(
                cpu,
                "stale",
                "waiting".into(),
                "none asked for".into(),
                None,
            )
        };
        state.join(&mut states);
    }
    states
}
