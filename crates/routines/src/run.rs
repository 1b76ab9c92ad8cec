//! Runs a routine over an area: the kernel's own, and their callers
//! `kexec_list_flush` and the maintenance of `machine_kexec`.

use stalecore_model::glossary::{Operand, Subject};

use super::{
    area::{Area, PAGE},
    kernel::{self, EFAULT, Second, leaf},
    kexec_list,
};

/// Runs a routine over the area; what it returned.
pub fn run(subject: Subject, area: &Area) -> i64 {
    if subject == Subject::KexecListFlush {
        return kexec_list_flush(area.list);
    }
    if let Some((routine, second)) = leaf(subject) {
        let (start, size) = match subject.operand() {
            Operand::Data => (area.data, area.data_size.min(PAGE)),
            _ => (area.code, area.size),
        };
        let returned = match second {
            Second::Size => routine(start, size),
            Second::End => routine(start, start + size),
        };
        // After a void routine x0 means nothing, but only the exception handler
        // sets -EFAULT.
        return if returned == EFAULT { returned } else { 0 };
    }
    let mut parts = subject.parts().iter().map(|part| run(*part, area));
    parts.find(|returned| *returned != 0).unwrap_or(0)
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
