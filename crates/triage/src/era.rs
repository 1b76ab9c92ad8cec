//! What a kernel's release says: which of the kernels whose crash paths differ
//! it is like, and whether to trust that.

use stalecore_model::kdump::Kernel;

/// The kernel that a release such as `4.18.0-147.5.1.el8_1.aarch64` is like.
pub fn like(release: &str) -> Option<Kernel> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some(Kernel::like(major, minor))
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
    fn releases_are_read() {
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
        ] {
            assert_eq!(like(release).map(Kernel::name), Some(era), "{release}");
        }
        assert_eq!(like("x"), None);
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
