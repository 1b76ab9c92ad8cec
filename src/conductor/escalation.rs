//! Climbs the release ladder: when an operation does not return, one thing after
//! another is tried on the stale cores, each timed, until the operation's mark moves.
//! What released it is the finding; so the first rung is to do nothing: what returns
//! then was released by nobody.

use core::sync::atomic::Ordering;

use stalecore_model::{
    cpuset::CpuSet,
    fabric,
    record::{INHERITED_SDEI, INHERITED_SGI, MOMENT, Rung, WAITED},
};

use super::sentinel::Held;
use crate::{
    cores::{mark, percpu::core, start},
    fabric as at_el2,
    hal::{arch, clock, gic, sdei, watchdog},
    report,
    stuck::{self, Release, StaleSet},
};

/// How long the effect of a rung may take to show, in milliseconds: a quarter of the
/// operation's deadline, within these limits. An emulated core that was released must
/// first get its turn on the host.
const TIMEOUT_MS: (u64, u64) = (600, 1000);

/// How long to wait, in milliseconds.
#[derive(Clone, Copy)]
pub struct Patience {
    /// How long an operation may take.
    pub deadline_ms: u32,
    /// How long to wait for it to return by itself, if that was asked for.
    pub wait_ms: Option<u32>,
}

/// Climbs one rung after another until the held operation's mark moves, at last for the
/// `disturbed` cores, which an earlier kernel left stuck. Did it? `tried`
/// is told of each rung before the next: a rung may hold up the core that climbs, as an
/// interrupt is sent behind a barrier, and firmware, which is asked last, does
/// maintenance of its own.
pub fn escalate(
    held: &Held,
    entered: &mut StaleSet,
    disturbed: &CpuSet,
    patience: Patience,
    mut tried: impl FnMut(Rung),
) -> bool {
    let deadline_ms = patience.deadline_ms;
    let timeout_ms = (u64::from(deadline_ms) / 4).clamp(TIMEOUT_MS.0, TIMEOUT_MS.1);
    let own = &core(held.cpu).mark;
    let mut moves = |rung: &str, start, timeout_ms| {
        let released = clock::wait_ms(timeout_ms, || {
            // A long wait must not look like silence to the watchdog or on the console.
            watchdog::refresh();
            report::waiting(mark::case());
            own.read().sequence != held.seen.sequence
        });
        tried(Rung {
            rung: rung.into(),
            us: clock::us_since(start),
            released,
        });
        released
    };
    // By itself: within the moment in which no rung gets the credit, or as was asked for.
    let wait_ms = patience.wait_ms.map_or(held.waited_ms / MOMENT, u64::from);
    if moves(WAITED, held.at, wait_ms) {
        return true;
    }
    for rung in fabric::Rung::ALL {
        let start = clock::now();
        if !step(*rung, entered) {
            continue;
        }
        at_el2::release(*rung, &entered.cpus);
        if moves(rung.name(), start, timeout_ms) {
            return true;
        }
    }
    for (rung, name, has) in [
        (fabric::Rung::Sgi, INHERITED_SGI, gic::reaches_strangers()),
        (fabric::Rung::Sdei, INHERITED_SDEI, sdei::is_on()),
    ] {
        if disturbed.is_empty() || !has {
            continue;
        }
        let start = clock::now();
        for cpu in disturbed.iter() {
            let core = core(cpu);
            match rung {
                fabric::Rung::Sgi => core.call(),
                _ => sdei::signal(core.cpu.mpidr),
            }
        }
        at_el2::release(rung, disturbed);
        if moves(name, start, timeout_ms) {
            return true;
        }
    }
    false
}

/// Does what a rung stands for; `false` where this state or machine does not have it.
fn step(rung: fabric::Rung, entered: &mut StaleSet) -> bool {
    let release = stuck::row(entered.state).release;
    match rung {
        fabric::Rung::Sev => arch::sev(),
        fabric::Rung::Unlock if matches!(release, Release::Unlock(..)) => entered.unlock(),
        fabric::Rung::Unlock => return false,
        fabric::Rung::Sgi if entered.state.powered_off() => return false,
        fabric::Rung::Sgi => entered.cpus.iter().for_each(|cpu| core(cpu).call()),
        fabric::Rung::Sdei if sdei::is_on() && !entered.state.powered_off() => {
            for cpu in entered.cpus.iter() {
                sdei::signal(core(cpu).cpu.mpidr);
            }
        }
        fabric::Rung::Sdei => return false,
        fabric::Rung::El2 if at_el2::can_kick() && !entered.state.powered_off() => {
            for cpu in entered.cpus.iter() {
                core(cpu).kicked.count.store(0, Ordering::Relaxed);
                core(cpu).kick();
            }
        }
        fabric::Rung::El2 => return false,
        fabric::Rung::Psci if matches!(release, Release::CpuOn) => {
            for cpu in entered.cpus.iter() {
                // A core that does not start is noticed when all are released.
                let _ = start::start(core(cpu));
            }
        }
        fabric::Rung::Psci => return false,
    }
    true
}

/// Where nothing released it: has EL2 complete the operation, so that the rest of
/// the plan can be run. Silicon offers no such thing.
pub fn force_complete(held: &Held) -> bool {
    if !at_el2::is_on() {
        return false;
    }
    core(held.cpu).force_complete.store(true, Ordering::Release);
    true
}
