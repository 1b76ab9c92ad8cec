//! The table of stale states, and what carries out a row: how a core gets stuck, and out
//! again.

#![expect(unsafe_code, reason = "names the loops")]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use stalecore_model::glossary::StaleState;

use super::{
    locks::{
        hold_qspinlock, hold_ticket_lock, lock_holder, qspinlock, release_qspinlock,
        release_ticket_lock, ticket_lock,
    },
    loops::{
        self, Loop, SPIN, assembly, device_stuck, fault_loop, ifetch_storm, load_storm, parked,
        prfm_storm, store_storm, wfi_masked,
    },
    power::{
        cpu_off, cpu_off_abandoned, cpu_off_inflight, cpu_suspend, cpu_suspend_powerdown,
        crash_stopped, hold_cpu_off, hold_cpu_on, sdei_parked,
    },
    sgis::sgi_storm,
};
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
    /// It has called firmware, and has not come back.
    Gone,
    /// Its load has not come back.
    Unanswered,
}

/// How a stale core is released.
#[derive(Clone, Copy)]
pub enum Release {
    /// The word that it polls, or an interrupt that returns past its loop.
    Word,
    /// The lock that it waits for, by what takes it and what releases it.
    Unlock(fn(), fn()),
    /// PSCI CPU_ON.
    CpuOn,
}

/// What a stuck core does.
enum Doing {
    /// This loop on its scratch, interrupts open.
    Open(Loop),
    /// This loop on its scratch, interrupts masked.
    Masked(Loop),
    /// Something of its own.
    Own(fn(&'static Core)),
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
    /// Does it need PSCI?
    pub needs_psci: bool,
    /// In a state that passes, cores are on their way into CPU_OFF, or up: this makes them
    /// wait just before that, until the operations begin.
    pub hold: Option<fn()>,
}

/// A loop on the core's scratch, interrupts open.
const fn open(state: StaleState, stuck: Loop) -> Row {
    Row {
        doing: Doing::Open(stuck),
        ..own(state, parked, Proof::Interrupt)
    }
}

/// A loop on the core's scratch that answers, interrupts masked.
const fn masked(state: StaleState, stuck: Loop) -> Row {
    Row {
        doing: Doing::Masked(stuck),
        ..own(state, parked, Proof::Answer)
    }
}

/// Something of its own.
const fn own(state: StaleState, doing: fn(&'static Core), proof: Proof) -> Row {
    Row {
        state,
        doing: Doing::Own(doing),
        proof,
        release: Release::Word,
        needs_psci: false,
        hold: None,
    }
}

/// A core that PSCI turns off.
const fn off(state: StaleState, doing: fn(&'static Core)) -> Row {
    Row {
        release: Release::CpuOn,
        needs_psci: true,
        ..own(state, doing, Proof::AffinityInfo)
    }
}

/// Waiting for a lock.
const fn lock(state: StaleState, doing: fn(&'static Core), take: fn(), release: fn()) -> Row {
    Row {
        release: Release::Unlock(take, release),
        ..own(state, doing, Proof::Interrupt)
    }
}

use Proof::{Answer, Interrupt};
use StaleState as S;

/// The table, in the glossary's order.
const ROWS: &[Row] = &[
    own(S::Parked, parked, Interrupt),
    own(S::WfiMasked, wfi_masked, Answer),
    open(S::Wfe, assembly!(stale_wfe)),
    masked(S::WfeMasked, assembly!(stale_wfe)),
    open(S::Spin, SPIN),
    open(S::BranchSelf, assembly!(stale_branch_self)),
    open(S::DmbLoop, assembly!(stale_dmb_loop)),
    open(S::LdxrStxr, assembly!(stale_ldxr_stxr)),
    lock(
        S::TicketLock,
        ticket_lock,
        hold_ticket_lock,
        release_ticket_lock,
    ),
    lock(S::Qspinlock, qspinlock, hold_qspinlock, release_qspinlock),
    own(S::LockHolder, lock_holder, Interrupt),
    own(S::StoreStorm, store_storm, Interrupt),
    open(S::StoreStormPages, assembly!(stale_store_storm_seam)),
    own(S::PrfmStorm, prfm_storm, Interrupt),
    own(S::LoadStorm, load_storm, Interrupt),
    own(S::IfetchStorm, ifetch_storm, Interrupt),
    open(S::DcStorm, assembly!(stale_dc_storm)),
    open(S::IcStorm, assembly!(stale_ic_storm)),
    open(S::TlbiStorm, assembly!(stale_tlbi_storm)),
    own(S::SgiStorm, sgi_storm, Interrupt),
    own(S::DeviceStuck, device_stuck, Interrupt),
    own(S::FaultLoop, fault_loop, Interrupt),
    masked(S::MmuOff, assembly!(stale_mmu_off)),
    off(S::CpuOff, cpu_off),
    Row {
        proof: Interrupt,
        hold: Some(hold_cpu_off),
        ..off(S::CpuOffInflight, cpu_off_inflight)
    },
    off(S::CpuOffAbandoned, cpu_off_abandoned),
    Row {
        hold: Some(hold_cpu_on),
        ..off(S::CpuOnInflight, cpu_off)
    },
    Row {
        needs_psci: true,
        ..own(S::CpuSuspend, cpu_suspend, Answer)
    },
    own(S::CpuSuspendPowerdown, cpu_suspend_powerdown, Proof::Gone),
    own(S::SdeiParked, sdei_parked, Answer),
    off(S::CrashStopped, crash_stopped),
    off(S::NeverStarted, |_| ()),
];

const _: () = {
    assert!(ROWS.len() == StaleState::ALL.len(), "a row for each state");
    let mut nth = 0;
    while nth < ROWS.len() {
        assert!(ROWS[nth].state as usize == nth, "in the glossary's order");
        nth += 1;
    }
};

/// The row of a state.
pub fn row(state: StaleState) -> &'static Row {
    match state {
        S::DeviceStuck if loops::device().is_some() => &AT_DEVICE,
        _ => &ROWS[state as usize],
    }
}

/// The row of `device-stuck` at a device of the user's.
static AT_DEVICE: Row = own(S::DeviceStuck, device_stuck, Proof::Unanswered);

/// Does a core that is stuck this way take interrupts, and go back?
pub fn takes_interrupts(state: StaleState) -> bool {
    let row = row(state);
    row.proof == Interrupt && row.hold.is_none() && state != S::DeviceStuck
}

/// Gets this core stuck; returns when it is released.
pub fn enter(core: &'static Core, state: StaleState) {
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

/// Writes a new word for the core to answer, or `RELEASE`, and makes sure that the core
/// sees it, whether it polls with caches off, or is in WFE or in WFI.
#[inline(never)]
pub fn post_request(core: &Core, word: u32) {
    core.request.store(word, Ordering::Release);
    boot::clean(core::ptr::from_ref(&*core.request) as usize);
    arch::sev();
    core.call();
}

/// The word that the core answered last, from memory.
#[inline(never)]
pub fn read_ack(core: &Core) -> u64 {
    // A core with its caches off writes to memory: no cached copy may hide that.
    boot::clean(core::ptr::from_ref(&*core.ack) as usize);
    core.ack.load(Ordering::Acquire)
}
