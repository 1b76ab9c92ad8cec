//! The release ladder: when an operation does not return, one thing after the
//! other is tried on the stale cores, each timed, until its mark moves. What
//! released it is the finding.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use stalecore_model::{fabric, record::Rung};

use crate::{
    arch, clock, cores, fabric as at_el2, gic, mark,
    scenario::Entered,
    sentinel::Held,
    stuck::{self, Release},
    worker::core,
};

/// How long a rung may take to show, in milliseconds: a quarter of the
/// operation's deadline, within these. An emulated core that was let go must
/// first get its turn on the host.
const PATIENCE_MS: (u64, u64) = (600, 1000);

/// Climbs until the held operation's mark moves; the rungs that were tried.
pub fn climb(held: &Held, entered: &mut Entered, deadline_ms: u32) -> Vec<Rung> {
    let patience = (u64::from(deadline_ms) / 4).clamp(PATIENCE_MS.0, PATIENCE_MS.1);
    let mut tried = Vec::new();
    for rung in fabric::Rung::ALL {
        let start = arch::cntvct();
        if !step(*rung, entered) {
            continue;
        }
        at_el2::release(*rung, &entered.cpus);
        let released = loop {
            if mark::read(core(held.cpu)).sequence != held.seen.sequence {
                break true;
            }
            if clock::ms_since(start) >= patience {
                break false;
            }
            arch::pause();
        };
        tried.push(Rung {
            rung: rung.name().into(),
            us: clock::us_since(start),
            released,
        });
        if released {
            break;
        }
    }
    tried
}

/// Does what a rung is; `false` where it is none for this state or machine.
fn step(rung: fabric::Rung, entered: &mut Entered) -> bool {
    let release = stuck::row(entered.state).release;
    match rung {
        fabric::Rung::Sev => arch::sev(),
        fabric::Rung::Unlock if release == Release::Unlock => entered.unlock(),
        fabric::Rung::Unlock => return false,
        fabric::Rung::Sgi if entered.state.powered_off() => return false,
        fabric::Rung::Sgi => entered.cpus.iter().for_each(|cpu| gic::call(core(cpu))),
        fabric::Rung::El2 if at_el2::can_kick() && !entered.state.powered_off() => {
            for cpu in entered.cpus.iter() {
                core(cpu).kicked.0.count.store(0, Ordering::Relaxed);
                gic::kick(core(cpu));
            }
        }
        fabric::Rung::El2 => return false,
        fabric::Rung::Psci if release == Release::CpuOn => {
            for cpu in entered.cpus.iter() {
                // One that does not start is missed when all are released.
                let _ = cores::start(core(cpu));
            }
        }
        fabric::Rung::Psci => return false,
    }
    true
}

/// Where nothing released it: lets EL2 give the operation up, so that the rest
/// of the plan can be run. On silicon there is no such thing.
pub fn give_up(held: &Held) -> bool {
    if !at_el2::is_on() {
        return false;
    }
    core(held.cpu).given_up.store(true, Ordering::Release);
    true
}
