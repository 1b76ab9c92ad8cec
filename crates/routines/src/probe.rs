//! The timed block: `isb; mrs; op; [dsb]; isb; mrs`, one block of assembly for
//! each operation, class and counter. Nothing else is in it.
//!
//! A fault on the operation continues at the block's closing `isb` through the
//! exception table; the caller finds it noted on the core.

#![expect(unsafe_code, reason = "the timed blocks")]

use core::arch::asm;

use stalecore_model::glossary::Subject;

use crate::counter::Counter;

/// Times one block on an address; ticks of the counter.
pub type Block = fn(usize) -> u64;
/// Times `count` operations back to back, then the barrier behind them: (address,
/// stride, count) to the ticks of each.
pub type DepthBlock = fn(usize, usize, u32) -> (u64, u64);

/// Instructions between the two counter reads of the empty block, counted
/// from the first read to the second: the first `mrs` itself and the `isb`.
pub const WRITTEN: u64 = 2;

/// How one operation is timed, by each counter.
pub struct Probe {
    /// Without a barrier.
    pub issue: [Block; 2],
    /// With the barrier that the kernel uses behind it.
    pub complete: Option<[Block; 2]>,
    /// Back to back.
    pub depth: Option<[DepthBlock; 2]>,
}

/// One timed block: what comes before the first read, what is timed.
macro_rules! block {
    ($counter:literal, $before:literal, $timed:literal, $barrier:literal) => {{
        #[inline(never)]
        fn timed(address: usize) -> u64 {
            let (start, end): (u64, u64);
            // SAFETY: maintenance changes no value that a program can read (`dc ivac`
            // may, in the caller's buffer, where nobody keeps anything); what is not
            // maintenance runs on a far line or a register that may be read. A fault on
            // it is caught by the entry in the exception table and noted; the registers
            // are the block's own. Memory is clobbered: no access moves over the block.
            unsafe {
                asm!(
                    $before,
                    "isb",
                    concat!("mrs {start}, ", $counter),
                    concat!("2: ", $timed),
                    $barrier,
                    "3: isb",
                    concat!("mrs {end}, ", $counter),
                    ".pushsection __ex_table, \"a\"",
                    ".balign 4",
                    ".long (2b - .), (3b - .)",
                    ".popsection",
                    "/* {address} */",
                    address = in(reg) address,
                    start = out(reg) start,
                    end = out(reg) end,
                    out("x16") _,
                    options(nostack)
                )
            }
            end.wrapping_sub(start)
        }
        timed as Block
    }};
}

/// Operations back to back, then the barrier. The loop's own two instructions are far
/// cheaper than any operation that leaves the core.
macro_rules! depth_block {
    ($counter:literal, $timed:literal, $barrier:literal) => {{
        #[inline(never)]
        fn timed(address: usize, stride: usize, count: u32) -> (u64, u64) {
            let (start, middle, end): (u64, u64, u64);
            // SAFETY: as in `block!`; the addresses are those of the caller's
            // buffer, which the caller has seen to be mapped.
            unsafe {
                asm!(
                    "isb",
                    concat!("mrs {start}, ", $counter),
                    concat!("2: ", $timed),
                    "add {address}, {address}, {stride}",
                    "subs {count:w}, {count:w}, #1",
                    "b.ne 2b",
                    "isb",
                    concat!("mrs {middle}, ", $counter),
                    $barrier,
                    "isb",
                    concat!("mrs {end}, ", $counter),
                    address = inout(reg) address => _,
                    stride = in(reg) stride,
                    count = inout(reg) count.max(1) => _,
                    start = out(reg) start,
                    middle = out(reg) middle,
                    end = out(reg) end,
                    options(nostack)
                )
            }
            (middle.wrapping_sub(start), end.wrapping_sub(middle))
        }
        timed as DepthBlock
    }};
}

/// A pair of blocks, one for each counter, in the order of [`Counter`].
macro_rules! blocks {
    ($before:literal, $timed:literal, $barrier:literal) => {
        [
            block!("pmccntr_el0", $before, $timed, $barrier),
            block!("cntvct_el0", $before, $timed, $barrier),
        ]
    };
}

/// The blocks of the depth sweep, as [`blocks`].
macro_rules! depth_blocks {
    ($timed:literal, $barrier:literal) => {
        [
            depth_block!("pmccntr_el0", $timed, $barrier),
            depth_block!("cntvct_el0", $timed, $barrier),
        ]
    };
}

/// An operation with its kernel barrier, and its depth sweep.
macro_rules! operation {
    ($timed:literal, $barrier:literal) => {{
        static PROBE: Probe = Probe {
            issue: blocks!("", $timed, ""),
            complete: Some(blocks!("", $timed, $barrier)),
            depth: Some(depth_blocks!($timed, $barrier)),
        };
        &PROBE
    }};
}

/// Something timed by itself, after `before`.
macro_rules! alone {
    ($before:literal, $timed:literal) => {{
        static PROBE: Probe = Probe {
            issue: blocks!($before, $timed, ""),
            complete: None,
            depth: None,
        };
        &PROBE
    }};
}

/// How an operation is timed; `None` for routines and self-tests that are not
/// one instruction, and for what this exception level may not execute.
///
/// The barriers are the kernel's: `dsb sy` behind maintenance to the point of
/// coherency, `dsb ish` behind the rest, `dsb nsh` behind local maintenance.
pub fn of(subject: Subject) -> Option<&'static Probe> {
    Some(match subject {
        Subject::None => alone!("", ""),
        // The one cache operation by address whose address emulators translate.
        Subject::SelftestFault => alone!("", "dc zva, {address}"),
        Subject::DcCivac => operation!("dc civac, {address}", "dsb sy"),
        Subject::DcCvac => operation!("dc cvac, {address}", "dsb sy"),
        Subject::DcCvau => operation!("dc cvau, {address}", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::DcIvac => operation!("dc ivac, {address}", "dsb sy"),
        Subject::IcIvau => operation!("ic ivau, {address}", "dsb ish"),
        Subject::IcIvauNsh => operation!("ic ivau, {address}", "dsb nsh"),
        #[cfg(target_os = "none")]
        Subject::IcIalluis => operation!("ic ialluis", "dsb ish"),
        // The operand is a page number; the buffers are below 2^48.
        #[cfg(target_os = "none")]
        Subject::TlbiVaae1is => operation!("tlbi vaae1is, {address}", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::TlbiVae1is => operation!("tlbi vae1is, {address}", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::TlbiVale1is => operation!("tlbi vale1is, {address}", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::TlbiVaale1is => operation!("tlbi vaale1is, {address}", "dsb ish"),
        // ASID 0 is the entry code's.
        #[cfg(target_os = "none")]
        Subject::TlbiAside1is => operation!("tlbi aside1is, xzr", "dsb ish"),
        // By number, as the assembler knows the name only with FEAT_TLBIRANGE.
        #[cfg(target_os = "none")]
        Subject::TlbiRvae1is => operation!("sys #0, C8, C2, #1, {address}", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::TlbiVae1 => operation!("tlbi vae1, {address}", "dsb nsh"),
        #[cfg(target_os = "none")]
        Subject::TlbiVaae1 => operation!("tlbi vaae1, {address}", "dsb nsh"),
        #[cfg(target_os = "none")]
        Subject::TlbiVmalle1is => operation!("tlbi vmalle1is", "dsb ish"),
        // Calls of EL2, by the numbers of boot/levels.S.
        #[cfg(target_os = "none")]
        Subject::TlbiAlle2is => operation!("hvc #1", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::TlbiVmalls12e1is => operation!("hvc #2", "dsb ish"),
        #[cfg(target_os = "none")]
        Subject::IcIallu => operation!("ic iallu", "dsb nsh"),
        #[cfg(target_os = "none")]
        Subject::TlbiVmalle1 => operation!("tlbi vmalle1", "dsb nsh"),
        Subject::DsbIsh => alone!("ic ivau, {address}", "dsb ish"),
        Subject::DsbSy => alone!("ic ivau, {address}", "dsb sy"),
        Subject::DsbNsh => alone!("ic ivau, {address}", "dsb nsh"),
        Subject::DsbOsh => alone!("ic ivau, {address}", "dsb osh"),
        #[cfg(target_os = "none")]
        Subject::DsbIshTlbi => alone!("tlbi vaae1is, {address}", "dsb ish"),
        Subject::DsbIdle => alone!("dsb sy", "dsb ish"),
        // No DSB behind a control: it would wait for maintenance. The branch waits for
        // the value, and the `isb` for the branch.
        #[cfg(target_os = "none")]
        Subject::LdrCold | Subject::LdrDevice => {
            alone!("", "ldr {end:w}, [{address}]\ncbz {end:w}, 3f")
        }
        // Far lines begin with `br x16`, the way back.
        #[cfg(target_os = "none")]
        Subject::IfetchCold => alone!("", "adr x16, 3f\nbr {address}"),
        #[cfg(target_os = "none")]
        Subject::DcZva => alone!("", "dc zva, {address}"),
        #[cfg(target_os = "none")]
        Subject::Stxr => alone!(
            "",
            "ldxr {end:w}, [{address}]\nstxr w16, {end:w}, [{address}]\ncbz w16, 3f"
        ),
        #[cfg(target_os = "none")]
        Subject::Ldadd => alone!(
            "",
            ".arch_extension lse\nldadd wzr, w16, [{address}]\ncbz w16, 3f"
        ),
        _ => return None,
    })
}

/// Operations per timed block where the counter is too coarse for one.
pub const COARSE_BATCH: u32 = 16;

/// How many operations one timed block holds.
pub fn batch_of(subject: Subject, counter: Counter) -> u32 {
    let has_depth = of(subject).is_some_and(|p| p.depth.is_some());
    if counter == Counter::Cntvct && has_depth {
        COARSE_BATCH
    } else {
        1
    }
}
