//! Maps what a stack shows to the glossary's stale state that comes nearest.

use stalecore_model::glossary::StaleState;

use super::{fields::Symbol, stuck_rows::ROWS};

pub use super::stuck_rows::{Place, Stuck};

/// Reads a stack: the symbol where the core was, then its callers. The callers matter
/// only for calls to firmware: the outermost knows what was asked. `queued`: the
/// kernel's spinlocks are queued ones (from 4.19 on).
pub fn read(at: &Symbol, callers: &[Symbol], queued: bool) -> Stuck {
    let mut found = lookup(&at.name).unwrap_or(Stuck {
        place: Place::Other,
        state: StaleState::Spin,
        why: "is in code that says nothing about the shape of its wait; a load loop with \
              interrupts masked stands in for it",
    });
    if queued && found.state == StaleState::TicketLock {
        found.state = StaleState::LdxrStxr;
        found.why = "is in the fast path of a spinlock: an exclusive access to its word";
    }
    if found.place == Place::Firmware {
        let known = callers
            .iter()
            .map_while(|s| lookup(&s.name))
            .take_while(|s| s.place == Place::Firmware)
            .last();
        found = known.unwrap_or(found);
    }
    found
}

fn lookup(name: &str) -> Option<Stuck> {
    // Compilers append `.isra.0`, `.constprop.1` and the like.
    let name = name.split('.').next().unwrap_or(name);
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    };
    ROWS.iter()
        .find(|row| row.symbols.iter().any(fits))
        .map(|row| row.stuck)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> Symbol {
        Symbol {
            name: name.into(),
            offset: Some(0x10),
            size: Some(0x20),
        }
    }

    #[test]
    fn symbols_map_to_the_nearest_state() {
        for (name, state) in [
            ("queued_spin_lock_slowpath", StaleState::Qspinlock),
            ("_raw_spin_lock_irqsave", StaleState::TicketLock),
            ("_raw_spin_unlock_irqrestore", StaleState::Spin),
            ("smp_call_function_many_cond", StaleState::Wfe),
            ("cpu_do_idle", StaleState::WfiMasked),
            ("psci_cpu_suspend_enter", StaleState::CpuSuspend),
            ("__arm_smccc_smc", StaleState::CpuSuspend),
            ("flush_tlb_mm.isra.0", StaleState::TlbiStorm),
            ("ext4_find_entry", StaleState::Spin),
        ] {
            assert_eq!(read(&at(name), &[], false).state, state, "{name}");
        }
    }

    #[test]
    fn spinlocks_are_read_by_age() {
        let lock = at("_raw_spin_lock");
        assert_eq!(read(&lock, &[], true).state, StaleState::LdxrStxr);
        let slow = at("queued_spin_lock_slowpath");
        assert_eq!(read(&slow, &[], true).state, StaleState::Qspinlock);
    }

    #[test]
    fn a_firmware_call_is_named_by_its_caller() {
        let callers = [
            at("__invoke_psci_fn_smc"),
            at("psci_cpu_off"),
            at("cpu_psci_cpu_die"),
        ];
        let stuck = read(&at("__arm_smccc_smc"), &callers, true);
        assert_eq!(stuck.state, StaleState::CpuOffInflight);
        let callers = [
            at("psci_cpu_suspend_enter"),
            at("cpuidle_enter_state"),
            at("cpu_die"),
        ];
        let stuck = read(&at("__arm_smccc_smc"), &callers, true);
        assert_eq!(stuck.state, StaleState::CpuSuspend);
    }
}
