//! The kernels whose crash paths differ.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

/// A kernel version at which the crash path changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Kernel {
    /// The report's own: `flush_icache_range` is the assembly routine, and gets
    /// a size for an end.
    #[default]
    V4_18,
    /// The assembly is `__flush_icache_range`; `flush_icache_range` became a
    /// wrapper that also interrupts every core, which the crash path avoids.
    V4_19,
    /// The end argument is right (since 5.8).
    V5_10,
    /// No maintenance at crash time: it moved to when the image is loaded.
    V5_16,
    /// As 5.16, with the renamed routines at load time.
    V6_1,
    /// Stop requests are repeated as NMIs, and only cores that did not stop
    /// are named.
    V6_12,
}

impl Kernel {
    /// Every kernel, oldest first, with its name on the command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("4.18", Self::V4_18),
        ("4.19", Self::V4_19),
        ("5.10", Self::V5_10),
        ("5.16", Self::V5_16),
        ("6.1", Self::V6_1),
        ("6.12", Self::V6_12),
    ];

    /// The name on the command line: `4.18`.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kernel)| *kernel == self)
            .map_or("4.18", |(name, _)| name)
    }

    /// The kernel of that name.
    ///
    /// # Errors
    /// One line with the names there are.
    pub fn from_name(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kernel)| *kernel)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
                format!("'{name}' is not allowed; allowed: {}", names.join(", "))
            })
    }

    /// The kernel that behaves like version `major.minor`: the newest that is
    /// no newer. The oldest stands for everything before it. 5.8 and 5.9 have
    /// the right end argument, as 5.10.
    pub fn like(major: u32, minor: u32) -> Self {
        match (major, minor) {
            (0..=3, _) | (4, 0..=18) => Self::V4_18,
            (4, _) | (5, 0..=7) => Self::V4_19,
            (5, 8..=15) => Self::V5_10,
            (5, _) | (6, 0) => Self::V5_16,
            (6, 1..=11) => Self::V6_1,
            _ => Self::V6_12,
        }
    }

    /// What `uname -r` of the played kernel says.
    pub fn release(self) -> String {
        format!("{}.0-stalecore", self.name())
    }

    /// Does `machine_kexec` pass a size where the flush of the instruction
    /// cache takes an end, so that each of its loops runs once?
    pub fn passes_size_for_end(self) -> bool {
        self < Self::V5_10
    }

    /// Does `machine_kexec` do cache maintenance when the kernel has crashed?
    pub fn flushes_at_crash(self) -> bool {
        self < Self::V5_16
    }

    /// The routine that makes the relocation code visible to instruction
    /// fetch, at crash time or when the image is loaded.
    pub fn icache_routine(self) -> &'static str {
        match self {
            Self::V4_18 => "flush_icache_range",
            Self::V4_19 | Self::V5_10 => "__flush_icache_range",
            Self::V5_16 | Self::V6_1 | Self::V6_12 => "icache_inval_pou",
        }
    }

    /// The routine that writes data back to memory.
    pub fn dcache_routine(self) -> &'static str {
        if self.flushes_at_crash() {
            "__flush_dcache_area"
        } else {
            "dcache_clean_inval_poc"
        }
    }

    /// Are cores that stopped taken out of the list of those that failed to,
    /// and the others asked again by NMI? Older kernels name everybody else as
    /// soon as one core did not answer.
    pub fn names_only_failed(self) -> bool {
        self >= Self::V6_12
    }

    /// Registers on one line of a dump.
    pub fn register_columns(self) -> usize {
        if self >= Self::V5_16 { 3 } else { 2 }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_and_others_refused() {
        for (name, kernel) in Kernel::ALL {
            assert_eq!(Kernel::from_name(name), Ok(kernel));
            assert_eq!(kernel.name(), name);
        }
        assert!(Kernel::from_name("5.4").unwrap_err().contains("4.19, 5.10"));
    }

    #[test]
    fn a_version_is_played_by_the_newest_that_is_no_newer() {
        for (version, kernel) in [
            ((3, 10), Kernel::V4_18),
            ((4, 18), Kernel::V4_18),
            ((5, 4), Kernel::V4_19),
            ((5, 8), Kernel::V5_10),
            ((5, 15), Kernel::V5_10),
            ((5, 17), Kernel::V5_16),
            ((6, 6), Kernel::V6_1),
            ((6, 12), Kernel::V6_12),
            ((7, 0), Kernel::V6_12),
        ] {
            assert_eq!(Kernel::like(version.0, version.1), kernel, "{version:?}");
        }
        for (name, kernel) in Kernel::ALL {
            let (major, minor) = name.split_once('.').unwrap();
            assert_eq!(
                Kernel::like(major.parse().unwrap(), minor.parse().unwrap()),
                kernel
            );
        }
    }

    #[test]
    fn the_report_own_kernel_has_the_end_argument_bug_and_later_ones_do_not_flush() {
        let of = |ask: fn(Kernel) -> bool| Kernel::ALL.map(|(_, kernel)| ask(kernel));
        assert_eq!(
            of(Kernel::passes_size_for_end),
            [true, true, false, false, false, false]
        );
        assert_eq!(
            of(Kernel::flushes_at_crash),
            [true, true, true, false, false, false]
        );
        assert_eq!(
            of(Kernel::names_only_failed),
            [false, false, false, false, false, true]
        );
    }
}
