//! How a core gets stuck, and out again: one row for each stale state.

mod locks;
mod loops;
mod power;

use core::sync::atomic::Ordering;

use stalecore_model::glossary::StaleState;

pub use locks::{hold_qspinlock, hold_ticket_lock, release_qspinlock};
pub use power::{crash_stopped, open_gate, shut_gate};

use crate::{arch, core_local::Core, entry, fabric, gic};
use loops::Loop;

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

/// What a stuck core does.
enum Doing {
    /// This loop on its scratch, interrupts open.
    Open(Loop),
    /// This loop on its scratch, interrupts masked.
    Masked(Loop),
    /// Something of its own.
    Own(fn(&Core)),
}

/// One stale state: how it is entered, proved and released.
pub struct Row {
    /// The state.
    state: StaleState,
    /// What the core does.
    doing: Doing,
    /// The proof.
    pub proof: Proof,
    /// The way out.
    pub release: Release,
    /// What it takes.
    pub needs: Needs,
}

/// The table, in the glossary's order.
static ROWS: [Row; 24] = {
    use Doing::{Masked, Open, Own};
    use Needs::{Nothing, Psci};
    use Proof::{AffinityInfo, Answer, Interrupt};
    use Release::{CpuOn, Unlock, Word};
    use StaleState as S;
    use {locks::*, loops::*, power::*};
    const fn row(state: S, doing: Doing, proof: Proof, release: Release, needs: Needs) -> Row {
        Row {
            state,
            doing,
            proof,
            release,
            needs,
        }
    }
    const fn stays(state: S, stuck: Loop) -> Row {
        row(state, Open(stuck), Interrupt, Word, Nothing)
    }
    [
        row(S::Parked, Own(parked), Interrupt, Word, Nothing),
        row(S::WfiMasked, Own(wfi_masked), Answer, Word, Nothing),
        stays(S::Wfe, stale_wfe),
        row(S::WfeMasked, Masked(stale_wfe), Answer, Word, Nothing),
        stays(S::Spin, stale_spin),
        stays(S::BranchSelf, stale_branch_self),
        stays(S::DmbLoop, stale_dmb_loop),
        stays(S::LdxrStxr, stale_ldxr_stxr),
        row(S::TicketLock, Own(ticket_lock), Interrupt, Unlock, Nothing),
        row(S::Qspinlock, Own(qspinlock), Interrupt, Unlock, Nothing),
        row(S::LockHolder, Own(lock_holder), Interrupt, Word, Nothing),
        stays(S::StoreStorm, stale_store_storm),
        stays(S::LoadStorm, stale_load_storm),
        stays(S::IfetchStorm, stale_ifetch_storm),
        stays(S::DcStorm, stale_dc_storm),
        stays(S::IcStorm, stale_ic_storm),
        stays(S::TlbiStorm, stale_tlbi_storm),
        row(S::FaultLoop, Own(fault_loop), Interrupt, Word, Nothing),
        row(S::MmuOff, Masked(stale_mmu_off), Answer, Word, Nothing),
        row(S::CpuOff, Own(cpu_off), AffinityInfo, CpuOn, Psci),
        row(
            S::CpuOffInflight,
            Own(cpu_off_inflight),
            Interrupt,
            CpuOn,
            Psci,
        ),
        row(S::CpuSuspend, Own(cpu_suspend), Answer, Word, Psci),
        row(
            S::CrashStopped,
            Own(crash_stopped),
            AffinityInfo,
            CpuOn,
            Psci,
        ),
        row(S::NeverStarted, Own(|_| ()), AffinityInfo, CpuOn, Psci),
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
    match row(state).doing {
        Doing::Open(stuck) => loops::open(core, stuck, core.scratch),
        Doing::Masked(stuck) => loops::masked(core, stuck),
        Doing::Own(stuck) => stuck(core),
    }
    fabric::leave(core.index);
    core.life.0.state.store(0, Ordering::Release);
    core.breathe();
}

/// Writes a new word for the core to answer, or `RELEASE`, and makes sure
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
