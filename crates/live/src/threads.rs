//! The threads, one bound to each CPU: an initiator's measures, a stale one's gets stuck.
//! All live as long as the program.

use std::{
    io,
    sync::{
        atomic::Ordering,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use stalecore_model::glossary::{LineState, StaleState};

use crate::{
    buffers::Buffers,
    calls,
    initiator::{self, Order, Results},
    os,
    status::Status,
    table,
};

/// May a thread of this process go before ordinary ones? Tried by one that ends at once.
///
/// # Errors
/// Why not.
pub fn may_fifo() -> io::Result<()> {
    let tried = thread::spawn(os::fifo).join();
    tried.unwrap_or(Err(io::ErrorKind::BrokenPipe.into()))
}

/// What a thread is to do.
pub enum Task {
    /// Touch the initiators' lines of this size, as the `nth` of so many, and get stuck.
    Stale {
        /// How.
        state: StaleState,
        /// What the caches are to hold.
        line: LineState,
        /// Bytes of a line.
        size: usize,
        /// Which of the stale ones it is.
        nth: usize,
        /// How many there are.
        of: usize,
    },
    /// Execute the newest code of the first initiator.
    Check(u16),
    /// Measure one thing.
    Measure(Box<Order>),
}

/// What a thread has done.
pub enum Done {
    /// It was stuck, and was let go.
    Left,
    /// What it saw, where that was older than it should be.
    Checked(Option<u16>),
    /// What it has measured.
    Measured(Box<Results>),
}

/// A thread on a CPU.
pub struct Thread {
    /// What it tells.
    pub status: &'static Status,
    tasks: Sender<Task>,
}

/// All of them, and what they have done.
pub struct Threads {
    all: Vec<Thread>,
    /// CPU, and what its thread has done.
    pub done: Receiver<(usize, Done)>,
}

impl Threads {
    /// Starts one on each of these CPUs; `initiators` have buffers, and go before ordinary
    /// ones if `fifo`.
    ///
    /// # Errors
    /// A thread that cannot be had, bound, or go before others.
    pub fn start(
        cpus: impl Iterator<Item = usize>,
        buffers: &'static [(usize, Buffers)],
        fifo: bool,
    ) -> Result<Self, String> {
        let (tell, done) = mpsc::channel();
        let mut all = Vec::new();
        for cpu in cpus {
            let status = Status::new(cpu, buffers.first().map_or(0, |(_, b)| b.area.data));
            let status = status.map_err(|error| format!("memory: {error}"))?;
            let (tasks, orders) = mpsc::channel();
            let (ready, is_ready) = mpsc::channel();
            let tell = tell.clone();
            let measures = buffers.iter().any(|(of, _)| *of == cpu);
            thread::Builder::new()
                .name(format!("stalecore/{cpu}"))
                .stack_size(256 * 1024)
                .spawn(move || {
                    let set_up = || -> io::Result<()> {
                        calls::answer_by(status);
                        status.thread.store(os::thread(), Ordering::Release);
                        os::pin(0, cpu)?;
                        if fifo && measures { os::fifo() } else { Ok(()) }
                    };
                    // Who waits for it is there.
                    let _ = ready.send(set_up());
                    serve(status, buffers, &orders, &tell);
                })
                .map_err(|error| format!("a thread for CPU {cpu}: {error}"))?;
            let ready = is_ready
                .recv()
                .unwrap_or(Err(io::ErrorKind::BrokenPipe.into()));
            ready.map_err(|error| format!("the thread of CPU {cpu}: {error}"))?;
            all.push(Thread { status, tasks });
        }
        Ok(Self { all, done })
    }

    /// The thread of a CPU.
    pub fn get(&self, cpu: usize) -> Option<&Thread> {
        self.all.iter().find(|thread| thread.status.cpu == cpu)
    }

    /// What the thread of a CPU tells.
    pub fn status(&self, cpu: usize) -> Option<&'static Status> {
        self.get(cpu).map(|thread| thread.status)
    }

    /// Gives a thread something to do.
    pub fn ask(&self, cpu: usize, task: Task) {
        if let Some(thread) = self.get(cpu) {
            // It takes orders as long as the program lives.
            let _ = thread.tasks.send(task);
        }
    }
}

fn serve(
    own: &'static Status,
    buffers: &'static [(usize, Buffers)],
    orders: &Receiver<Task>,
    tell: &Sender<(usize, Done)>,
) {
    while let Ok(task) = orders.recv() {
        let done = match task {
            Task::Stale {
                state,
                line,
                size,
                nth,
                of,
            } => {
                for (_, buffers) in buffers {
                    buffers.touch(line, size, nth, of);
                }
                table::of(state).enter(own);
                own.stuck.store(false, Ordering::Release);
                Done::Left
            }
            Task::Check(newest) => {
                stalecore_routines::instructions::isb();
                let seen = buffers.first().map(|(_, buffers)| buffers.call(0));
                Done::Checked(seen.filter(|seen| *seen != newest))
            }
            Task::Measure(order) => Done::Measured(Box::new(initiator::run(own, buffers, &order))),
        };
        if tell.send((own.cpu, done)).is_err() {
            return;
        }
    }
}
