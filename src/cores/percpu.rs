//! One value for each core: what others ask of it, what it is about to
//! execute, where it is. One owner, the core itself; everything that
//! another core reads or writes is an atomic on a line of its own.

#![expect(unsafe_code, reason = "TPIDR_EL1 points to the core's own value")]

use alloc::vec::Vec;
use core::{
    ops::{Deref, Range},
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use aarch64_cpu::registers::{Readable, TPIDR_EL1, TPIDR_EL2, Writeable};
use arm_gic::IntId;
use spin::{Mutex, Once};
use stalecore_model::{glossary::StaleState, mailbox::Mailbox, platform::Cpu};

use super::{identity::Identity, job::Job, mark::Mark};
use crate::hal::{arch, boot, controls::MPIDR_AFFINITY, gic};

/// A value with a line of its own, as wide as any cache's.
#[repr(C, align(256))]
pub struct Line<T>(T);

impl<T> Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Asks a polling stale core to leave.
pub const RELEASE: u32 = 1;

/// A core's node in the queue of the qspinlock.
pub struct Node {
    /// Not 0 once the one before has handed the lock over.
    pub locked: AtomicU32,
    /// The number of the next node in the queue.
    pub next: AtomicUsize,
}

impl Node {
    /// A node that waits, with no other after it.
    pub const fn new() -> Self {
        Self {
            locked: AtomicU32::new(0),
            next: AtomicUsize::new(0),
        }
    }
}

/// Where a core is, and what shows it; written by the core alone.
pub struct Status {
    /// 1 + the stale state that it has entered, 0 for none.
    pub state: AtomicU8,
    /// Interrupts taken.
    pub interrupts: AtomicU64,
    /// Where the last one hit.
    pub interrupted_at: AtomicU64,
    /// Asynchronous aborts taken.
    pub serrors: AtomicU64,
    /// ESR_EL1 of the last one.
    pub serror: AtomicU64,
}

/// A fault taken inside a timed block or a routine.
pub struct FaultSlot {
    /// Has one been taken since the slot was cleared?
    pub taken: AtomicBool,
    /// ESR_EL1.
    pub esr: AtomicU64,
    /// FAR_EL1.
    pub far: AtomicU64,
    /// ELR_EL1.
    pub elr: AtomicU64,
}

/// A core's own memory.
pub struct OwnMemory {
    /// The program's and the exceptions' stack.
    pub stacks: [Range<usize>; 2],
    /// Scratch memory for the storms.
    pub scratch: usize,
    /// An address that is mapped nowhere.
    pub unmapped: usize,
    /// Top of EL2's stack, or 0.
    pub el2_stack: usize,
}

/// What EL2 saw when it kicked the core.
pub struct Kicked {
    /// How often it was kicked.
    pub count: AtomicU64,
    /// Where EL1 was.
    pub pc: AtomicU64,
    /// Its link register.
    pub lr: AtomicU64,
    /// Its SPSR: DAIF and the exception level.
    pub spsr: AtomicU64,
}

/// Everything about one core.
#[repr(C, align(256))]
pub struct Core {
    /// Tops of the program's and the exceptions' stack; read by the entry code.
    pub stacks: [usize; 2],
    /// The affinity fields of its MPIDR; read by the pen.
    pub affinity: u64,
    stack_starts: [usize; 2],
    /// The core's number.
    pub index: usize,
    /// MPIDR and how it is started.
    pub cpu: Cpu,
    /// 16 KiB of its own.
    pub scratch: usize,
    /// What the conductor asks of it.
    pub mailbox: Line<Mailbox>,
    /// The word that a stale core polls: stay, answer or leave.
    pub request: Line<AtomicU32>,
    /// Its answer.
    pub ack: Line<AtomicU64>,
    /// An address that is mapped nowhere.
    pub unmapped: usize,
    /// Its node in the queue of the qspinlock.
    pub node: Line<Node>,
    /// The lock that it holds in the state `lock-holder`.
    pub lock: Mutex<()>,
    /// What it is about to execute.
    pub mark: Line<Mark>,
    /// Where it is.
    pub status: Line<Status>,
    /// Why it takes no interrupts, if it knows.
    pub trouble: Once<&'static str>,
    /// Is it to get stuck with interrupts masked, even where the state leaves them open?
    pub irqs_masked: AtomicBool,
    /// Is it measuring with interrupts open, whose handler is to broadcast?
    pub interruptible: AtomicBool,
    /// The fault it took, if any.
    pub fault: Line<FaultSlot>,
    /// What EL2 saw when it kicked the core.
    pub kicked: Line<Kicked>,
    /// Does EL2 hold the core up, in its own operation?
    pub in_fabric: AtomicBool,
    /// Is EL2 to let the core's operations go, even where the model holds them?
    pub force_complete: AtomicBool,
    /// Top of EL2's stack of this core; 0 without a fabric.
    pub el2_stack: usize,
    /// Argument of the command.
    pub argument: AtomicUsize,
    /// The answer of a command that has one.
    pub answer: AtomicU32,
    /// Is it up, in the image's hands?
    pub online: AtomicBool,
    /// Does it look for orders by itself, woken by events? Every core begins so; one
    /// that has taken its first interrupt sleeps until it is called.
    pub polls: AtomicBool,
    /// Its identification registers, once it is up.
    pub identity: Once<Identity>,
    /// What to run and what came of it; only initiators have one.
    pub job: Once<Job>,
}

static CORES: Once<Vec<Core>> = Once::new();

impl Core {
    /// A core that has not been started.
    pub fn new(index: usize, cpu: Cpu, own: &OwnMemory) -> Self {
        Self {
            stacks: own.stacks.clone().map(|stack| stack.end),
            affinity: cpu.mpidr & MPIDR_AFFINITY,
            stack_starts: own.stacks.clone().map(|stack| stack.start),
            index,
            cpu,
            scratch: own.scratch,
            mailbox: Line(Mailbox::new()),
            request: Line(AtomicU32::new(0)),
            ack: Line(AtomicU64::new(0)),
            unmapped: own.unmapped,
            node: Line(Node::new()),
            lock: Mutex::new(()),
            mark: Line(Mark::new()),
            status: Line(Status {
                state: AtomicU8::new(0),
                interrupts: AtomicU64::new(0),
                interrupted_at: AtomicU64::new(0),
                serrors: AtomicU64::new(0),
                serror: AtomicU64::new(0),
            }),
            trouble: Once::new(),
            irqs_masked: AtomicBool::new(false),
            interruptible: AtomicBool::new(false),
            fault: Line(FaultSlot {
                taken: AtomicBool::new(false),
                esr: AtomicU64::new(0),
                far: AtomicU64::new(0),
                elr: AtomicU64::new(0),
            }),
            kicked: Line(Kicked {
                count: AtomicU64::new(0),
                pc: AtomicU64::new(0),
                lr: AtomicU64::new(0),
                spsr: AtomicU64::new(0),
            }),
            in_fabric: AtomicBool::new(false),
            force_complete: AtomicBool::new(false),
            el2_stack: own.el2_stack,
            argument: AtomicUsize::new(0),
            answer: AtomicU32::new(0),
            online: AtomicBool::new(false),
            polls: AtomicBool::new(true),
            identity: Once::new(),
            job: Once::new(),
        }
    }

    /// Sends the core a software generated interrupt. Not inlined, as its barrier is
    /// listed in docs/maintenance-sites.md under this name.
    #[inline(never)]
    pub fn send(&self, interrupt: IntId) {
        gic::send([(self.index, self.cpu.mpidr)], interrupt);
    }

    /// Calls the core by an interrupt, which it takes or has pending; a core that takes
    /// none sees an event.
    pub fn call(&self) {
        call([self]);
    }

    /// Kicks the core: EL2 takes the interrupt there, where it takes them first.
    pub fn kick(&self) {
        self.send(gic::KICK);
    }

    /// Sets whether it is up.
    pub fn set_online(&self, online: bool) {
        self.online.store(online, Ordering::Release);
    }

    /// Does it look for orders by itself, as it takes no interrupts?
    pub fn polls(&self) -> bool {
        self.polls.load(Ordering::Relaxed)
    }

    /// Is it up, in the image's hands?
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    /// The stale state that it has entered, if any.
    pub fn state(&self) -> Option<StaleState> {
        let number = self.status.state.load(Ordering::Acquire).checked_sub(1)?;
        StaleState::from_number(number)
    }

    /// Writes which stale state the core is in; for the core itself.
    pub fn set_state(&self, state: Option<StaleState>) {
        let number = state.map_or(0, |state| state as u8 + 1);
        self.status.state.store(number, Ordering::Release);
    }

    /// Asynchronous aborts that it has taken, and ESR_EL1 of the last.
    pub fn serrors(&self) -> (u64, u64) {
        let count = self.status.serrors.load(Ordering::Acquire);
        (count, self.status.serror.load(Ordering::Relaxed))
    }

    /// Interrupts that it has taken.
    pub fn interrupts(&self) -> u64 {
        self.status.interrupts.load(Ordering::Acquire)
    }

    fn stack_ranges(&self) -> [Range<usize>; 2] {
        [0, 1].map(|stack| self.stack_starts[stack]..self.stacks[stack])
    }

    /// Address of the core's value, as PSCI and the entry code pass it on.
    pub fn address(&'static self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// Takes the fault that was noted, if one was.
    pub fn take_fault(&self) -> Option<[u64; 3]> {
        let slot = &self.fault;
        slot.taken
            .swap(false, Ordering::Relaxed)
            .then(|| [&slot.esr, &slot.far, &slot.elr].map(|field| field.load(Ordering::Relaxed)))
    }
}

/// Calls several cores, behind one barrier for all.
pub fn call<'a>(cores: impl IntoIterator<Item = &'a Core>) {
    let mut polls = false;
    let targets = cores.into_iter().map(|core| {
        polls |= core.polls();
        (core.index, core.cpu.mpidr)
    });
    gic::send(targets, gic::CALL);
    if polls {
        arch::sev();
    }
}

/// Sets the cores, once.
pub fn set_all(cores: Vec<Core>) {
    CORES.call_once(|| cores);
}

/// All cores, by number; none before [`set_all`].
pub fn all() -> &'static [Core] {
    CORES.get().map_or(&[], Vec::as_slice)
}

/// The core that runs this, once it has its value.
pub fn this() -> Option<&'static Core> {
    let pointer = TPIDR_EL1.get() as *const Core;
    // SAFETY: TPIDR_EL1 is 0, or was set by the entry code or `adopt` to a
    // `Core` in `CORES`, which is never dropped.
    unsafe { pointer.as_ref() }
}

/// The core that runs this, at EL2.
pub fn this_at_el2() -> Option<&'static Core> {
    let pointer = TPIDR_EL2.get() as *const Core;
    // SAFETY: before EL2 ran any Rust, `el2_call` stored there the `Core` in `CORES`
    // that `fabric::install` passed; nothing else at EL2 writes the register.
    unsafe { pointer.as_ref() }
}

/// Leaves the boot stacks for this core's own and continues at `boot_core_main`; called
/// once.
pub fn leave_boot_stacks(cpu: usize) -> ! {
    static LEFT: AtomicBool = AtomicBool::new(false);
    assert!(!LEFT.swap(true, Ordering::Relaxed), "once");
    // SAFETY: a `Core` in `CORES`, whose stacks the current tables map. Nobody runs on
    // them: only this core enters the image without being started for a `Core`.
    unsafe { boot::switch_stacks(core(cpu).address()) }
}

/// The frame record at an address: the one before it, and where that returns to;
/// `None` unless it lies on a stack of the core that runs this.
pub fn frame_record(at: u64) -> Option<[u64; 2]> {
    let at = usize::try_from(at).ok()?;
    let inside = |stack: &Range<usize>| stack.contains(&at) && at + 16 <= stack.end;
    let own = this()?;
    if !at.is_multiple_of(16) || !own.stack_ranges().iter().any(inside) {
        return None;
    }
    // SAFETY: aligned, and on a stack of this core, which is mapped; nobody changes
    // meanwhile what is read there, in the frames below this call.
    Some(unsafe { (at as *const [u64; 2]).read_volatile() })
}

/// Makes `core` the value of the core that runs this.
pub fn adopt(core: &'static Core) {
    TPIDR_EL1.set(core.address() as u64);
}

/// The core of a number. Callers take numbers from the plan, which was made for this
/// machine.
pub fn core(cpu: usize) -> &'static Core {
    &all()[cpu]
}
