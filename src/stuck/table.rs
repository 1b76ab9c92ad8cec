//! The table of stale states, and what carries out a row: how a core gets stuck,
//! and out again.

use core::sync::atomic::Ordering;

use stalecore_model::glossary::StaleState;

use super::loops::{self, Loop};
use crate::{
    cores::percpu::Core,
    fabric,
    hal::{arch, boot},
};

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
    use {super::locks::*, super::loops::*, super::power::*};
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
    core.request.store(0, Ordering::Relaxed);
    core.ack.store(0, Ordering::Relaxed);
    fabric::enter(core.index, state);
    core.set_state(Some(state));
    match row(state).doing {
        Doing::Open(stuck) => loops::open(core, stuck, core.scratch),
        Doing::Masked(stuck) => loops::masked(core, stuck),
        Doing::Own(stuck) => stuck(core),
    }
    fabric::leave(core.index);
    core.set_state(None);
}

/// Writes a new word for the core to answer, or `RELEASE`, and makes sure
/// that it is seen: by polling cores with caches off, in WFE, or in WFI.
#[inline(never)]
pub fn post_request(core: &Core, word: u32) {
    core.request.store(word, Ordering::Release);
    boot::clean(core::ptr::from_ref(&*core.request) as usize);
    arch::sev();
    core.call();
}

/// The word that the core has answered last, as memory has it.
#[inline(never)]
pub fn read_ack(core: &Core) -> u64 {
    // A core with its caches off writes to memory: no copy may hide that.
    boot::clean(core::ptr::from_ref(&*core.ack) as usize);
    core.ack.load(Ordering::Acquire)
}
