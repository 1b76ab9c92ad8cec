//! How a core gets stuck, and out again: one row for each stale state.

#![expect(unsafe_code, reason = "the loops are assembly on the core's own lines")]

use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use spin::mutex::{TicketMutex, TicketMutexGuard};
use stalecore_model::glossary::StaleState;

use crate::{
    arch,
    core_local::{Core, Node, RELEASE},
    entry, fabric, gic, kdump, psci,
};

/// Bytes of each core's scratch memory, for the storms.
pub const SCRATCH_SIZE: usize = 16 * 1024;

/// How a stale core shows that it is where it was put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// It takes an interrupt and goes back; the handler notes where it hit.
    Interrupt,
    /// It answers the word that it polls.
    Answer,
    /// PSCI AFFINITY_INFO says OFF.
    AffinityInfo,
}

/// How a stale core is let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// The word that it polls, or an interrupt that returns past its loop.
    Word,
    /// The lock that it waits for.
    Unlock,
    /// PSCI CPU_ON.
    CpuOn,
}

/// What a machine must have for a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// PSCI.
    Psci,
}

/// One stale state: how it is entered, proved and released.
pub struct Row {
    /// The state.
    pub state: StaleState,
    /// What the core does; runs on the stale core.
    pub enter: fn(&Core),
    /// The proof.
    pub proof: Proof,
    /// The way out.
    pub release: Release,
    /// What it takes.
    pub needs: Needs,
}

type Loop = unsafe extern "C" fn(&AtomicU32, &core::sync::atomic::AtomicU64, usize);

unsafe extern "C" {
    fn stale_spin(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_wfe(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_park_loop(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_branch_self(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_dmb_loop(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_ldxr_stxr(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn queued_spin_lock_slowpath(
        flag: &AtomicU32,
        beat: &core::sync::atomic::AtomicU64,
        own: usize,
    );
    fn stale_store_storm(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_load_storm(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_ifetch_storm(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_dc_storm(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_ic_storm(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_tlbi_storm(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_fault_loop(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
    fn stale_mmu_off(flag: &AtomicU32, beat: &core::sync::atomic::AtomicU64, own: usize);
}

/// The table, in the glossary's order.
static ROWS: [Row; 24] = {
    use Needs::{Nothing, Psci};
    use Proof::{AffinityInfo, Answer, Interrupt};
    use Release::{CpuOn, Unlock, Word};
    use StaleState as S;
    const fn row(state: S, enter: fn(&Core), proof: Proof, release: Release, needs: Needs) -> Row {
        Row {
            state,
            enter,
            proof,
            release,
            needs,
        }
    }
    [
        row(S::Parked, parked, Interrupt, Word, Nothing),
        row(S::WfiMasked, wfi_masked, Answer, Word, Nothing),
        row(
            S::Wfe,
            |c| open(c, stale_wfe, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::WfeMasked,
            |c| masked(c, stale_wfe),
            Answer,
            Word,
            Nothing,
        ),
        row(
            S::Spin,
            |c| open(c, stale_spin, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::BranchSelf,
            |c| open(c, stale_branch_self, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::DmbLoop,
            |c| open(c, stale_dmb_loop, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::LdxrStxr,
            |c| open(c, stale_ldxr_stxr, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(S::TicketLock, ticket_lock, Interrupt, Unlock, Nothing),
        row(S::Qspinlock, qspinlock, Interrupt, Unlock, Nothing),
        row(S::LockHolder, lock_holder, Interrupt, Word, Nothing),
        row(
            S::StoreStorm,
            |c| open(c, stale_store_storm, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::LoadStorm,
            |c| open(c, stale_load_storm, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::IfetchStorm,
            |c| open(c, stale_ifetch_storm, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::DcStorm,
            |c| open(c, stale_dc_storm, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::IcStorm,
            |c| open(c, stale_ic_storm, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::TlbiStorm,
            |c| open(c, stale_tlbi_storm, c.scratch),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::FaultLoop,
            |c| open(c, stale_fault_loop, c.unmapped),
            Interrupt,
            Word,
            Nothing,
        ),
        row(
            S::MmuOff,
            |c| masked(c, stale_mmu_off),
            Answer,
            Word,
            Nothing,
        ),
        row(S::CpuOff, cpu_off, AffinityInfo, CpuOn, Psci),
        row(S::CpuOffInflight, cpu_off_inflight, Interrupt, CpuOn, Psci),
        row(S::CpuSuspend, cpu_suspend, Answer, Word, Psci),
        row(S::CrashStopped, crash_stopped, AffinityInfo, CpuOn, Psci),
        row(S::NeverStarted, |_| (), AffinityInfo, CpuOn, Psci),
    ]
};

/// The row of a state.
pub fn row(state: StaleState) -> &'static Row {
    let row = &ROWS[state as usize];
    assert!(row.state == state, "the table is in the glossary's order");
    row
}

/// Gets this core stuck; returns when it is let go.
pub fn enter(core: &Core, state: StaleState) {
    core.flag.0.store(0, Ordering::Relaxed);
    core.beat.0.store(0, Ordering::Relaxed);
    core.breathe();
    fabric::enter(core.index, state);
    core.life.0.state.store(state as u8 + 1, Ordering::Release);
    (row(state).enter)(core);
    fabric::leave(core.index);
    core.life.0.state.store(0, Ordering::Release);
    core.breathe();
}

fn stay(core: &Core, stuck: Loop, own: usize) {
    // SAFETY: the loops touch the two words, which are atomics, and `own`,
    // which is this core's scratch, node or unmapped page.
    unsafe { stuck(&core.flag.0, &core.beat.0, own) }
}

fn open(core: &Core, stuck: Loop, own: usize) {
    open_irq(core);
    stay(core, stuck, own);
    arch::irq_mask();
}

/// Opens interrupts, unless the core is to be deaf to them.
fn open_irq(core: &Core) {
    if !kdump::is_deaf(core) {
        arch::irq_open();
    }
}

fn masked(core: &Core, stuck: Loop) {
    stay(core, stuck, core.scratch);
}

fn released(core: &Core) -> bool {
    core.flag.0.load(Ordering::Acquire) == RELEASE
}

fn parked(core: &Core) {
    arch::irq_open();
    while !released(core) {
        arch::wfi();
    }
    arch::irq_mask();
}

/// Waits by `wait`, interrupts masked: a pending one ends the wait and is
/// acknowledged by hand; the word is answered.
fn wait_masked(core: &Core, wait: impl Fn()) {
    let mut last = 0;
    loop {
        wait();
        gic::acknowledge();
        match core.flag.0.load(Ordering::Acquire) {
            RELEASE => return,
            word if word != last => {
                last = word;
                core.beat.0.store(u64::from(word), Ordering::Release);
            }
            _ => {}
        }
    }
}

fn wfi_masked(core: &Core) {
    wait_masked(core, arch::wfi);
}

fn cpu_suspend(core: &Core) {
    wait_masked(core, || {
        // A firmware that refuses returns at once, and the answers prove no
        // less: the conductor asks before whether it can.
        let _ = psci::cpu_standby();
    });
}

static TICKET_LOCK: TicketMutex<()> = TicketMutex::new(());

fn ticket_lock(core: &Core) {
    open_irq(core);
    drop(TICKET_LOCK.lock());
    arch::irq_mask();
}

/// Takes the ticket lock, for the owner that does not release it.
pub fn hold_ticket_lock() -> TicketMutexGuard<'static, ()> {
    TICKET_LOCK.lock()
}

/// The queue's tail: the node that was last to arrive.
static QUEUE_TAIL: AtomicPtr<Node> = AtomicPtr::new(core::ptr::null_mut());
/// The owner's node: whoever is first waits for it.
static QUEUE_OWNER: Node = Node::new();

fn qspinlock(core: &Core) {
    let node = &core.node.0;
    node.locked.store(0, Ordering::Relaxed);
    node.next.store(core::ptr::null_mut(), Ordering::Relaxed);
    let own = core::ptr::from_ref(node).cast_mut();
    let before = QUEUE_TAIL.swap(own, Ordering::AcqRel);
    // SAFETY: the queue holds nodes of `Core`s and the owner's, all static.
    if let Some(before) = unsafe { before.as_ref() } {
        before.next.store(own, Ordering::Release);
        open(
            core,
            queued_spin_lock_slowpath,
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

fn lock_holder(core: &Core) {
    let guard = core.lock.lock();
    open(core, stale_spin, core.scratch);
    drop(guard);
}

fn cpu_off(core: &Core) {
    core.online.store(false, Ordering::Release);
    // Returns only if the firmware refuses; the conductor then sees a core
    // that is not off.
    let _ = psci::cpu_off();
    core.online.store(true, Ordering::Release);
}

/// What the cores in flight wait for.
static GATE: AtomicU32 = AtomicU32::new(0);

/// Shuts the gate before cores are sent to it.
pub fn shut_gate() {
    GATE.store(0, Ordering::Release);
}

/// Sends the cores at the gate into CPU_OFF.
pub fn open_gate() {
    GATE.store(1, Ordering::Release);
    arch::sev();
}

fn cpu_off_inflight(core: &Core) {
    arch::irq_open();
    while GATE.load(Ordering::Acquire) == 0 && !released(core) {
        arch::pause();
    }
    arch::irq_mask();
    if !released(core) {
        cpu_off(core);
    }
}

/// What the kernel's `ipi_cpu_crash_stop` does: mask everything, try to turn
/// the core off, wait for ever if that returns.
pub fn crash_stopped(core: &Core) {
    arch::daif_mask();
    cpu_off(core);
    stay(core, stale_park_loop, core.scratch);
}

/// Writes a new word for the core to answer, or [`RELEASE`], and makes sure
/// that it is seen: by polling cores with caches off, in WFE, or in WFI.
pub fn tell(core: &Core, word: u32) {
    core.flag.0.store(word, Ordering::Release);
    entry::clean(core::ptr::from_ref(&core.flag.0) as usize);
    arch::sev();
    gic::call(core);
}

/// The word that the core has answered last, as memory has it.
pub fn answer(core: &Core) -> u64 {
    // A core with its caches off writes to memory: no copy may hide that.
    entry::clean(core::ptr::from_ref(&core.beat.0) as usize);
    core.beat.0.load(Ordering::Acquire)
}
