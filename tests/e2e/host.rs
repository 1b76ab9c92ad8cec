//! How much of the host a test's machine takes. Most of its time a machine waits, so
//! several run side by side; one that is large, or is to be as quick as it can, runs by
//! itself.

use std::{
    process::{Child, Command, Stdio},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Machines of up to this many CPUs take one share, of up to [`MIDDLING`] two, all
/// others the whole host.
const SMALL: usize = 5;
const MIDDLING: usize = 8;
/// Shares of the host that there are.
const ALL: usize = 3;

/// Who comes first is let in first: a large machine would wait for ever.
static NEXT: Mutex<()> = Mutex::new(());
static FREE: Mutex<usize> = Mutex::new(ALL);
static FREED: Condvar = Condvar::new();

/// Shares of the host, until dropped.
pub struct Shares(usize);

/// Until this is dropped no other test boots a machine.
pub fn alone() -> Shares {
    take(ALL)
}

/// CPUs where nobody says how many.
const DEFAULT: usize = 8;

/// What `stalecore run` with these arguments takes. A run without any is to be as quick
/// and as quiet as it is for a user.
pub fn shares(args: &str) -> Shares {
    if args.is_empty() {
        return alone();
    }
    let cpus = args
        .split_whitespace()
        .skip_while(|word| *word != "--cpus")
        .nth(1)
        .and_then(|count| count.parse().ok());
    of(cpus.unwrap_or(DEFAULT))
}

/// What a machine of so many CPUs takes.
pub fn of(cpus: usize) -> Shares {
    take(if cpus <= SMALL {
        1
    } else if cpus <= MIDDLING {
        2
    } else {
        ALL
    })
}

fn take(count: usize) -> Shares {
    let _next = lock(&NEXT);
    let mut free = lock(&FREE);
    while *free < count {
        free = FREED.wait(free).unwrap_or_else(PoisonError::into_inner);
    }
    *free -= count;
    Shares(count)
}

impl Drop for Shares {
    fn drop(&mut self) {
        *lock(&FREE) += self.0;
        FREED.notify_all();
    }
}

/// A test that failed has left nothing behind: its machine is gone.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn three_small_machines_or_a_large_one() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for nth in 0..24 {
            scope.spawn(move || {
                let args = [
                    "--cpus 5 --stale spin",
                    "--cpus 8",
                    "--cpus 9",
                    "--stale spin",
                    "",
                ];
                let shares = shares(args[nth % 5]);
                assert_eq!(shares.0, [1, 2, ALL, 2, ALL][nth % 5]);
                let running = RUNNING.fetch_add(shares.0, Ordering::SeqCst) + shares.0;
                std::thread::yield_now();
                assert!(running <= ALL, "{running}");
                RUNNING.fetch_sub(shares.0, Ordering::SeqCst);
            });
        }
    });
}

/// Endless loops beside a machine, which end with the test, whatever becomes of that.
pub struct Busy(Vec<Child>);

impl Busy {
    /// So many, each by these words.
    pub fn new(count: usize, words: &[&str]) -> Self {
        let one = || {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        Self((0..count).map(|_| one()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
