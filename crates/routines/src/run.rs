//! Runs a routine over an area: the kernel's, and those above them that call
//! them: `kexec_list_flush` and the maintenance of `machine_kexec`.

use stalecore_model::glossary::Subject;

use super::{
    area::{Area, PAGE},
    kernel::{self, EFAULT, leaf},
    kexec_list,
};

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
            let returned = routine(start, second);
            // Of the void routines x0 means nothing, but -EFAULT is set by the
            // exception handler alone.
            if returned == EFAULT { returned } else { 0 }
        }
    }
}

/// Flushes a kexec list and the pages that it names, as the kernel does before
/// it leaves.
fn kexec_list_flush(list: usize) -> i64 {
    /// No real list is longer.
    const LIMIT: usize = 1_000_000;
    /// -EINVAL: not a list.
    const EINVAL: i64 = -22;
    let flush = |start, size| match kernel::__flush_dcache_area(start, size) {
        EFAULT => Err(EFAULT),
        _ => Ok(()),
    };
    kexec_list::walk(list, LIMIT, EINVAL, flush)
        .err()
        .unwrap_or(0)
}
