//! The kernel's symbols in which a core can be found stuck, and the stale state
//! that comes nearest to each.

use stalecore_model::glossary::StaleState;

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

/// Symbols that mean one thing.
pub struct Row {
    /// Symbols; one with `*` at the end stands for all that begin like it.
    pub symbols: &'static [&'static str],
    /// What they mean.
    pub stuck: Stuck,
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
pub const ROWS: &[Row] = &[
    row(
        &[
            "queued_spin_lock_slowpath",
            "native_queued_spin_lock_slowpath",
        ],
        Place::Lock,
        StaleState::Qspinlock,
        "spins on a spinlock, first in line (on the lock's own word) or in its queue (on the \
         word of the core before it); which of the two depends on the kernel's build, and who \
         holds the lock is not in this stack",
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
