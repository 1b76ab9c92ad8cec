//! What a kernel's release says: which of the eras (kernels with different crash
//! paths) it belongs to, who built it, and whether to trust that.

use serde::Serialize;
use stalecore_model::kdump::Kernel;

/// The era of a release such as `4.18.0-147.5.1.el8_1.aarch64`.
pub fn like(release: &str) -> Option<Kernel> {
    let (major, minor) = version(release)?;
    Some(Kernel::like(major, minor))
}

/// Major and minor version.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Who built a kernel, as far as its release says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// A release of kernel.org, or a candidate for one.
    Mainline,
    /// Commits behind a tag of kernel.org's, or linux-next.
    Commits,
    /// A distribution's.
    Distribution,
    /// Somebody else's.
    Vendor,
}

/// Words in a release by which distributions are known, their names, and what is
/// known about their kernels.
const DISTRIBUTIONS: &[(&[&str], &str, &str)] = &[
    (&["el8uek", "el9uek", "el7uek"], "Oracle UEK", FOLLOWS),
    (&[".el7"], "RHEL 7 or a rebuild", BACKPORTS),
    (&[".el8"], "RHEL 8 or a rebuild", BACKPORTS),
    (&[".el9"], "RHEL 9 or a rebuild", BACKPORTS),
    (&[".el10"], "RHEL 10 or a rebuild", BACKPORTS),
    (&[".fc"], "Fedora", FOLLOWS),
    (&[".oe"], "openEuler", SDEI),
    (&["ky10", "ky11", ".ky"], "Kylin", SDEI),
    (
        &[".an7", ".an8", ".an23", ".alnx", ".al8"],
        "Anolis or Alibaba",
        BACKPORTS,
    ),
    (&[".tl2", ".tl3", ".tl4"], "TencentOS", BACKPORTS),
    (&["amzn"], "Amazon Linux", FOLLOWS),
    (&["-android"], "Android", BACKPORTS),
    (
        &["+deb", "~bpo", "+rpt", "-arm64", "-cloud-arm64"],
        "Debian",
        FOLLOWS,
    ),
    (
        &[
            "-generic",
            "-raspi",
            "-aws",
            "-azure",
            "-gcp",
            "-oracle",
            "-lowlatency",
            "-nvidia",
        ],
        "Ubuntu",
        FOLLOWS,
    ),
    (&["-default", "-64kb", "-preempt"], "SUSE", BACKPORTS),
];

const FOLLOWS: &str = "its kernels follow the stable releases of the same version, so the crash \
                       path is that version's";
const BACKPORTS: &str = "its kernels take in changes of much later ones for years, so the crash \
                         path may be a later version's: compare with its source before relying \
                         on what the version says";
const SDEI: &str = "its kernels take in changes of later ones, and add a hard-lockup detector that \
                    firmware drives (SDEI): compare with its source before relying on what the \
                    version says";

/// What a release says about who built it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Builder {
    /// The kind of build.
    pub build: Build,
    /// The distribution, and what is known about its kernels.
    pub distribution: Option<(&'static str, &'static str)>,
}

/// Reads who built a kernel.
pub fn builder(release: &str) -> Builder {
    let rest = release.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let known = DISTRIBUTIONS
        .iter()
        .find(|(words, ..)| words.iter().any(|word| release.contains(word)))
        .map(|(_, name, note)| (*name, *note));
    let build = match own_suffix(rest) {
        Some(build) => build,
        None if known.is_some() => Build::Distribution,
        None => Build::Vendor,
    };
    Builder {
        build,
        distribution: known.filter(|_| build == Build::Distribution),
    }
}

/// What kernel.org's own build appends: `-rc3`, `+`, `-next-20250521`,
/// `-00077-g0123456789ab`, `-dirty`. `None` for any other suffix.
fn own_suffix(mut rest: &str) -> Option<Build> {
    let mut build = Build::Mainline;
    let all =
        |text: &str, fits: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| fits(&b));
    while !rest.is_empty() {
        if rest == "+" {
            return Some(Build::Commits);
        }
        let piece = rest.strip_prefix('-')?;
        let end = piece.find(['-', '+']).unwrap_or(piece.len());
        let word = &piece[..end];
        let candidate = word
            .strip_prefix("rc")
            .is_some_and(|n| all(n, u8::is_ascii_digit));
        let hash = word
            .strip_prefix('g')
            .is_some_and(|h| h.len() >= 7 && all(h, u8::is_ascii_hexdigit));
        let count = word.len() >= 5 && all(word, u8::is_ascii_digit);
        if !(candidate || hash || count || word == "next" || word == "dirty") {
            return None;
        }
        if !candidate {
            build = Build::Commits;
        }
        rest = &piece[end..];
    }
    Some(build)
}

/// Does the release carry more than a mainline version, so that changes of
/// later kernels may have been brought into it?
pub fn is_vendor(release: &str) -> bool {
    matches!(builder(release).build, Build::Vendor | Build::Distribution)
}

/// The tag that a build comes after and the release that it leads to:
/// `6.15-rc7` and `6.15`.
pub fn between(release: &str) -> Option<(String, String)> {
    let (major, minor) = version(release)?;
    let target = format!("{major}.{minor}");
    if let Some(at) = release.find("-rc") {
        let number: String = release[at + 3..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        return Some((format!("{target}-rc{number}"), target));
    }
    let base: String = release
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let base = base
        .trim_end_matches('.')
        .trim_end_matches(".0")
        .to_string();
    Some((base, format!("{major}.{}", minor + 1)))
}

/// Is the release's name that of another architecture?
pub fn is_foreign(release: &str) -> bool {
    [
        "x86_64",
        "amd64",
        "i686",
        "ppc64le",
        "ppc64el",
        "powerpc",
        "s390x",
        "riscv64",
        "loongarch64",
        "armv7",
        "armmp",
        "mips",
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
            ("7.2.13+deb14-arm64", "6.12"),
            ("7.3.4+deb13-arm64", "7.3"),
        ] {
            assert_eq!(like(release).map(Kernel::name), Some(era), "{release}");
        }
        assert_eq!(like("x"), None);
    }

    #[test]
    fn builders_are_told_apart() {
        for (release, build) in [
            ("6.1.79", Build::Mainline),
            ("6.12.0-rc3", Build::Mainline),
            ("6.1.79+", Build::Commits),
            ("6.15.0-rc7+", Build::Commits),
            ("6.15.0-rc7-next-20250521", Build::Commits),
            ("6.15.0-next-20250521", Build::Commits),
            ("6.15.0-rc7-00077-g0123456789ab-dirty", Build::Commits),
            ("6.6.0-00707-gabcdef012345", Build::Commits),
            ("5.4.0-42-generic", Build::Distribution),
            ("6.6.30-yocto-standard", Build::Vendor),
        ] {
            assert_eq!(builder(release).build, build, "{release}");
        }
        for (release, name) in [
            ("4.18.0-147.5.1.el8_1.aarch64", "RHEL 8 or a rebuild"),
            ("5.14.0-70.el9.aarch64", "RHEL 9 or a rebuild"),
            ("6.12.0-55.el10.aarch64", "RHEL 10 or a rebuild"),
            ("6.1.0-56-arm64", "Debian"),
            ("7.3.4+deb13-arm64", "Debian"),
            ("5.15.0-91-generic", "Ubuntu"),
            ("5.10.0-60.18.0.50.oe2203.aarch64", "openEuler"),
            ("4.19.90-25.16.v2101.ky10.aarch64", "Kylin"),
            ("5.10.134-16.an8.aarch64", "Anolis or Alibaba"),
        ] {
            let found = builder(release).distribution.map(|(name, _)| name);
            assert_eq!(found, Some(name), "{release}");
        }
        assert!(is_foreign("5.14.0-70.el9.x86_64") && !is_foreign("5.14.0.aarch64"));
    }

    #[test]
    fn commits_lie_between_two_versions() {
        let names = |r| between(r).map(|(a, b)| format!("{a} {b}"));
        assert_eq!(
            names("6.15.0-rc7-next-20250521").as_deref(),
            Some("6.15-rc7 6.15")
        );
        assert_eq!(names("6.6.0-00707-gabcdef0").as_deref(), Some("6.6 6.7"));
        assert_eq!(
            names("6.6.30-00707-gabcdef0").as_deref(),
            Some("6.6.30 6.7")
        );
    }
}
