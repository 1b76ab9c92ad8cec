//! What the kernel's kdump path does, by version: the eras that
//! `stalecore run --kernel` plays.

/// Kernels whose kdump path is alike. The name of an era is its first version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Era {
    /// Up to 4.18: `flush_icache_range` is the routine itself, and
    /// `machine_kexec` passes it a size for an end.
    V4_18,
    /// 4.19 to 5.7: the routine is `__flush_icache_range`, the size is still
    /// passed for an end.
    V4_19,
    /// 5.8 to 5.15: a real end is passed; the whole range is maintained.
    V5_10,
    /// 5.16 to 6.0: the maintenance happens when the crash kernel is loaded.
    V5_16,
    /// 6.1 to 6.11: as before.
    V6_1,
    /// From 6.12: one stop routine, with an NMI retry and a list of only those
    /// CPUs that are still up.
    V6_12,
}

impl Era {
    /// The era of a release such as `4.18.0-147.5.1.el8_1.aarch64`.
    pub fn of(release: &str) -> Option<Self> {
        let mut parts = release.split(|c: char| !c.is_ascii_digit());
        let major: u32 = parts.next()?.parse().ok()?;
        let minor: u32 = parts.next()?.parse().ok()?;
        Some(match (major, minor) {
            v if v < (4, 19) => Self::V4_18,
            v if v < (5, 8) => Self::V4_19,
            v if v < (5, 16) => Self::V5_10,
            v if v < (6, 1) => Self::V5_16,
            v if v < (6, 12) => Self::V6_1,
            _ => Self::V6_12,
        })
    }

    /// Its name, as `--kernel` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4_18 => "4.18",
            Self::V4_19 => "4.19",
            Self::V5_10 => "5.10",
            Self::V5_16 => "5.16",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// Does `machine_kexec` maintain caches at crash time?
    pub fn maintains_at_crash(self) -> bool {
        self < Self::V5_16
    }

    /// Does the list of CPUs that failed to stop name only those?
    pub fn prunes_list(self) -> bool {
        self >= Self::V6_12
    }

    /// The routines that `machine_kexec` runs between the stale warning and
    /// "Bye!", in words.
    pub const fn maintenance(self) -> &'static str {
        match self {
            Self::V4_18 => {
                "__flush_dcache_area (dc civac, dsb sy), then flush_icache_range with a size \
                 passed for its end (so exactly one dc cvau, at +36, and one ic ivau, at +92), \
                 then kexec_list_flush (dc civac)"
            }
            Self::V4_19 => {
                "__flush_dcache_area (dc civac, dsb sy), then __flush_icache_range with a size \
                 passed for its end (so exactly one dc cvau and one ic ivau), then \
                 kexec_list_flush (dc civac)"
            }
            Self::V5_10 => {
                "__flush_dcache_area (dc civac, dsb sy), then __flush_icache_range over the \
                 relocation code (dc cvau and ic ivau, a line at a time), then \
                 kexec_list_flush (dc civac)"
            }
            Self::V5_16 | Self::V6_1 | Self::V6_12 => "no cache maintenance at all",
        }
    }
}

/// Does the release carry more than a mainline version, so that changes of
/// later kernels may have been brought into it?
pub fn is_vendor(release: &str) -> bool {
    let rest = release.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let candidate = |r: &str| r.bytes().all(|b| b.is_ascii_digit());
    !(rest.is_empty() || rest == "+" || rest.strip_prefix("-rc").is_some_and(candidate))
}

/// Is the release's name that of another architecture?
pub fn is_foreign(release: &str) -> bool {
    [
        "x86_64",
        "amd64",
        "i686",
        "ppc64le",
        "ppc64el",
        "s390x",
        "riscv64",
        "loongarch64",
    ]
    .iter()
    .any(|arch| release.contains(arch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_fall_into_their_eras() {
        for (release, era) in [
            ("4.18.0-147.5.1.el8_1.5es.20.numa64.aarch64", "4.18"),
            ("4.14.0", "4.18"),
            ("4.19.90-2003.4.0.0036.oe1.aarch64", "4.19"),
            ("5.4.0-42-generic", "4.19"),
            ("5.8.0", "5.10"),
            ("5.15.0-91-generic", "5.10"),
            ("5.16.0", "5.16"),
            ("6.1.79+", "6.1"),
            ("6.11.0", "6.1"),
            ("6.12.0-rc3", "6.12"),
            ("7.0.1", "6.12"),
        ] {
            assert_eq!(Era::of(release).map(Era::name), Some(era), "{release}");
        }
        assert_eq!(Era::of("x"), None);
    }

    #[test]
    fn vendors_are_told_from_mainline() {
        assert!(is_vendor("4.18.0-147.5.1.el8_1.aarch64"));
        assert!(is_vendor("5.4.0-42-generic"));
        for plain in ["6.1.79", "6.12.0-rc3", "6.1.79+"] {
            assert!(!is_vendor(plain), "{plain}");
        }
        assert!(is_foreign("5.14.0-70.el9.x86_64") && !is_foreign("5.14.0.aarch64"));
    }
}
