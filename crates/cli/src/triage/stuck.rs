//! Maps what a stack shows to the glossary's stale state that comes nearest.

use stalecore_model::glossary::StaleState;

use super::fields::Symbol;

/// What kind of place a core is stuck in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Waiting for a spinlock.
    Lock,
    /// Waiting for an answer of other CPUs.
    OtherCpus,
    /// Busy-waiting for something else.
    Wait,
    /// Idle.
    Idle,
    /// In firmware.
    Firmware,
    /// Retrying an exclusive access.
    Exclusive,
    /// In its own maintenance.
    Maintenance,
    /// Moving memory.
    Memory,
    /// Where interrupts were just opened again: it was stuck before that.
    InterruptsOpened,
    /// Stopped by a crash or shut down.
    Stopped,
    /// Code that says nothing about the shape of the wait.
    Other,
}

/// What a stack says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stuck {
    /// The kind of place.
    pub place: Place,
    /// The nearest stale state.
    pub state: StaleState,
    /// Why, in words.
    pub why: &'static str,
}

struct Row {
    /// Symbols, or with `*` at the end their beginnings.
    symbols: &'static [&'static str],
    stuck: Stuck,
}

const fn row(
    symbols: &'static [&'static str],
    place: Place,
    state: StaleState,
    why: &'static str,
) -> Row {
    Row {
        symbols,
        stuck: Stuck { place, state, why },
    }
}

/// The first row that names a symbol decides.
const ROWS: &[Row] = &[
    row(
        &[
            "queued_spin_lock_slowpath",
            "native_queued_spin_lock_slowpath",
        ],
        Place::Lock,
        StaleState::Qspinlock,
        "waits in the MCS queue of a spinlock: a load-acquire and wfe loop on the word of the \
         core before it; some other core holds the lock",
    ),
    row(
        &["queued_read_lock_slowpath", "queued_write_lock_slowpath"],
        Place::Lock,
        StaleState::Qspinlock,
        "waits for a queued read-write lock, whose queue is a queued spinlock",
    ),
    row(
        &[
            "_raw_spin_unlock*",
            "_raw_read_unlock*",
            "_raw_write_unlock*",
            "arch_local_irq_*",
        ],
        Place::InterruptsOpened,
        StaleState::Spin,
        "has just opened interrupts again: it was stuck before this place, with interrupts \
         masked, and the stack does not show where",
    ),
    row(
        &["_raw_spin_lock*", "do_raw_spin_lock", "ticket_spin_lock*"],
        Place::Lock,
        StaleState::TicketLock,
        "waits for a spinlock inside its inlined fast path: a ticket lock, as arm64 had until \
         4.18",
    ),
    row(
        &[
            "osq_lock",
            "mutex_spin_on_owner*",
            "rwsem_spin_on_owner*",
            "rwsem_optimistic_spin",
        ],
        Place::Lock,
        StaleState::Spin,
        "spins on the owner of a sleeping lock",
    ),
    row(
        &[
            "smp_call_function_many*",
            "smp_call_function_single*",
            "csd_lock_wait*",
            "generic_exec_single",
            "on_each_cpu*",
            "kick_all_cpus_sync",
        ],
        Place::OtherCpus,
        StaleState::Wfe,
        "waits in a wfe loop for other CPUs to answer a function call: this core is the victim, \
         the silent one is another",
    ),
    row(
        &["multi_cpu_stop", "stop_machine*", "rcu_momentary*"],
        Place::OtherCpus,
        StaleState::Spin,
        "spins until other CPUs reach the same point: this core is the victim, the silent one \
         is another",
    ),
    row(
        &[
            "cpu_do_idle",
            "arch_cpu_idle",
            "default_idle_call",
            "cpuidle_enter_state",
            "cpuidle_enter",
            "do_idle",
        ],
        Place::Idle,
        StaleState::WfiMasked,
        "is idle: the kernel waits in wfi with interrupts masked",
    ),
    row(
        &["psci_cpu_off", "cpu_psci_cpu_die", "cpu_die"],
        Place::Firmware,
        StaleState::CpuOffInflight,
        "is on its way into PSCI CPU_OFF",
    ),
    row(
        &[
            "psci_*",
            "acpi_processor_ffh_lpi_enter",
            "cpu_suspend",
            "arm_cpuidle_suspend",
        ],
        Place::Firmware,
        StaleState::CpuSuspend,
        "is in a firmware call that suspends the CPU",
    ),
    row(
        &[
            "__arm_smccc_smc",
            "__arm_smccc_hvc",
            "arm_smccc_*",
            "__invoke_psci_fn*",
            "sdei_*",
        ],
        Place::Firmware,
        StaleState::CpuSuspend,
        "is in a call to the firmware that has not come back; which call, the stack does not say",
    ),
    row(
        &[
            "ipi_cpu_crash_stop",
            "ipi_cpu_stop",
            "local_cpu_stop",
            "cpu_die_early",
        ],
        Place::Stopped,
        StaleState::CrashStopped,
        "has taken the stop SGI",
    ),
    row(
        &[
            "cpu_park_loop",
            "panic_smp_self_stop",
            "nmi_panic_self_stop",
        ],
        Place::Stopped,
        StaleState::CrashStopped,
        "is parked in wfe and wfi for ever",
    ),
    row(
        &["__ll_sc_*", "__cmpxchg_*", "__lse_*"],
        Place::Exclusive,
        StaleState::LdxrStxr,
        "retries an exclusive access",
    ),
    row(
        &[
            "flush_icache_range",
            "__flush_icache_range",
            "__flush_cache_user_range",
            "caches_clean_inval_*",
            "icache_inval_*",
            "invalidate_icache_range",
            "sync_icache_aliases",
            "__sync_icache_dcache",
        ],
        Place::Maintenance,
        StaleState::IcStorm,
        "is in instruction-cache maintenance of its own: perhaps itself blocked by another core",
    ),
    row(
        &[
            "__flush_dcache_area",
            "__inval_dcache_area",
            "__clean_dcache_area_*",
            "__dma_*",
            "dcache_*",
            "arch_sync_dma_*",
        ],
        Place::Maintenance,
        StaleState::DcStorm,
        "is in data-cache maintenance of its own: perhaps itself blocked by another core",
    ),
    row(
        &[
            "flush_tlb_*",
            "__flush_tlb_*",
            "arch_tlbbatch_flush",
            "ptep_clear_flush",
            "tlb_flush*",
        ],
        Place::Maintenance,
        StaleState::TlbiStorm,
        "is in TLB maintenance of its own: perhaps itself blocked by another core",
    ),
    row(
        &[
            "memset",
            "__memset",
            "__pi_memset",
            "clear_page",
            "__pi_clear_page",
            "__arch_clear_user",
        ],
        Place::Memory,
        StaleState::StoreStorm,
        "writes memory in bulk",
    ),
    row(
        &[
            "memcpy",
            "__memcpy",
            "__pi_memcpy",
            "copy_page",
            "__pi_copy_page",
            "__arch_copy_*",
            "memcmp",
            "crc32*",
        ],
        Place::Memory,
        StaleState::LoadStorm,
        "reads memory in bulk",
    ),
    row(
        &[
            "__delay",
            "__udelay",
            "__const_udelay",
            "__ndelay",
            "arch_timer_*",
        ],
        Place::Wait,
        StaleState::Wfe,
        "delays: on arm64 a wfe loop on the timer",
    ),
    row(
        &["el1_sync", "el1h_64_sync*", "el1_abort", "el1_da"],
        Place::Other,
        StaleState::FaultLoop,
        "is at the entry of an exception",
    ),
];

/// Reads a stack: the symbol where the core was, then its callers. Only calls
/// to the firmware look at the callers: the outermost knows what was asked. `queued` says that
/// the kernel's spinlocks are queued ones (from 4.19 on).
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
        .find(|row| row.symbols.iter().any(|p| fits(p)))
        .map(|row| row.stuck)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> Symbol {
        Symbol {
            name: name.into(),
            offset: 0x10,
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
