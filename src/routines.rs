//! The kernel's routines (`boot/routines.S`), and those above them that call
//! them: `kexec_list_flush` and the maintenance of `machine_kexec`.

#![expect(unsafe_code, reason = "the routines are assembly on addresses")]

use stalecore_model::glossary::Subject;

use crate::entry;

/// What a flag in the low bits of a kexec list entry says (include/uapi and
/// include/linux/kexec.h: `IND_*`).
mod ind {
    pub const DESTINATION: usize = 1;
    pub const INDIRECTION: usize = 2;
    pub const DONE: usize = 4;
    pub const SOURCE: usize = 8;
    pub const FLAGS: usize = 15;
}

/// The kernel's page.
pub const PAGE: usize = 4096;

/// A routine: two arguments, 0 or -EFAULT back (or nothing of meaning).
type Routine = unsafe extern "C" fn(usize, usize) -> i64;

unsafe extern "C" {
    fn __flush_dcache_area(start: usize, size: usize) -> i64;
    fn flush_icache_range(start: usize, end: usize) -> i64;
    fn flush_icache_range_idc(start: usize, end: usize) -> i64;
    fn flush_icache_range_dic(start: usize, end: usize) -> i64;
    fn flush_icache_range_idc_dic(start: usize, end: usize) -> i64;
    fn flush_icache_range_clean_cache(start: usize, end: usize) -> i64;
    fn caches_clean_inval_pou(start: usize, end: usize) -> i64;
    fn dcache_clean_inval_poc(start: usize, end: usize) -> i64;
    fn icache_inval_pou(start: usize, end: usize) -> i64;
    fn selftest_hang(start: usize, end: usize) -> i64;
    fn __flush_icache_range(start: usize, end: usize) -> i64;
    fn run_stepped(start: usize, second: usize, routine: Routine) -> i64;
    fn capture_ic_ialluis(unused: usize, too: usize) -> i64;
    fn capture_tlbi_vaale1is(page: usize, unused: usize) -> i64;
}

/// The routine of that name in `boot/routines.S`, and whether its second
/// argument is a size.
fn leaf(subject: Subject) -> Option<(Routine, bool)> {
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
pub fn leaves(subject: Subject) -> alloc::vec::Vec<usize> {
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
    let routines = entry::routines_start() as u64..entry::routines_end() as u64;
    if !routines.contains(&address) {
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

/// Does the routine make freshly written code visible to instruction fetch?
pub const fn makes_code_visible(subject: Subject) -> bool {
    matches!(
        subject,
        Subject::FlushIcacheRange
            | Subject::FlushIcacheRangeSize
            | Subject::FlushIcacheRangeCleanCache
            | Subject::CachesCleanInvalPou
            | Subject::MachineKexec
            | Subject::SelftestStale
    )
}

/// The memory that a routine runs over.
#[derive(Clone, Copy)]
pub struct Area {
    /// The code, as it is executed.
    pub code: usize,
    /// The same bytes, as they are written.
    pub code_writable: usize,
    /// Bytes of code.
    pub size: usize,
    /// Data pages that kexec would load, and the list of them.
    pub data: usize,
    /// Bytes of data.
    pub data_size: usize,
    /// A page for the kexec list.
    pub list: usize,
}

/// Runs a routine over the area; what it returned.
pub fn run(subject: Subject, area: &Area) -> i64 {
    match subject {
        Subject::KexecListFlush => kexec_list_flush(area.list),
        // The end-argument bug is the report's own.
        Subject::MachineKexec => [
            Subject::FlushDcacheArea,
            Subject::FlushIcacheRangeSize,
            Subject::KexecListFlush,
        ]
        .into_iter()
        .map(|part| run(part, area))
        .find(|returned| *returned != 0)
        .unwrap_or(0),
        Subject::SelftestStale => run(Subject::FlushIcacheRange, area),
        _ => {
            let Some((routine, takes_size)) = leaf(subject) else {
                return 0;
            };
            let data = matches!(
                subject,
                Subject::FlushDcacheArea | Subject::DcacheCleanInvalPoc
            );
            let start = if data { area.data } else { area.code };
            let size = if data {
                area.data_size.min(PAGE)
            } else {
                area.size
            };
            let second = if takes_size { size } else { start + size };
            // SAFETY: the area is mapped, the code readable and executable;
            // maintenance changes no value that a program can read.
            let returned = unsafe { routine(start, second) };
            // Of the void routines x0 means nothing, but -EFAULT is set by the
            // exception handler alone.
            if returned == -14 { returned } else { 0 }
        }
    }
}

/// Flushes a kexec list and the pages that it names, as the kernel does before
/// it leaves. `entry` is the address of the first entry.
fn kexec_list_flush(mut entry: usize) -> i64 {
    // A damaged list must not run for ever: no real one is longer.
    for _ in 0..1_000_000 {
        // SAFETY: the list was built by `build_list` in mapped memory.
        if unsafe { __flush_dcache_area(entry, size_of::<usize>()) } == -14 {
            return -14;
        }
        // SAFETY: as above, and aligned.
        let value = unsafe { (entry as *const usize).read_volatile() };
        let address = value & !(PAGE - 1);
        match value & ind::FLAGS {
            ind::DONE => return 0,
            ind::INDIRECTION => {
                entry = address;
                continue;
            }
            // SAFETY: `build_list` names only pages of the area.
            ind::SOURCE if unsafe { __flush_dcache_area(address, PAGE) } == -14 => return -14,
            _ => {}
        }
        entry += size_of::<usize>();
    }
    -22 // -EINVAL: not a list
}

/// Writes a kexec list into the area's list page: one destination, the data
/// pages as sources, with an indirection in the middle, and the end.
///
/// # Safety
/// `area.list` must be a writable page that nobody else uses.
pub unsafe fn build_list(area: &Area) {
    let mut at = area.list;
    let mut push = |value: usize| {
        // SAFETY: at most 3 + 2 * pages entries, the page holds 512.
        unsafe { (at as *mut usize).write_volatile(value) };
        at += size_of::<usize>();
        if value & ind::FLAGS == ind::INDIRECTION {
            at = value & !(PAGE - 1);
        }
    };
    push(area.data | ind::DESTINATION);
    let pages = (area.data_size / PAGE).min(4);
    for page in 0..pages {
        push((area.data + page * PAGE) | ind::SOURCE);
    }
    // The list goes on in the page behind.
    push((area.list + PAGE) | ind::INDIRECTION);
    push((area.data + pages * PAGE) | ind::DESTINATION);
    push(ind::DONE);
}

/// Writes a function that returns `value` at `address`: `movz w0, #value; ret`.
///
/// # Safety
/// `address` must be writable, 4-byte aligned, and used by nobody else.
pub unsafe fn write_function(address: usize, value: u16) {
    let code = [0x5280_0000 | u32::from(value) << 5, 0xd65f_03c0];
    for (at, instruction) in code.into_iter().enumerate() {
        let address = (address + at * size_of::<u32>()) as *mut u32;
        // SAFETY: the caller vouches for the address.
        unsafe { address.write_volatile(instruction) }
    }
}

/// Calls the function that [`write_function`] wrote.
///
/// # Safety
/// `address` must be the executable view of such a function.
pub unsafe fn call_function(address: usize) -> u16 {
    // SAFETY: the caller vouches that there is a function of this type.
    let function: extern "C" fn() -> u32 = unsafe { core::mem::transmute(address) };
    function() as u16
}

/// Where in `selftest_hang` the instruction is that never ends.
pub fn hang_offset() -> u16 {
    unsafe extern "C" {
        fn selftest_hang_here();
    }
    (selftest_hang_here as *const () as usize - selftest_hang as *const () as usize) as u16
}
