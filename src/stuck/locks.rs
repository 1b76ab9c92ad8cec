//! Locks that a core waits for, or holds and does not give back.

#![expect(unsafe_code, reason = "the queue is one of raw nodes")]

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use spin::mutex::TicketMutex;

use super::loops::{assembly, open, open_irq};
use crate::{
    cores::percpu::{Core, Node},
    hal::arch,
};

static TICKET_LOCK: TicketMutex<()> = TicketMutex::new(());

/// Waits for the ticket lock.
pub fn ticket_lock(core: &Core) {
    open_irq(core);
    drop(TICKET_LOCK.lock());
    arch::irq_mask();
}

/// Takes the ticket lock, for the owner that does not release it.
pub fn hold_ticket_lock() {
    core::mem::forget(TICKET_LOCK.lock());
}

/// Releases the ticket lock, which [`hold_ticket_lock`] has taken: the next in
/// turn gets it.
pub fn release_ticket_lock() {
    // SAFETY: the row of the state calls this once for each time that it took
    // the lock, whose guard was forgotten.
    unsafe { TICKET_LOCK.force_unlock() }
}

/// The queue's tail: the node that was last to arrive.
static QUEUE_TAIL: AtomicPtr<Node> = AtomicPtr::new(core::ptr::null_mut());
/// The owner's node: whoever is first waits for it.
static QUEUE_OWNER: Node = Node::new();

/// Waits in the queue of the kernel's lock.
pub fn qspinlock(core: &Core) {
    let node = &*core.node;
    node.locked.store(0, Ordering::Relaxed);
    node.next.store(core::ptr::null_mut(), Ordering::Relaxed);
    let own = core::ptr::from_ref(node).cast_mut();
    let before = QUEUE_TAIL.swap(own, Ordering::AcqRel);
    // SAFETY: the queue holds nodes of `Core`s and the owner's, all static.
    if let Some(before) = unsafe { before.as_ref() } {
        before.next.store(own, Ordering::Release);
        open(
            core,
            assembly!(queued_spin_lock_slowpath),
            core::ptr::from_ref(&node.locked) as usize,
        );
    }
    hand_over(node);
}

/// Passes the lock on to the next in the queue, if there is one.
fn hand_over(node: &Node) {
    let own = core::ptr::from_ref(node).cast_mut();
    if QUEUE_TAIL
        .compare_exchange(
            own,
            core::ptr::null_mut(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        )
        .is_ok()
    {
        return;
    }
    // Somebody has taken the tail and is about to name itself.
    for _ in 0..100_000_000_u32 {
        // SAFETY: as in `qspinlock`.
        if let Some(next) = unsafe { node.next.load(Ordering::Acquire).as_ref() } {
            next.locked.store(1, Ordering::Release);
            arch::sev();
            return;
        }
        arch::pause();
    }
}

/// Takes the queued lock, for the owner that does not release it.
pub fn hold_qspinlock() {
    QUEUE_OWNER
        .next
        .store(core::ptr::null_mut(), Ordering::Relaxed);
    QUEUE_TAIL.store(
        core::ptr::from_ref(&QUEUE_OWNER).cast_mut(),
        Ordering::Release,
    );
}

/// Releases the queued lock: the queue drains.
pub fn release_qspinlock() {
    hand_over(&QUEUE_OWNER);
}

/// Holds a lock, and spins.
pub fn lock_holder(core: &Core) {
    let guard = core.lock.lock();
    open(core, assembly!(stale_spin), core.scratch);
    drop(guard);
}
