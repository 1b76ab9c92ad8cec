//! What a thread tells and is told, and the loops that it stays in.

#![expect(
    unsafe_code,
    reason = "the loops are assembly on the thread's own lines"
)]

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use stalecore_routines::stuck::{self, Loop, STORM_SIZE};

use crate::{far, mark::Mark, os};

/// The word that lets a polling thread go.
const RELEASE: u32 = 1;

/// What a thread tells and is told, by plain loads and stores.
#[repr(align(128))]
pub struct Status {
    /// Which CPU it is bound to.
    pub cpu: usize,
    /// What it is about to execute.
    pub mark: Mark,
    /// The word that it polls.
    pub request: AtomicU32,
    /// The word that it answers.
    pub ack: AtomicU64,
    /// Calls that it has taken.
    pub calls: AtomicU64,
    /// Where the last call hit it.
    pub hit: AtomicU64,
    /// Is it in a loop, or about to be?
    pub stuck: AtomicBool,
    /// Its number.
    pub thread: AtomicI32,
    /// Memory of its own, for the storms.
    pub scratch: usize,
    /// The initiators' lines.
    pub target: AtomicUsize,
    /// A lock, to be held.
    pub lock: Mutex<()>,
    leave: AtomicBool,
}

impl Status {
    /// That of a new thread of a CPU, which lives as long as the program; `target` is
    /// where the initiators' lines begin.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new(cpu: usize, target: usize) -> io::Result<&'static Self> {
        let scratch = os::memory(STORM_SIZE, false)?;
        Ok(Box::leak(Box::new(Self {
            cpu,
            mark: Mark::default(),
            request: AtomicU32::new(0),
            ack: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            hit: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            scratch: scratch.as_ptr() as usize,
            target: AtomicUsize::new(target),
            lock: Mutex::new(()),
            leave: AtomicBool::new(false),
        })))
    }

    /// Is it to leave the loop that it is in?
    pub fn is_to_leave(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }

    /// Tells it to leave, or to stay.
    pub fn let_go(&self, leave: bool) {
        self.leave.store(leave, Ordering::Release);
        self.request
            .store(if leave { RELEASE } else { 0 }, Ordering::Release);
    }

    /// Is a thread that is there in one of the loops?
    pub fn is_stuck_at(address: usize) -> bool {
        stuck::all().contains(&address) || far::ring().contains(&address)
    }

    /// Where it was hit last.
    pub fn place(&self) -> String {
        at(self.hit.load(Ordering::Relaxed))
    }

    /// Stays in a loop, on this address of its own.
    pub fn stay(&self, stuck: Loop, address: usize) {
        self.stuck.store(true, Ordering::Release);
        // SAFETY: the loops touch the two words, which are atomics, and the address, which is
        // this thread's scratch, its node in the queue, the initiators' lines (prefetched
        // alone), or jumped to: the ring.
        unsafe { stuck(&self.request, &self.ack, address) }
        self.stuck.store(false, Ordering::Release);
    }
}

/// The name of the loop that an address is in, and how far: `stale_spin+4`.
fn at(address: u64) -> String {
    let address = address as usize;
    if far::ring().contains(&address) {
        return "stale_ifetch_storm's ring".into();
    }
    if !stuck::all().contains(&address) {
        return format!("{address:#x}");
    }
    let starts = stuck::LOOPS
        .iter()
        .map(|(name, start)| (*start as usize, *name));
    let before = starts.filter(|(start, _)| *start <= address);
    before.max().map_or_else(
        || format!("{address:#x}"),
        |(start, name)| format!("{name}+{}", address - start),
    )
}
