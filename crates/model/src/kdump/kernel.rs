//! The kernels whose crash paths differ.

use alloc::{format, string::String};
use core::fmt;

/// What is known about a kernel. Each row names what differs from the one before.
pub(super) struct Facts {
    /// The first version, major and minor, that behaves like it.
    since: (u32, u32),
    /// Does `machine_kexec` do cache maintenance when the kernel has crashed?
    flushes_at_crash: bool,
    /// Does `machine_kexec` pass a size where the flush of the instruction
    /// cache takes an end, so that each of its loops runs once?
    passes_size_for_end: bool,
    /// The routine that writes data back to memory.
    dcache_routine: &'static str,
    /// The routine that makes the relocation code visible to instruction
    /// fetch, at crash time or when the image is loaded.
    icache_routine: &'static str,
    /// What `machine_kexec` does to caches between the warning that cores may
    /// be stale and "Bye!", in words.
    maintenance: &'static str,
    /// Does it name only the cores that failed to stop, and ask them again by NMI? Older
    /// kernels name all other cores as soon as one did not answer.
    names_only_failed: bool,
    /// Are cores that still run then asked once more through firmware (SDEI), if it signals
    /// events? Masked interrupts do not hold that up.
    asks_by_firmware: bool,
    /// Registers on one line of a dump.
    register_columns: usize,
    /// The bits of the processor state that a dump shows with a sign, in order.
    pub(super) pstate_signs: &'static [(u32, &'static str)],
    /// Does a dump show the branch type?
    pub(super) shows_btype: bool,
    /// Does a warning end with a number?
    pub(super) numbers_warnings: bool,
    /// Does a stack dump name the user, and spell the taint out?
    pub(super) names_user: bool,
    /// Does a warning name its place first, then CPU and task, and does a stack
    /// dump name the preemption model?
    pub(super) names_place_first: bool,
}

/// Defines the kernels, oldest first, each with its name on the command line.
macro_rules! kernels {
    ($($(#[$meta:meta])* $kernel:ident = $name:literal, $facts:expr;)*) => {
        $(const $kernel: Facts = $facts;)*

        /// A kernel version at which the crash path changed.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
        pub enum Kernel { $($(#[$meta])* $kernel,)* }

        impl Kernel {
            /// Every kernel, oldest first, with its name on the command line.
            pub const ALL: [(&'static str, Self); [$($name),*].len()] =
                [$(($name, Self::$kernel)),*];

            /// Their names: `4.18, 4.19, …`.
            pub const NAMES: &str = {
                let names = concat!($($name, ", "),*);
                names.split_at(names.len() - 2).0
            };

            /// The name on the command line: `4.18`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kernel => $name),* }
            }

            /// What is known about it.
            pub(super) const fn facts(self) -> &'static Facts {
                match self { $(Self::$kernel => &$kernel),* }
            }
        }
    };
}

kernels! {
    /// The report's own: `flush_icache_range` is the assembly routine, and gets
    /// a size for an end.
    #[default]
    V4_18 = "4.18", Facts {
        since: (0, 0),
        flushes_at_crash: true,
        passes_size_for_end: true,
        dcache_routine: "__flush_dcache_area",
        icache_routine: "flush_icache_range",
        maintenance: "__flush_dcache_area (dc civac, dsb sy), then flush_icache_range with a size \
                      passed for its end (so exactly one dc cvau, at +36, and one ic ivau, at \
                      +92), then kexec_list_flush (dc civac)",
        names_only_failed: false,
        asks_by_firmware: false,
        register_columns: 2,
        pstate_signs: &[(22, "PAN"), (23, "UAO")],
        shows_btype: false,
        numbers_warnings: true,
        names_user: false,
        names_place_first: false,
    };
    /// The assembly is `__flush_icache_range`; `flush_icache_range` became a
    /// wrapper that also interrupts every core, which the crash path avoids.
    V4_19 = "4.19", Facts {
        since: (4, 19),
        icache_routine: "__flush_icache_range",
        maintenance: "__flush_dcache_area (dc civac, dsb sy), then __flush_icache_range with a \
                      size passed for its end (so exactly one dc cvau and one ic ivau), then \
                      kexec_list_flush (dc civac)",
        ..V4_18
    };
    /// The end argument is right (since 5.8).
    V5_10 = "5.10", Facts {
        since: (5, 8),
        passes_size_for_end: false,
        maintenance: "__flush_dcache_area (dc civac, dsb sy), then __flush_icache_range over the \
                      relocation code (dc cvau and ic ivau, a line at a time), then \
                      kexec_list_flush (dc civac)",
        pstate_signs: &[(22, "PAN"), (23, "UAO"), (25, "TCO")],
        shows_btype: true,
        ..V4_19
    };
    /// No maintenance at crash time: it moved to when the image is loaded.
    V5_16 = "5.16", Facts {
        since: (5, 16),
        flushes_at_crash: false,
        dcache_routine: "dcache_clean_inval_poc",
        icache_routine: "icache_inval_pou",
        maintenance: "no cache maintenance at all",
        register_columns: 3,
        pstate_signs: &[(22, "PAN"), (23, "UAO"), (25, "TCO"), (24, "DIT"), (12, "SSBS")],
        numbers_warnings: false,
        ..V5_10
    };
    /// As 5.16, with the renamed routines at load time.
    V6_1 = "6.1", Facts {
        since: (6, 1),
        ..V5_16
    };
    /// Stop requests are repeated as NMIs, and only cores that did not stop
    /// are named.
    V6_12 = "6.12", Facts {
        since: (6, 12),
        names_only_failed: true,
        names_user: true,
        ..V6_1
    };
    /// Cores that no interrupt stops are asked once more through firmware. (The
    /// words changed in between, the path from 6.12 to 7.2 did not.)
    V7_3 = "7.3", Facts {
        since: (7, 3),
        asks_by_firmware: true,
        names_place_first: true,
        ..V6_12
    };
    // The next goes here.
}

impl Kernel {
    /// The kernel of that name.
    ///
    /// # Errors
    /// One line with the allowed names.
    pub fn from_name(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kernel)| *kernel)
            .ok_or_else(|| format!("'{name}' is not allowed; allowed: {}", Self::NAMES))
    }

    /// The kernel that behaves like version `major.minor`: the newest that is not newer.
    /// The oldest stands for everything before it.
    pub fn like(major: u32, minor: u32) -> Self {
        let mut kernels = Self::ALL.iter().map(|(_, kernel)| *kernel).rev();
        kernels
            .find(|kernel| kernel.facts().since <= (major, minor))
            .unwrap_or_default()
    }

    /// What `uname -r` of the played kernel says.
    pub fn release(self) -> String {
        format!("{}.0-stalecore", self.name())
    }

    /// Does `machine_kexec` pass a size where the flush of the instruction
    /// cache takes an end, so that each of its loops runs once?
    pub const fn passes_size_for_end(self) -> bool {
        self.facts().passes_size_for_end
    }

    /// Does `machine_kexec` do cache maintenance when the kernel has crashed?
    pub const fn flushes_at_crash(self) -> bool {
        self.facts().flushes_at_crash
    }

    /// The routine that makes the relocation code visible to instruction
    /// fetch, at crash time or when the image is loaded.
    pub const fn icache_routine(self) -> &'static str {
        self.facts().icache_routine
    }

    /// The routine that writes data back to memory.
    pub const fn dcache_routine(self) -> &'static str {
        self.facts().dcache_routine
    }

    /// What `machine_kexec` does to caches between the warning that cores may
    /// be stale and "Bye!", in words.
    pub const fn maintenance(self) -> &'static str {
        self.facts().maintenance
    }

    /// Does it name only the cores that failed to stop, and ask them again by NMI?
    pub const fn names_only_failed(self) -> bool {
        self.facts().names_only_failed
    }

    /// Are cores that still run after that asked once more through firmware (SDEI), if it
    /// signals events?
    pub const fn asks_by_firmware(self) -> bool {
        self.facts().asks_by_firmware
    }

    /// Registers on one line of a dump.
    pub const fn register_columns(self) -> usize {
        self.facts().register_columns
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
            ((7, 2), Kernel::V6_12),
            ((7, 3), Kernel::V7_3),
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
        let first = |ask: fn(Kernel) -> bool| {
            let mut kernels = Kernel::ALL.iter().filter(|(_, kernel)| ask(*kernel));
            kernels.next().map(|(name, _)| *name)
        };
        assert_eq!(first(Kernel::passes_size_for_end), Some("4.18"));
        assert_eq!(first(|kernel| !kernel.passes_size_for_end()), Some("5.10"));
        assert_eq!(first(Kernel::flushes_at_crash), Some("4.18"));
        assert_eq!(first(|kernel| !kernel.flushes_at_crash()), Some("5.16"));
        assert_eq!(first(Kernel::names_only_failed), Some("6.12"));
        assert_eq!(first(Kernel::asks_by_firmware), Some("7.3"));
        let newest = Kernel::ALL.last().map(|(_, kernel)| *kernel);
        assert_eq!(newest, Some(Kernel::like(99, 0)));
    }
}
