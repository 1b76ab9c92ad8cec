//! The image's maintenance instructions and the DSBs after them, one by one: with which
//! scenario each is missed, or why it is not.

/// An instruction by its symbol and name; the third is which of several.
pub type Place = (&'static str, &'static str, usize);

/// Scenarios by name, and what is run.
pub const MMU_OFF: &str = "--ops dc-civac --stale mmu-off --samples 4 --sweep off";
// The same many times over, as an answer that nobody reads is rare.
pub const MMU_OFF_OFTEN: &str =
    "--ops all --lines all --stale spin,mmu-off,cpu-off --samples 4 --sweep off";
// The first core is the one that had its caches on before code was written.
pub const FIRST_CORE_STALE: &str =
    "--ops dc-civac --stale mmu-off --initiators 2 --stale-cpus 0 --samples 4 --sweep off";
pub const PEN: &str = "--el 3 --ops dc-civac --stale spin --samples 4 --sweep off";
pub const KDUMP: &str = "--scenario kdump --kernel 4.18";
pub const NEWER_KDUMP: &str = "--scenario kdump --kernel 6.12";
// The core that makes code visible executes it itself.
pub const OWN_CODE: &str = "--ops caches-clean-inval-pou --stale spin --samples 4 --sweep off";
// EL2 reads its settings with its caches off.
pub const FABRIC: &str = "--ops dc-civac --stale spin --samples 4 --sweep off --fabric deaf=spin";
pub const UEFI: &str = "--boot uefi --ops dc-civac --stale spin --samples 4 --sweep off";

/// What is missed if it is left out: the place, the scenario, what it protects.
pub const NECESSARY: [(Place, &str, &str); 26] = [
    (
        ("invalidate_range", "dc ivac", 0),
        MMU_OFF,
        "the early page tables and `mmu_setup`, written with the caches off, from older copies in \
         caches",
    ),
    (
        ("mmu_on", "ic iallu", 0),
        UEFI,
        "a core that starts, from what its instruction cache holds of the memory that the loader \
         has put the image into",
    ),
    (
        ("stalecore_image::hal::boot::set_tables", "dc civac", 0),
        MMU_OFF,
        "`mmu_setup`, which cores read before their caches are on",
    ),
    (
        (
            "stalecore_image::hal::boot::release_from_pen",
            "dc civac",
            0,
        ),
        PEN,
        "the word that cores in the pen poll with the caches off",
    ),
    (
        ("stalecore_image::stuck::table::post_request", "dc civac", 0),
        MMU_OFF,
        "the word that a core in `mmu-off` polls",
    ),
    (
        ("stalecore_image::stuck::table::read_ack", "dc civac", 0),
        MMU_OFF,
        "who reads the answer of a core in `mmu-off`, from an older copy",
    ),
    (
        ("stale_mmu_off", "dc civac", 0),
        MMU_OFF,
        "the core in `mmu-off` from its own dirty copy of the word that it polls",
    ),
    (
        ("stale_mmu_off", "dc civac", 1),
        MMU_OFF,
        "its answer, from its own dirty copy being written back over it",
    ),
    (
        ("stale_mmu_off", "dc ivac", 0),
        MMU_OFF_OFTEN,
        "the core that leaves `mmu-off`, from an older copy of its last answer that nobody has read \
         since, when it writes that word again",
    ),
    (
        ("caches_clean_inval_pou", "dc cvau", 0),
        FIRST_CORE_STALE,
        "the code in initiators' areas: it reaches the point of unification before it is fetched",
    ),
    (
        ("caches_clean_inval_pou", "ic ivau", 0),
        FIRST_CORE_STALE,
        "the same, from what instruction caches hold of that memory",
    ),
    (
        ("stalecore_image::fabric::set_up", "dc civac", 0),
        FABRIC,
        "what EL2 is set up with, which it reads before its caches are on",
    ),
    (
        ("stalecore_image::fabric::set_up", "dsb", 0),
        FABRIC,
        "the same: it is in memory before EL2 is called",
    ),
    (
        ("__flush_dcache_area", "dc civac", 0),
        KDUMP,
        "kdump's relocation code, list and segments, which are read with the caches off (kernels \
         that flush at the crash)",
    ),
    (
        ("dcache_clean_inval_poc", "dc civac", 0),
        NEWER_KDUMP,
        "the same where the kernel flushes when the crash image is loaded, and memory that the \
         crash image is copied to, from dirty lines",
    ),
    (
        ("entry", "dsb", 2),
        MMU_OFF,
        "the early page tables: they are written before their lines are invalidated",
    ),
    (("entry", "dsb", 3), MMU_OFF, "the same for `mmu_setup`"),
    (
        ("invalidate_range", "dsb", 0),
        MMU_OFF,
        "both: the invalidate is over before the caches are on",
    ),
    (
        ("mmu_on", "dsb", 0),
        UEFI,
        "a core that starts: its instruction cache is empty before it is on",
    ),
    (
        ("stalecore_image::hal::boot::release_from_pen", "dsb", 0),
        PEN,
        "the word that the pen polls: it is in memory before the event",
    ),
    (
        ("stalecore_image::stuck::table::post_request", "dsb", 0),
        MMU_OFF,
        "the word that a core in `mmu-off` polls: it is in memory before the core is called",
    ),
    (
        ("stalecore_image::stuck::table::read_ack", "dsb", 0),
        MMU_OFF,
        "who reads the answer: older copies are gone before the load",
    ),
    (
        ("stale_mmu_off", "dsb", 0),
        MMU_OFF,
        "the core in `mmu-off`: its lines are clean before its caches are off",
    ),
    (
        ("caches_clean_inval_pou", "dsb", 0),
        FIRST_CORE_STALE,
        "code: it is at the point of unification before instruction caches are emptied",
    ),
    (
        ("caches_clean_inval_pou", "dsb", 1),
        OWN_CODE,
        "code: instruction caches are empty before the ISB behind which it is fetched",
    ),
    (
        ("dcache_clean_inval_poc", "dsb", 0),
        NEWER_KDUMP,
        "kdump's relocation code, list and segments: they are in memory before the crash",
    ),
];

/// What the checker does not miss, and the rule that makes it unnecessary or the reason
/// why nothing can be seen.
pub const NOT_MISSED: [(Place, &str); 20] = [
    (
        ("stalecore_image::cores::start::start", "dc civac", 0),
        "a started core reads its `Core` with the MMU and the caches on, and Normal Write-Back \
         memory of the Inner Shareable domain is coherent between the observers of that domain \
         (Arm ARM, Shareable Normal memory): nothing depends on it",
    ),
    (
        (
            "stalecore_image::report::recorder::empty_caches",
            "dc civac",
            0,
        ),
        "the flight recorder's memory is used past the caches from there on, and only firmware may \
         have used it through them before, on an earlier boot too, which the checker does not see. \
         The rules on mismatched memory attributes require it (Arm ARM, Mismatched memory attributes)",
    ),
    (
        ("icache_inval_pou", "ic ivau", 0),
        "the relocation code of kdump runs with SCTLR_EL1.I = 0, so its fetches are Non-cacheable; \
         kernels execute it all the same, and it is part of what is played",
    ),
    (
        ("entry", "dsb", 0),
        "orders the election's stores and loads, made with the caches off; no maintenance is behind it, \
         and accesses are in order under the emulator",
    ),
    (
        ("entry", "dsb", 1),
        "orders the election's stores and loads, made with the caches off; no maintenance is behind it, \
         and accesses are in order under the emulator",
    ),
    (
        ("stalecore_image::cores::percpu::Core::call", "dsb", 0),
        "orders stores before the interrupt that tells of them (Arm ARM, DSB); no maintenance is behind it, \
         and accesses are in order under the emulator",
    ),
    (
        ("stalecore_image::cores::percpu::call", "dsb", 0),
        "orders stores before the interrupt that tells of them (Arm ARM, DSB); no maintenance is behind it, \
         and accesses are in order under the emulator",
    ),
    (
        ("stalecore_image::cores::percpu::Core::send", "dsb", 0),
        "orders stores before the interrupt that tells of them (Arm ARM, DSB); no maintenance is behind it, \
         and accesses are in order under the emulator",
    ),
    (
        ("stale_mmu_off", "dsb", 1),
        "the answer is stored past the caches and read after maintenance of its reader's own; the barrier only hastens it",
    ),
    (
        ("stale_mmu_off", "dsb", 2),
        "the invalidate behind which the core turns its caches on: the core's next DSB, on its way to the next order, completes it before that line is written again. Before the caches are on is where it belongs",
    ),
    (
        ("el3_call", "dsb", 0),
        "a store to a device's register, which no cache holds",
    ),
    (
        ("stalecore_image::hal::boot::set_tables", "dsb", 0),
        "the DSB of `cores::start::start` or of `release_from_pen` comes before a core can read it, and a DSB completes all earlier maintenance of its core (Arm ARM, DSB)",
    ),
    (
        ("stalecore_image::cores::start::start", "dsb", 0),
        "as its `dc civac`: nothing depends on it",
    ),
    (
        ("stalecore_image::report::recorder::empty_caches", "dsb", 0),
        "as its `dc civac`: the older copies are of a boot that is not seen",
    ),
    (
        ("stalecore_image::hal::memory::use_tables", "dsb", 0),
        "waits for page tables and `tlbi`: TLBs are not seen",
    ),
    (
        ("stalecore_image::hal::memory::use_tables", "dsb", 1),
        "waits for page tables and `tlbi`: TLBs are not seen",
    ),
    (
        ("stalecore_image::hal::memory::use_tables", "dsb", 2),
        "waits for page tables and `tlbi`: TLBs are not seen",
    ),
    (
        ("el2_call", "dsb", 0),
        "waits for `tlbi alle2`: TLBs are not seen",
    ),
    (
        ("kdump_soft_restart", "dsb", 0),
        "each routine before it has waited for its own maintenance; this one is the kernel's",
    ),
    (
        ("__flush_dcache_area", "dsb", 0),
        "`flush_icache_range` and `kdump_soft_restart` wait again before the caches are off, which completes it (Arm ARM, DSB); it is the kernel's",
    ),
];

/// What is under test or sets it up: the operations and routines, the stale states that
/// do maintenance, the line states, the capture kernel's first broadcasts.
pub const UNDER_TEST: [&str; 11] = [
    "stalecore_routines::probe",
    "stalecore_image::measure::measurement",
    "stalecore_image::measure::routine",
    "stalecore_image::fabric::el2",
    "flush_icache_range",
    "stale_dc_storm",
    "stale_ic_storm",
    "stale_tlbi_storm",
    "capture_",
    "__flush_icache_range",
    "icache_inval_pou",
];

/// What is in the image but is not executed under its own name in any scenario: the
/// symbol's beginning, and why.
pub const ELSEWHERE: [(&str, &str); 6] = [
    (
        "el2_stage2",
        "waits for `tlbi vmalls12e1`, where stage 2 is asked for: TLBs are not seen",
    ),
    (
        "leave_for",
        "the next kernel of `--then kexec`, its tree and ramdisk, which start with the caches off, \
         from older copies: in a machine that was handed over to the image by kexec",
    ),
    (
        "sdei_event",
        "as in `stale_mmu_off`, for a core that EL2 keeps in an SDEI event: machines whose firmware \
         has that",
    ),
    (
        "kdump_relocate",
        "is copied and runs elsewhere, where it has no name: the destination's older copies, the \
         crash kernel's instructions. Under test, as the kernel's own",
    ),
    (
        "stalecore_image::cores::start::start",
        "the second `dc civac` and its DSB are for a spin table's word, which firmware may poll with \
         its caches off: machines without PSCI",
    ),
    (
        "stalecore_image::report::screen::settle",
        "waits until what was drawn has left the core, past the caches: machines with a screen",
    ),
];

/// The beginnings of the symbols that wait for page tables, which are walked through the
/// caches: whether such code has a name of its own is the compiler's choice.
pub const TABLE_WALKS: [&str; 3] = [
    "stalecore_image::hal::memory::Tables",
    "stalecore_image::hal::memory::Behind",
    "aarch64_paging",
];
