//! The kernel's routines (`routines.S`): which one a name stands for.

#![expect(unsafe_code, reason = "the routines are assembly")]

use alloc::vec::Vec;

use stalecore_model::glossary::Subject;

/// A routine: takes two arguments, returns 0 or -EFAULT (a void routine: anything).
pub type Routine = extern "C" fn(usize, usize) -> i64;

/// What a routine that has faulted returns: the kernel's -EFAULT, set by the
/// exception handler.
pub const EFAULT: i64 = -14;

/// What a routine's second argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Second {
    /// Where its range ends.
    End,
    /// How long its range is.
    Size,
}

/// Defines the routines of `routines.S`: each with the subjects that are this
/// routine alone, and what they pass as its second argument.
macro_rules! routines {
    ($($(#[$meta:meta])* $routine:ident: $($subject:ident($second:ident)),*;)*) => {
        // SAFETY: maintenance of a line changes no value that a program can
        // read, whatever the address; what faults in this section returns
        // [`EFAULT`].
        unsafe extern "C" {
            $($(#[$meta])* pub safe fn $routine(start: usize, second: usize) -> i64;)*
        }

        /// Every routine, by its symbol.
        const ROUTINES: &[(&str, Routine)] = &[$((stringify!($routine), $routine)),*];

        /// The routine that is all of a subject, and what its second argument
        /// is; `None` for what is composed, or no routine, and for what this
        /// exception level may not execute.
        pub fn leaf(subject: Subject) -> Option<(Routine, Second)> {
            match subject {
                $($(Subject::$subject => Some(($routine, Second::$second)),)*)*
                #[cfg(target_os = "none")]
                Subject::SelftestHang => Some((selftest_hang, Second::Size)),
                _ => None,
            }
        }
    };
}

routines! {
    /// 4.18: cleans and invalidates to the point of coherency.
    __flush_dcache_area: FlushDcacheArea(Size);
    /// 4.18: makes written code visible to instruction fetch; the alternatives
    /// unused. The report's machine_kexec passed a size where an end belongs: it
    /// is below the start, so each loop runs once.
    flush_icache_range: FlushIcacheRange(End), FlushIcacheRangeSize(Size);
    /// The same where CTR_EL0.IDC is set: no cleaning.
    flush_icache_range_idc: FlushIcacheRangeIdc(End);
    /// The same where CTR_EL0.DIC is set: no invalidation.
    flush_icache_range_dic: FlushIcacheRangeDic(End);
    /// The same where both are set: a barrier for stores is left.
    flush_icache_range_idc_dic: FlushIcacheRangeIdcDic(End);
    /// The same with `dc civac` for `dc cvau`, an alternative for errata.
    flush_icache_range_clean_cache: FlushIcacheRangeCleanCache(End);
    /// From 5.14 on: `flush_icache_range`.
    caches_clean_inval_pou: CachesCleanInvalPou(End);
    /// From 5.14 on: `__flush_dcache_area`, by its end.
    dcache_clean_inval_poc: DcacheCleanInvalPoc(End);
    /// From 5.14 on: invalidates instructions alone.
    icache_inval_pou: IcacheInvalPou(End);
    /// 4.19 to 5.13: `flush_icache_range` without its kick of other cores.
    __flush_icache_range: ;
}

#[cfg(target_os = "none")]
// SAFETY: what is masked, or opened, is no value that a program can read; the rest
// is maintenance, as above. The hang never returns.
unsafe extern "C" {
    safe fn selftest_hang(start: usize, end: usize) -> i64;
    safe fn selftest_hang_here();
    /// Opens debug exceptions, and goes on in `routine`.
    pub safe fn run_stepped(start: usize, second: usize, routine: Routine) -> i64;
    /// What a capture kernel broadcasts while it patches its alternatives.
    pub safe fn capture_ic_ialluis(unused: usize, too: usize) -> i64;
    /// What it broadcasts while it clears a slot of its fixmap.
    pub safe fn capture_tlbi_vaale1is(page: usize, unused: usize) -> i64;
}

/// The routine of that symbol.
///
/// # Panics
/// A kernel's row names a routine that `routines.S` does not have.
pub fn named(symbol: &str) -> Routine {
    let found = ROUTINES.iter().find(|(name, _)| *name == symbol);
    found.expect("a routine of routines.S").1
}

/// The addresses of the assembly routines that a routine consists of.
pub fn leaves(subject: Subject) -> Vec<usize> {
    let own = leaf(subject).map(|(routine, _)| routine as usize);
    let parts = subject.parts().iter().flat_map(|part| leaves(*part));
    own.into_iter().chain(parts).collect()
}

/// Where the routines of this crate begin.
pub fn starts() -> impl Iterator<Item = usize> {
    let all = ROUTINES.iter().map(|(_, routine)| *routine as usize);
    #[cfg(target_os = "none")]
    let all = all.chain([
        selftest_hang as *const () as usize,
        run_stepped as *const () as usize,
        capture_ic_ialluis as *const () as usize,
        capture_tlbi_vaale1is as *const () as usize,
    ]);
    all
}

#[cfg(target_os = "none")]
/// The offset in `selftest_hang` of the instruction that never ends.
pub fn hang_offset() -> u16 {
    (selftest_hang_here as *const () as usize - selftest_hang as *const () as usize) as u16
}
