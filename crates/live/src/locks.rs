//! Locks that a thread waits for, or holds and does not give back.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use stalecore_model::cpuset::MAX_CPUS;
use stalecore_routines::{instructions, stuck};

use crate::status::Status;

static NEXT: AtomicU32 = AtomicU32::new(0);
static SERVED: AtomicU32 = AtomicU32::new(0);

/// Waits for the ticket lock, and gives it back.
pub fn ticket_lock(_: &Status) {
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    while SERVED.load(Ordering::Acquire) != own {
        spin_loop();
    }
    SERVED.store(own.wrapping_add(1), Ordering::Release);
}

/// Takes the ticket lock, for the owner that does not release it.
pub fn hold_ticket_lock() {
    NEXT.fetch_add(1, Ordering::Relaxed);
}

/// Releases it: the next in turn gets it.
pub fn release_ticket_lock() {
    SERVED.fetch_add(1, Ordering::Release);
}

/// Nodes go by number, as in the kernel's queue: 0 is none, 1 the owner's, from 2 on those
/// of the CPUs.
const NOBODY: usize = 0;
const OWNER: usize = 1;
const FIRST: usize = 2;

/// A place in the queue, on a line of its own.
#[repr(align(128))]
struct Node {
    locked: AtomicU32,
    next: AtomicUsize,
}

static NODES: [Node; FIRST + MAX_CPUS] = [const {
    Node {
        locked: AtomicU32::new(0),
        next: AtomicUsize::new(NOBODY),
    }
}; FIRST + MAX_CPUS];

/// The node that was last to arrive.
static TAIL: AtomicUsize = AtomicUsize::new(NOBODY);

/// Waits in the queue of the kernel's lock.
pub fn qspinlock(own: &Status) {
    let number = FIRST + own.cpu;
    let node = &NODES[number];
    node.locked.store(0, Ordering::Relaxed);
    node.next.store(NOBODY, Ordering::Relaxed);
    let before = TAIL.swap(number, Ordering::AcqRel);
    if before != NOBODY {
        NODES[before].next.store(number, Ordering::Release);
        let word = core::ptr::from_ref(&node.locked) as usize;
        own.stay(stuck::queued_spin_lock_slowpath, word);
    }
    hand_over(number);
}

/// Passes the lock on to the next in the queue, if there is one.
fn hand_over(own: usize) {
    if TAIL
        .compare_exchange(own, NOBODY, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
    {
        return;
    }
    // Another has taken the tail and is about to name itself.
    loop {
        match NODES[own].next.load(Ordering::Acquire) {
            NOBODY => std::thread::yield_now(),
            next => {
                NODES[next].locked.store(1, Ordering::Release);
                instructions::sev();
                return;
            }
        }
    }
}

/// Takes the queued lock, for the owner that does not release it.
pub fn hold_qspinlock() {
    NODES[OWNER].next.store(NOBODY, Ordering::Relaxed);
    TAIL.store(OWNER, Ordering::Release);
}

/// Releases the queued lock: the queue drains.
pub fn release_qspinlock() {
    hand_over(OWNER);
}
