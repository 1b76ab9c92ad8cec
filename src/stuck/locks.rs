//! Locks that a core waits for, or holds and does not give back.

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use spin::{
    Mutex,
    mutex::{TicketMutex, TicketMutexGuard},
};

use super::loops::{QUEUE, SPIN, open, open_irq};
use crate::{
    cores::percpu::{self, Core, Node},
    hal::arch,
};

static TICKET_LOCK: TicketMutex<()> = TicketMutex::new(());
/// The guard by which the owner that does not release it holds it.
static TICKET_HELD: Mutex<Option<TicketMutexGuard<'static, ()>>> = Mutex::new(None);

/// Waits for the ticket lock.
pub fn ticket_lock(core: &Core) {
    open_irq(core);
    drop(TICKET_LOCK.lock());
    arch::irq_mask();
}

/// Takes the ticket lock, for the owner that does not release it.
pub fn hold_ticket_lock() {
    let guard = TICKET_LOCK.lock();
    // Nothing was held before, or the lock would not have been free.
    core::mem::forget(TICKET_HELD.lock().replace(guard));
}

/// Releases the ticket lock, which [`hold_ticket_lock`] has taken: the next in
/// turn gets it.
pub fn release_ticket_lock() {
    drop(TICKET_HELD.lock().take());
}

/// Nodes have numbers, as in the kernel's queue: 0 is none, 1 the owner's, from 2 on the
/// cores'.
const NOBODY: usize = 0;
const OWNER: usize = 1;
const FIRST_CORE: usize = 2;

/// The queue's tail: the node that was last to arrive.
static QUEUE_TAIL: AtomicUsize = AtomicUsize::new(NOBODY);
/// The owner's node: whoever is first waits for it.
static QUEUE_OWNER: Node = Node::new();

/// The node of a number.
fn node(number: usize) -> Option<&'static Node> {
    match number {
        NOBODY => None,
        OWNER => Some(&QUEUE_OWNER),
        _ => Some(&percpu::core(number - FIRST_CORE).node),
    }
}

/// Waits in the queue of the kernel's lock.
pub fn qspinlock(core: &Core) {
    let own = FIRST_CORE + core.index;
    core.node.locked.store(0, Ordering::Relaxed);
    core.node.next.store(NOBODY, Ordering::Relaxed);
    if let Some(before) = node(QUEUE_TAIL.swap(own, Ordering::AcqRel)) {
        before.next.store(own, Ordering::Release);
        open(core, QUEUE, ptr::from_ref(&core.node.locked) as usize);
    }
    hand_over(own, &core.node);
}

/// Passes the lock on to the next in the queue, if there is one.
fn hand_over(own: usize, held: &Node) {
    if QUEUE_TAIL
        .compare_exchange(own, NOBODY, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
    {
        return;
    }
    // Another core has taken the tail and is about to link its node.
    for _ in 0..100_000_000_u32 {
        if let Some(next) = node(held.next.load(Ordering::Acquire)) {
            next.locked.store(1, Ordering::Release);
            arch::sev();
            return;
        }
        arch::pause();
    }
}

/// Takes the queued lock, for the owner that does not release it.
pub fn hold_qspinlock() {
    QUEUE_OWNER.next.store(NOBODY, Ordering::Relaxed);
    QUEUE_TAIL.store(OWNER, Ordering::Release);
}

/// Releases the queued lock: the queue drains.
pub fn release_qspinlock() {
    hand_over(OWNER, &QUEUE_OWNER);
}

/// Spins while it holds a lock.
pub fn lock_holder(core: &Core) {
    let guard = core.lock.lock();
    open(core, SPIN, core.scratch);
    drop(guard);
}
