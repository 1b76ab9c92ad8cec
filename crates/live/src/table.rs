//! The stale states that a thread can be in: what it does there, and what lets it go.

use std::sync::atomic::Ordering;

use stalecore_model::glossary::StaleState;
use stalecore_routines::stuck::{self, Loop};

use crate::{far, locks, status::Status};

/// How a stale thread is let go.
#[derive(Clone, Copy)]
pub enum Release {
    /// The word that it polls, or a call that returns past its loop.
    Call,
    /// The lock that it waits for, by what takes it and what releases it.
    Unlock(fn(), fn()),
    /// Its CPU comes back online.
    Online,
}

/// What a thread does.
enum Doing {
    /// It sleeps, and waits for what comes next.
    Sleeps,
    /// This loop on its scratch.
    Loop(Loop),
    /// Something of its own.
    Own(fn(&Status)),
}

/// One state.
pub struct Row {
    doing: Doing,
    /// The way out.
    pub release: Release,
}

const fn row(doing: Doing) -> Row {
    Row {
        doing,
        release: Release::Call,
    }
}

/// The row of a state; one that no thread can be in sleeps, and is not asked for.
pub fn of(state: StaleState) -> Row {
    use StaleState as S;
    match state {
        S::Wfe => row(Doing::Loop(stuck::stale_wfe)),
        S::Spin => row(Doing::Loop(stuck::stale_spin)),
        S::BranchSelf => row(Doing::Loop(stuck::stale_branch_self)),
        S::DmbLoop => row(Doing::Loop(stuck::stale_dmb_loop)),
        S::LdxrStxr => row(Doing::Loop(stuck::stale_ldxr_stxr)),
        S::TicketLock => Row {
            doing: Doing::Own(locks::ticket_lock),
            release: Release::Unlock(locks::hold_ticket_lock, locks::release_ticket_lock),
        },
        S::Qspinlock => Row {
            doing: Doing::Own(locks::qspinlock),
            release: Release::Unlock(locks::hold_qspinlock, locks::release_qspinlock),
        },
        S::LockHolder => row(Doing::Own(|own| {
            let held = own.lock.lock();
            own.stay(stuck::stale_spin, own.scratch);
            drop(held);
        })),
        S::StoreStorm => row(Doing::Loop(stuck::stale_store_storm)),
        S::StoreStormPages => row(Doing::Loop(stuck::stale_store_storm_pages)),
        S::PrfmStorm => row(Doing::Own(|own| {
            own.stay(stuck::stale_prfm_storm, own.target.load(Ordering::Relaxed));
        })),
        S::LoadStorm => row(Doing::Loop(stuck::stale_load_storm)),
        S::IfetchStorm => row(Doing::Own(|own| {
            own.stay(stuck::stale_ifetch_storm, far::ring().start);
        })),
        S::DcStorm => row(Doing::Loop(stuck::stale_dc_storm)),
        S::IcStorm => row(Doing::Loop(stuck::stale_ic_storm)),
        S::CpuOff => Row {
            doing: Doing::Sleeps,
            release: Release::Online,
        },
        _ => row(Doing::Sleeps),
    }
}

impl Row {
    /// Does the thread sleep, so that there is nothing for it to do?
    pub const fn sleeps(&self) -> bool {
        matches!(self.doing, Doing::Sleeps)
    }

    /// Gets this thread stuck; returns when it is let go.
    pub fn enter(&self, own: &Status) {
        match self.doing {
            Doing::Sleeps => {}
            Doing::Loop(stuck) => own.stay(stuck, own.scratch),
            Doing::Own(stuck) => stuck(own),
        }
    }
}
