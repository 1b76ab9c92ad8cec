//! What the kernel tells of a thread: how long it has run and how long it was ready but
//! did not run, the first two fields of `/proc/PID/task/TID/schedstat`
//! (Documentation/scheduler/sched-stats.rst, `CONFIG_SCHED_INFO`). The second grows only
//! when a wait is over; a wait that still lasts is known by the thread's state, `R` in
//! `/proc/PID/task/TID/stat`, while the first does not grow. One that was stopped (Ctrl-Z,
//! SIGSTOP, a debugger), `T` or `t`, does not run either, and nobody counts for how long.

use std::{fs, path::Path, time::Duration};

/// How long a thread has run and waited.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Times {
    pub ran: Duration,
    pub queued: Duration,
    pub turns: u64,
}

/// What one look at a thread shows: its times since it began, and whether it runs or
/// the host keeps it from that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    times: Times,
    ready: bool,
}

impl Look {
    /// Of the thread with this directory.
    pub fn at(thread: &Path) -> Option<Self> {
        let read = |file| fs::read_to_string(thread.join(file)).ok();
        Some(Self {
            times: Times::read(&read("schedstat")?)?,
            ready: is_ready(&read("stat")?),
        })
    }

    /// How long it ran and waited between this look and the next, `of` later.
    pub fn until(self, next: Self, of: Duration) -> Times {
        let ran = next.times.ran.saturating_sub(self.times.ran).min(of);
        let queued = match self.ready && next.ready {
            true => of - ran,
            false => next
                .times
                .queued
                .saturating_sub(self.times.queued)
                .min(of - ran),
        };
        let turns = next.times.turns.saturating_sub(self.times.turns);
        Times { ran, queued, turns }
    }
}

/// Does the thread with this directory wait for another one, by a lock or a condition
/// variable, or for its turn behind that? `wchan` names the kernel's function in which it
/// sleeps; where that is not told, nobody is known to wait.
pub fn waits_for_another(thread: &Path) -> bool {
    let read = |file| fs::read_to_string(thread.join(file)).unwrap_or_default();
    read("wchan").starts_with("futex") || is_ready(&read("stat"))
}

/// Would it go on if the host let it: is the state `R`, or that of one that was stopped? It
/// stands behind the name, which may hold anything.
fn is_ready(stat: &str) -> bool {
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['R', 'T', 't']))
}

impl Times {
    /// Reads `472286757 526060529 117`: nanoseconds, nanoseconds, turns.
    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some(Self {
            ran: Duration::from_nanos(next()?),
            queued: Duration::from_nanos(next()?),
            turns: next()?,
        })
    }

    /// Both together.
    pub fn and(self, more: Self) -> Self {
        Self {
            ran: self.ran + more.ran,
            queued: self.queued + more.queued,
            turns: self.turns + more.turns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_figures() {
        let read = Times::read("472286757 526060529 117\n").unwrap();
        assert_eq!(read.queued, Duration::from_nanos(526_060_529));
        assert_eq!(Times::read("x"), None);
    }

    fn ms(ran: u64, queued: u64) -> Times {
        Times {
            ran: Duration::from_millis(ran),
            queued: Duration::from_millis(queued),
            turns: 0,
        }
    }

    #[test]
    fn a_wait_that_lasts_is_known_by_the_state() {
        let look = |ran, queued, ready| Look {
            times: ms(ran, queued),
            ready,
        };
        let of = Duration::from_millis(40);
        for (then, next, between) in [
            (look(5, 7, true), look(5, 7, true), ms(0, 40)),
            (look(5, 7, true), look(15, 7, true), ms(10, 30)),
            (look(5, 7, false), look(15, 9, true), ms(10, 2)),
            (look(5, 7, true), look(6, 900, false), ms(1, 39)),
            (look(5, 7, false), look(5, 7, false), ms(0, 0)),
        ] {
            assert_eq!(then.until(next, of), between);
        }
        assert!(is_ready("12 (CPU 0/TCG) R 1 2") && !is_ready("12 (a) R b) S 1"));
        assert!(is_ready("12 (CPU 0/TCG) T 1 2") && is_ready("12 (CPU 0/TCG) t 1 2"));
    }
    #[test]
    fn a_thread_that_waits_for_another_is_told_from_one_that_sleeps() {
        use std::{
            sync::{
                Arc,
                atomic::{AtomicBool, Ordering::Relaxed},
                mpsc,
            },
            thread,
        };
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let (tell, told) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let tell_too = tell.clone();
        let this = || Path::new("/proc").join(fs::read_link("/proc/thread-self").unwrap());
        let waits = thread::spawn(move || {
            tell.send((true, this())).unwrap();
            let _ = ends.recv();
        });
        let sleeps = thread::spawn(move || {
            tell_too.send((false, this())).unwrap();
            while !over.load(Relaxed) {
                thread::sleep(Duration::from_secs(1));
            }
        });
        let threads: Vec<_> = told.iter().take(2).collect();
        // Until both are where they stay; a busy host takes its time.
        let place = |thread: &Path| fs::read_to_string(thread.join("wchan")).unwrap();
        let right = || {
            threads
                .iter()
                .all(|(waits, of)| waits_for_another(of) == *waits)
        };
        let told = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(50));
            right()
        });
        // Some kernels name no place.
        let places: Vec<_> = threads.iter().map(|(_, of)| place(of)).collect();
        assert!(told || places == ["0", "0"], "{places:?}");
        is_over.store(true, Relaxed);
        drop(end);
        waits.join().unwrap();
        sleeps.join().unwrap();
    }
}
