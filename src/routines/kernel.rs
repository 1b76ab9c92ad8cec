//! The kernel's routines (`boot/routines.S`, `boot/kdump.S`): which one a name
//! stands for, and where in it an address is.

#![expect(unsafe_code, reason = "the routines are assembly")]

use alloc::vec::Vec;

use stalecore_model::glossary::Subject;

use crate::hal::layout;

/// A routine: two arguments, 0 or -EFAULT back (or nothing of meaning).
pub type Routine = extern "C" fn(usize, usize) -> i64;

/// What a routine returns that has faulted: the kernel's -EFAULT, set by the
/// exception handler.
pub const EFAULT: i64 = -14;

// SAFETY: maintenance of a line changes no value that a program can read,
// whatever the address; what faults in this section returns [`EFAULT`].
unsafe extern "C" {
    pub safe fn __flush_dcache_area(start: usize, size: usize) -> i64;
    pub safe fn flush_icache_range(start: usize, end: usize) -> i64;
    pub safe fn flush_icache_range_idc(start: usize, end: usize) -> i64;
    pub safe fn flush_icache_range_dic(start: usize, end: usize) -> i64;
    pub safe fn flush_icache_range_idc_dic(start: usize, end: usize) -> i64;
    pub safe fn flush_icache_range_clean_cache(start: usize, end: usize) -> i64;
    pub safe fn caches_clean_inval_pou(start: usize, end: usize) -> i64;
    pub safe fn dcache_clean_inval_poc(start: usize, end: usize) -> i64;
    pub safe fn icache_inval_pou(start: usize, end: usize) -> i64;
    safe fn selftest_hang(start: usize, end: usize) -> i64;
    safe fn selftest_hang_here();
    pub safe fn __flush_icache_range(start: usize, end: usize) -> i64;
    /// Opens debug exceptions, and goes on in `routine`.
    pub safe fn run_stepped(start: usize, second: usize, routine: Routine) -> i64;
    pub safe fn capture_ic_ialluis(unused: usize, too: usize) -> i64;
    pub safe fn capture_tlbi_vaale1is(page: usize, unused: usize) -> i64;
}

/// The routine of that name in `boot/routines.S`, and whether its second
/// argument is a size.
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

/// How far into its routine an address is; `None` outside of all.
pub fn offset_of(address: u64) -> Option<u16> {
    if !layout::routines().contains(&address) {
        return None;
    }
    let starts = Subject::ALL
        .iter()
        .filter_map(|subject| Some(leaf(*subject)?.0 as usize as u64));
    // Those that are no subject of a plan.
    let others = [
        __flush_icache_range as *const () as u64,
        run_stepped as *const () as u64,
        capture_ic_ialluis as *const () as u64,
        capture_tlbi_vaale1is as *const () as u64,
    ];
    let start = starts
        .chain(others)
        .filter(|start| *start <= address)
        .max()?;
    u16::try_from(address - start).ok()
}

/// Where in `selftest_hang` the instruction is that never ends.
pub fn hang_offset() -> u16 {
    (selftest_hang_here as *const () as usize - selftest_hang as *const () as usize) as u16
}
