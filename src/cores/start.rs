//! Brings cores up, and up again after they were turned off.

#![expect(unsafe_code, reason = "the spin table's mailbox is a physical address")]

use alloc::{format, string::String};
use core::sync::atomic::Ordering;

use stalecore_model::{cpuset::CpuSet, platform::Start};

use smccc::psci::error::Error;

use super::{
    ask::wait_for,
    percpu::{Core, core},
};
use crate::hal::{arch, boot, psci};

/// Starts a core; it is up once [`Core::online`] says so.
///
/// # Errors
/// One line with the firmware's answer.
pub fn start(core: &'static Core) -> Result<(), String> {
    core.online.store(false, Ordering::Relaxed);
    // The core reads its stacks with its caches on, but let nothing depend on
    // that.
    boot::clean(core.address());
    match core.cpu.start {
        Start::Psci => match psci::cpu_on(
            core.cpu.mpidr,
            boot::secondary_entry_address(),
            core.address() as u64,
        ) {
            // Or on its way already, by a rung of the release ladder.
            Ok(()) | Err(Error::AlreadyOn | Error::OnPending) => Ok(()),
            Err(error) => Err(format!("CPU {}: PSCI CPU_ON: {error}", core.index)),
        },
        Start::SpinTable(address) => {
            let slot = address as *mut u64;
            // SAFETY: firmware says that it polls this word, and
            // `Tables::map_platform` has mapped it.
            unsafe { slot.write_volatile(boot::pen_address()) };
            boot::clean(slot as usize);
            arch::sev();
            boot::release_from_pen(core.cpu.mpidr, core.address());
            Ok(())
        }
        Start::Pen => {
            boot::release_from_pen(core.cpu.mpidr, core.address());
            Ok(())
        }
    }
}

/// Starts cores and waits until they are up.
///
/// # Errors
/// One line that names the cores that did not come.
pub fn start_all(cpus: &CpuSet) -> Result<(), String> {
    let waiting: CpuSet = cpus.iter().filter(|cpu| !core(*cpu).is_online()).collect();
    // A pen lets out one core at a time: its word names one.
    for cpu in waiting.iter() {
        start(core(cpu))?;
        if core(cpu).cpu.start != Start::Psci {
            wait_up(&CpuSet::one(cpu))?;
        }
    }
    wait_up(&waiting)
}

fn wait_up(cpus: &CpuSet) -> Result<(), String> {
    wait_for(cpus, "to come up", Core::is_online, |_| ())
}
