//! Brings cores up, and up again after they were turned off.

#![expect(unsafe_code, reason = "the spin table's mailbox is a physical address")]

use alloc::{format, string::String};
use core::sync::atomic::Ordering;

use stalecore_model::{cpuset::CpuSet, platform::Start};

use smccc::psci::error::Error;

use crate::{arch, clock::Deadline, core_local::Core, entry, psci, watchdog, worker::core};

/// Starts a core; it is up once [`Core::online`] says so.
///
/// # Errors
/// One line with the firmware's answer.
pub fn start(core: &'static Core) -> Result<(), String> {
    core.online.store(false, Ordering::Relaxed);
    // The core reads its stacks with its caches on, but let nothing depend on
    // that.
    entry::clean(core::ptr::from_ref(core) as usize);
    match core.cpu.start {
        Start::Psci => match psci::cpu_on(
            core.cpu.mpidr,
            entry::secondary_entry_address(),
            core::ptr::from_ref(core) as u64,
        ) {
            // Or on its way already, by a rung of the release ladder.
            Ok(()) | Err(Error::AlreadyOn | Error::OnPending) => Ok(()),
            Err(error) => Err(format!("CPU {}: PSCI CPU_ON: {error}", core.index)),
        },
        Start::SpinTable(address) => {
            let slot = address as *mut u64;
            // SAFETY: firmware says that it polls this word, and
            // `Tables::map_platform` has mapped it.
            unsafe { slot.write_volatile(entry::pen_address()) };
            entry::clean(slot as usize);
            arch::sev();
            entry::release_from_pen(core.cpu.mpidr, core);
            Ok(())
        }
        Start::Pen => {
            entry::release_from_pen(core.cpu.mpidr, core);
            Ok(())
        }
    }
}

/// Starts cores and waits until they are up.
///
/// # Errors
/// One line that names the cores that did not come.
pub fn start_all(cpus: &CpuSet) -> Result<(), String> {
    let waiting: CpuSet = cpus
        .iter()
        .filter(|cpu| !core(*cpu).online.load(Ordering::Acquire))
        .collect();
    // A pen lets out one core at a time: its word names one.
    for cpu in waiting.iter() {
        start(core(cpu))?;
        if core(cpu).cpu.start != Start::Psci {
            wait_online(&CpuSet::one(cpu))?;
        }
    }
    wait_online(&waiting)
}

fn wait_online(cpus: &CpuSet) -> Result<(), String> {
    let deadline = Deadline::after_ms(5000 + 100 * cpus.len() as u64);
    loop {
        watchdog::refresh();
        let missing: CpuSet = cpus
            .iter()
            .filter(|cpu| !core(*cpu).online.load(Ordering::Acquire))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(format!(
                "CPU {missing} did not come up within {} ms",
                deadline.ms()
            ));
        }
        arch::pause();
    }
}
