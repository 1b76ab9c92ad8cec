//! The errata, a row each. Revisions are those of TF-A's tables
//! (`lib/cpus/aarch64`), or of the source that the row names.

use super::{About, Core, EVERY, Erratum, Sure};
use crate::glossary::{LineState, StaleState as State, Subject};

use State::{
    BranchSelf, CpuOff, CpuOffAbandoned, CpuOffInflight, CpuSuspend, CpuSuspendPowerdown,
    CrashStopped, DeviceStuck, IcStorm, IfetchStorm, LdxrStxr, LoadStorm, NeverStarted, Parked,
    PrfmStorm, Qspinlock, Spin, StoreStorm, StoreStormPages, TicketLock, Wfe, WfeMasked, WfiMasked,
};
use Subject::{
    DcCivac, DcCvac, DcCvau, DsbIdle, DsbSy, FlushDcacheArea, FlushIcacheRange,
    FlushIcacheRangeSize, IcIalluis, IcIvau, LdrDevice, MachineKexec, Stxr, TlbiVaae1is,
    TlbiVale1is, TlbiVmalle1, TlbiVmalle1is,
};

/// Splits each row into what the image needs and what people read, so that an
/// image that names nothing but numbers does not carry the prose.
macro_rules! errata {
    ($($number:literal, $cores:expr, $ops:expr, $states:expr
        $(, line $line:ident)? $(, board $board:literal)?;
        $trigger:literal; $effect:literal; $source:literal; $sure:ident $(; lacks $lacks:literal)?;
    )*) => {
        /// Every erratum.
        pub const ERRATA: &[Erratum] = &[$(Erratum {
            number: $number,
            cores: &$cores,
            ops: subjects(&$ops),
            states: states(&$states),
            $(line: LineState::$line,)?
            $(board: Some($board),)?
            ..NOTHING
        }),*];

        /// What is said about each, in the same order.
        pub const ABOUT: &[About] = &[$(About {
            trigger: $trigger,
            effect: $effect,
            source: $source,
            sure: Sure::$sure,
            lacks: one(&[$($lacks)?]),
        }),*];
    };
}

const NOTHING: Erratum = Erratum {
    number: "",
    cores: &[],
    board: None,
    ops: 0,
    states: 0,
    line: LineState::DirtyHere,
};

/// A bit for each.
const fn subjects(all: &[Subject]) -> u64 {
    let (mut set, mut nth) = (0, 0);
    while nth < all.len() {
        set |= 1 << all[nth] as u8;
        nth += 1;
    }
    set
}

/// A bit for each.
const fn states(all: &[State]) -> u64 {
    let (mut set, mut nth) = (0, 0);
    while nth < all.len() {
        set |= 1 << all[nth] as u8;
        nth += 1;
    }
    set
}

/// The text of a row that has one.
const fn one(texts: &[&'static str]) -> Option<&'static str> {
    match texts {
        [text, ..] => Some(text),
        [] => None,
    }
}

/// States in which a core waits, and may be put into retention meanwhile.
const WAITING: [State; 4] = [Parked, WfiMasked, Wfe, WfeMasked];
/// The ways into power-down.
const GOING: [State; 4] = [CpuOff, CpuOffInflight, CpuSuspendPowerdown, CrashStopped];
/// The same, for a wake-up that cuts one short.
const AGAIN: [State; 4] = [
    CpuOffAbandoned,
    CpuOffInflight,
    CpuSuspendPowerdown,
    CrashStopped,
];
/// One operation of each class.
const EACH: [Subject; 4] = [DcCivac, IcIvau, TlbiVaae1is, FlushIcacheRange];
/// What may be outstanding when a core powers down.
const OUTSTANDING: [Subject; 5] = [DcCivac, IcIvau, TlbiVaae1is, DsbSy, FlushDcacheArea];

errata! {
    "3392149", [Core::arm(0x8a0, (0, 0))], [IcIvau, IcIalluis, FlushIcacheRange],
        [Parked, WfiMasked, WfeMasked, Spin, BranchSelf, LoadStorm, IfetchStorm, IcStorm,
         CpuSuspend];
        "receives an invalidation of instruction caches (when, is not public)";
        "the receiver may deadlock, and with it who waits for its answer";
        "TF-A cc2da10ff"; Stated;

    "3782181", [Core::of(0x41, 0xd84, [(0, 1), (0, 1)])], EACH, WAITING;
        "waits by WFI or WFE, in full retention (FULL_RET)";
        "the core does not leave it, and the system deadlocks";
        "TF-A 742be3893"; Stated;
        lacks "firmware that has it enabled";

    "2618597", [Core::arm(0xd4f, (0, 1))], EACH, WAITING;
        "waits by WFI or WFE, in full retention (FULL_RET)";
        "the core does not leave it, and the system deadlocks";
        "TF-A c0f8ce537"; Inferred;
        lacks "firmware that has it enabled";

    "2615812", [Core::arm(0xd4e, (1, 1))], EACH, WAITING;
        "waits by WFI or WFE, in full retention (FULL_RET)";
        "the core does not leave it, and the system deadlocks";
        "TF-A, ERRATA_X3_2615812"; Inferred;
        lacks "firmware that has it enabled";

    "3672349", [Core::arm(0xd46, (1, 3))], EACH, WAITING;
        "waits by WFI or WFE, in full retention (FULL_RET)";
        "the core does not leave it, and the system deadlocks";
        "TF-A af1fa7963"; Inferred;
        lacks "firmware that has it enabled";

    "3630925", [Core::arm(0x8a0, (0, 0))], EACH, WAITING;
        "waits by WFI or WFE, in full retention (FULL_RET)";
        "the core does not leave it, and the system deadlocks";
        "TF-A c1e05dfa4"; Inferred;
        lacks "firmware that has it enabled";

    "2743102", [Core::arm(0xd0c, (4, 1)), Core::arm(0xd0b, (4, 1))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A 8ce40503a, 49273098a"; Inferred;

    "2743100", [Core::arm(0xd0d, (1, 1))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_A77_2743100"; Inferred;

    "2772019", [Core::arm(0xd41, (1, 2))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_A78_2772019"; Inferred;

    "2772121", [Core::arm(0xd4b, (0, 2))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_A78C_2772121"; Inferred;

    "2743093", [Core::arm(0xd40, (1, 2))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_V1_2743093"; Inferred;

    "2743089", [Core::arm(0xd49, (0, 2))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_N2_2743089"; Inferred;

    "2768515", [Core::arm(0xd47, (2, 1)), Core::arm(0xd48, (2, 1))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_A710_2768515, ERRATA_X2_2768515"; Inferred;

    "2743088", [Core::arm(0xd4e, (1, 1))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A f43e9f57d"; Inferred;

    "2801372", [Core::arm(0xd4f, (0, 1))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A 40c81ed53"; Inferred;

    "2740089", [Core::arm(0xd82, (0, 1))], OUTSTANDING, GOING;
        "powers down with accesses outstanding (its sequence lacks a DSB before the ISB)";
        "maintenance that is under way may not be completed";
        "TF-A, ERRATA_X4_2740089"; Inferred;

    "2326639", [Core::arm(0xd49, (0, 0))], OUTSTANDING, AGAIN;
        "powers down again after a power-down that a wake-up cut short";
        "the core deadlocks in power-down";
        "TF-A 43438ad1a"; Stated;

    "2291219", [Core::arm(0xd47, (2, 0)), Core::arm(0xd48, (2, 0))], OUTSTANDING,
        AGAIN;
        "powers down again after a power-down that a wake-up cut short";
        "the core deadlocks in power-down";
        "TF-A 989c798d5"; Stated;

    "2313909", [Core::arm(0xd4e, (1, 0))], OUTSTANDING, AGAIN;
        "powers down again after a power-down that a wake-up cut short";
        "the core deadlocks in power-down";
        "TF-A 795441269"; Stated;

    "DSU 798953", [Core::arm(0xd05, EVERY), Core::arm(0xd0a, EVERY), Core::arm(0xd0b, EVERY)],
        [DcCivac, IcIvau, TlbiVaae1is, FlushIcacheRange, LdrDevice],
        [Parked, WfiMasked, Wfe, WfeMasked, DeviceStuck];
        "near idle: every core of the cluster waits";
        "the DSU misses responses on its ACE or peripheral port: deadlock";
        "TF-A 0e985d708 (DSU r0p0)"; Stated;
        lacks "the DSU's own revision: only the core is looked at";

    "DSU 936184",
        [Core::arm(0xd05, EVERY), Core::arm(0xd0a, EVERY), Core::arm(0xd0b, EVERY),
         Core::arm(0xd0c, EVERY)],
        EACH, WAITING;
        "near idle: every core of the cluster waits";
        "deadlock or data corruption";
        "TF-A 8a6771803 (DSUs older than r2p0 that have an ACP)"; Stated;
        lacks "the DSU's own revision: only the core is looked at";

    "DSU 2313941",
        [Core::arm(0xd46, EVERY), Core::arm(0xd47, EVERY), Core::arm(0xd48, EVERY),
         Core::arm(0xd49, EVERY)],
        EACH, WAITING;
        "near idle, with the clock of the SCLK domain gated";
        "not public; the workaround keeps that clock on";
        "TF-A 7e3273e8e (DSU-110 up to r3p1)"; Inferred;
        lacks "the DSU's own revision: only the core is looked at";

    "836019", [Core::arm(0xd07, (1, 3))], EACH, [StoreStorm, LoadStorm];
        "its accesses leave a false hazard in the L2";
        "what waits for that hazard stalls";
        "TF-A b6a347366"; Inferred;

    "817171", [Core::arm(0xd07, (0, 1))], EACH, WAITING;
        "waits while regions of the L2 have their clock gated";
        "not public; the workaround keeps the clocks on";
        "TF-A 5c5365037"; Inferred;

    "826319", [Core::arm(0xd03, (0, 2))], [DcCvac, DcCvau, FlushIcacheRange],
        [StoreStorm, LoadStorm];
        "reads and writes much over an AMBA 4 interface that does not take a write";
        "a clean waits for read data that waits for it: deadlock";
        "Linux, ARM64_ERRATUM_826319"; Stated;

    "1542419", [Core::of(0x41, 0xd0c, [(3, 0), (4, 0)])], [IcIvau, FlushIcacheRange], [IfetchStorm],
        line ExecutedThere;
        "executes instructions that another core modifies";
        "it may execute the old ones";
        "Linux, ARM64_ERRATUM_1542419; TF-A"; Stated;
        lacks "a look at what the stale core executes after the flush";

    "2376748", [Core::arm(0xd42, (0, 2))], [Stxr, DcCivac], [PrfmStorm];
        "prefetches a line for a store that it never makes";
        "a store exclusive to that line, by another core, may fail again and again";
        "TF-A, ERRATA_A78_AE_2376748"; Stated;

    "2376738", [Core::arm(0xd49, (0, 3))], [Stxr, DcCivac], [PrfmStorm];
        "prefetches a line for a store that it never makes";
        "a store exclusive to that line, by another core, may fail again and again";
        "TF-A, ERRATA_N2_2376738"; Inferred;

    "2294912", [Core::arm(0xd40, (1, 2))], [Stxr, DcCivac], [PrfmStorm];
        "prefetches a line for a store that it never makes";
        "a store exclusive to that line, by another core, may fail again and again";
        "TF-A, ERRATA_V1_2294912"; Inferred;

    "2719105", [Core::arm(0xd4f, (0, 1))], [Stxr, DcCivac], [PrfmStorm];
        "prefetches a line for a store that it never makes";
        "a store exclusive to that line, by another core, may fail again and again";
        "TF-A, ERRATA_V2_2719105"; Inferred;

    "A72 exclusives", [Core::arm(0xd08, EVERY)], EACH, [LdxrStxr, TicketLock, Qspinlock];
        "is between LDXR and STXR, where snoops are to be answered late";
        "who waits for the snoop waits as long";
        "TF-A 5668db72b (J784S4), 5acf82b2e (LX2160)"; Stated;
        lacks "a board where firmware has set that bit; only the core is looked at";

    "BCM2711 stall", [Core::arm(0xd08, EVERY)],
        [TlbiVmalle1, TlbiVaae1is, TlbiVmalle1is, IcIvau, DsbIdle],
        [NeverStarted, Wfe, WfeMasked, WfiMasked], board "Raspberry Pi 4";
        "waits in WFE, the whole machine idle for a while";
        "the next TLBI, or the next access at all, takes n times 10.8 s";
        "arcanii/AIOS, logs of June and July 2026"; Reported;
        lacks "a machine that is idle for longer: --dwell 60s";

    "CVE-2025-10263",
        [Core::arm(0xd0b, EVERY), Core::arm(0xd0c, EVERY), Core::arm(0xd84, EVERY)],
        [TlbiVaae1is, TlbiVale1is, TlbiVmalle1is], [StoreStormPages];
        "has a store under way that crosses from one page to the next";
        "the TLBI and its DSB complete before the store has";
        "Arm, CVE-2025-10263; TF-A TFV-17, which names more cores"; Stated;
        lacks "the revisions that have it: every one is taken";

    "S2500 kdump", [Core::of(0x70, 0x663, [(0, 0), EVERY])],
        [IcIvau, FlushIcacheRangeSize, MachineKexec],
        [CpuOffInflight, CrashStopped, Qspinlock, Spin, WfiMasked];
        "is inside CPU_OFF or does not take the stop interrupt, as kdump leaves it";
        "ic ivau does not return";
        "the report that this project started from"; Reported;
        lacks "the board: D2000 and FT-2000/4 have the same MIDR";
}
