//! The kernel's routines (`routines.S`): which one a name stands for.

#![expect(unsafe_code, reason = "the routines are assembly")]

use alloc::vec::Vec;

use stalecore_model::glossary::Subject;

/// A routine: two arguments, 0 or -EFAULT back (or nothing of meaning).
pub type Routine = extern "C" fn(usize, usize) -> i64;

/// What a routine returns that has faulted: the kernel's -EFAULT, set by the
/// exception handler.
pub const EFAULT: i64 = -14;

// SAFETY: maintenance of a line changes no value that a program can read,
// whatever the address; what faults in this section returns [`EFAULT`].
unsafe extern "C" {
    /// 4.18: cleans and invalidates to the point of coherency.
    pub safe fn __flush_dcache_area(start: usize, size: usize) -> i64;
    /// 4.18: makes written code visible to instruction fetch; the alternatives unused.
    pub safe fn flush_icache_range(start: usize, end: usize) -> i64;
    /// The same where CTR_EL0.IDC is set: no cleaning.
    pub safe fn flush_icache_range_idc(start: usize, end: usize) -> i64;
    /// The same where CTR_EL0.DIC is set: no invalidation.
    pub safe fn flush_icache_range_dic(start: usize, end: usize) -> i64;
    /// The same where both are set: a barrier for stores is left.
    pub safe fn flush_icache_range_idc_dic(start: usize, end: usize) -> i64;
    /// The same with `dc civac` for `dc cvau`, an alternative for errata.
    pub safe fn flush_icache_range_clean_cache(start: usize, end: usize) -> i64;
    /// From 5.14 on: `flush_icache_range`.
    pub safe fn caches_clean_inval_pou(start: usize, end: usize) -> i64;
    /// From 5.14 on: `__flush_dcache_area`, by its end.
    pub safe fn dcache_clean_inval_poc(start: usize, end: usize) -> i64;
    /// From 5.14 on: invalidates instructions alone.
    pub safe fn icache_inval_pou(start: usize, end: usize) -> i64;
    /// 4.19 to 5.13: `flush_icache_range` without its kick of other cores.
    pub safe fn __flush_icache_range(start: usize, end: usize) -> i64;
}

#[cfg(target_os = "none")]
// SAFETY: never returns, and changes nothing but what is masked.
unsafe extern "C" {
    safe fn selftest_hang(start: usize, end: usize) -> i64;
    safe fn selftest_hang_here();
}

/// The routine of that name, and whether its second argument is a size; `None`
/// for what is no routine by itself, and for what this exception level may not
/// execute.
pub fn leaf(subject: Subject) -> Option<(Routine, bool)> {
    Some(match subject {
        Subject::FlushDcacheArea => (__flush_dcache_area, true),
        Subject::FlushIcacheRange => (flush_icache_range, false),
        // The report's machine_kexec passed a size where an end belongs: the
        // size is below the start, so each loop runs once.
        Subject::FlushIcacheRangeSize => (flush_icache_range, true),
        Subject::FlushIcacheRangeIdc => (flush_icache_range_idc, false),
        Subject::FlushIcacheRangeDic => (flush_icache_range_dic, false),
        // All that is left of it is a barrier for stores.
        Subject::FlushIcacheRangeIdcDic | Subject::SelftestUnseen => {
            (flush_icache_range_idc_dic, false)
        }
        Subject::FlushIcacheRangeCleanCache => (flush_icache_range_clean_cache, false),
        Subject::CachesCleanInvalPou => (caches_clean_inval_pou, false),
        Subject::DcacheCleanInvalPoc => (dcache_clean_inval_poc, false),
        Subject::IcacheInvalPou => (icache_inval_pou, false),
        #[cfg(target_os = "none")]
        Subject::SelftestHang => (selftest_hang, true),
        _ => return None,
    })
}

/// The addresses of the assembly routines that a routine consists of.
pub fn leaves(subject: Subject) -> Vec<usize> {
    let parts: &[Subject] = match subject {
        Subject::KexecListFlush => &[Subject::FlushDcacheArea],
        Subject::MachineKexec => &[Subject::FlushDcacheArea, Subject::FlushIcacheRangeSize],
        Subject::SelftestStale => &[Subject::FlushIcacheRange],
        _ => &[subject],
    };
    parts
        .iter()
        .filter_map(|part| Some(leaf(*part)?.0 as usize))
        .collect()
}

/// Where the routines of this crate begin.
pub fn starts() -> impl Iterator<Item = usize> {
    let other: Routine = __flush_icache_range;
    Subject::ALL
        .iter()
        .filter_map(|subject| Some(leaf(*subject)?.0))
        .chain([other])
        .map(|routine| routine as usize)
}

#[cfg(target_os = "none")]
/// Where in `selftest_hang` the instruction is that never ends.
pub fn hang_offset() -> u16 {
    (selftest_hang_here as *const () as usize - selftest_hang as *const () as usize) as u16
}
