//! What this command carries inside: nothing, or the image and the UEFI loader
//! where it was built with `--features carry` (`make carry`); the image alone with
//! `--features carry-image` (`make live`).

use std::sync::LazyLock;

/// The flat image.
#[cfg(feature = "carry-image")]
pub const IMAGE: Option<&[u8]> = Some(include_bytes!(env!(
    "STALECORE_IMG",
    "STALECORE_IMG must be the absolute path of the flat image; run `make carry`"
)));
#[cfg(not(feature = "carry-image"))]
pub const IMAGE: Option<&[u8]> = None;

/// The UEFI loader, which has the same image inside.
#[cfg(feature = "carry")]
pub const LOADER: Option<&[u8]> = Some(include_bytes!(env!(
    "STALECORE_EFI",
    "STALECORE_EFI must be the absolute path of the UEFI loader; run `make carry`"
)));
#[cfg(not(feature = "carry"))]
pub const LOADER: Option<&[u8]> = None;

/// What a command without them is told to do.
pub const ADVICE: &str = "'make build' leaves it there, 'make install' installs a command that \
                          carries it inside";

/// The version, the commit that it was built from if the build knew it, and
/// whether image and loader are inside.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(composed);
    &VERSION
}

fn composed() -> String {
    let commit = option_env!("STALECORE_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map_or("no commit named".into(), |commit| {
        format!("commit {commit}")
    });
    let inside = match (IMAGE, LOADER) {
        (Some(_), Some(_)) => "image and UEFI loader inside",
        (Some(_), None) => "image inside",
        (None, _) => "image and UEFI loader beside it",
    };
    format!("{} ({commit}; {inside})", env!("CARGO_PKG_VERSION"))
}
