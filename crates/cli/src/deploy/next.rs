//! The kernel that `--then kexec` starts: by default the one that runs, from its files.

use std::{io::Read, path::Path};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use stalecore_model::deploy::Next;

use crate::whole_file;

/// The most that a kernel or a ramdisk has.
const LARGEST: u64 = 1 << 30;
/// Where distributions keep them, by release.
const INITRDS: [(&str, &str); 2] = [("boot/initrd.img-", ""), ("boot/initramfs-", ".img")];

/// What was read.
pub struct Files {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

impl Files {
    pub fn next(&self) -> Next<'_> {
        Next {
            kernel: &self.kernel,
            initrd: &self.initrd,
        }
    }
}

/// Reads the files that are named, kernel and ramdisk, or those of this release below
/// `root`.
///
/// # Errors
/// One line: a file that cannot be read, or a packing that is not known.
pub fn read(
    root: &Path,
    release: &str,
    named: (Option<&Path>, Option<&Path>),
) -> anyhow::Result<Files> {
    let usual = root.join(format!("boot/vmlinuz-{release}"));
    let (kernel, initrd) = named;
    let path = kernel.unwrap_or(&usual);
    let packed = whole_file::read(path, LARGEST)
        .with_context(|| format!("--then kexec: cannot read {}", path.display()))?;
    let kernel_bytes = flat(packed).with_context(|| format!("--then kexec: {}", path.display()))?;
    let found = INITRDS
        .map(|(begin, end)| root.join(format!("{begin}{release}{end}")))
        .into_iter()
        .find(|path| kernel.is_none() && path.exists());
    let initrd = match initrd.map(Path::to_path_buf).or(found) {
        Some(path) => whole_file::read(&path, LARGEST)
            .with_context(|| format!("--then kexec: cannot read {}", path.display()))?,
        None => Vec::new(),
    };
    Ok(Files {
        kernel: kernel_bytes,
        initrd,
    })
}

/// An arm64 kernel as it is in memory, of one that may be packed by gzip, whole or in an
/// EFI program (Linux's `drivers/firmware/efi/libstub/zboot-header.S`).
fn flat(packed: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let word = |at: usize| {
        let bytes = packed.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let payload = if packed.get(4..8) == Some(b"zimg") {
        let kind = packed.get(24..56).unwrap_or_default();
        let kind = kind.split(|byte| *byte == 0).next().unwrap_or_default();
        if kind != b"gzip" {
            bail!(
                "it is packed by {}; allowed: gzip, or not packed",
                String::from_utf8_lossy(kind)
            );
        }
        let found = word(8).zip(word(12));
        let range = found.and_then(|(at, size)| packed.get(at..at.checked_add(size)?));
        range.context("it is cut short")?
    } else if packed.starts_with(b"\x1f\x8b") {
        &packed
    } else {
        return Ok(packed);
    };
    let mut kernel = Vec::new();
    GzDecoder::new(payload)
        .take(LARGEST)
        .read_to_end(&mut kernel)
        .context("its gzip is damaged")?;
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn program(kind: &[u8], payload: &[u8], size: usize) -> Vec<u8> {
        let mut all = b"MZ\0\0zimg".to_vec();
        all.extend(64_u32.to_le_bytes());
        all.extend((size as u32).to_le_bytes());
        all.resize(24, 0);
        all.extend(kind);
        all.resize(64, 0);
        all.extend(payload);
        all
    }

    #[test]
    fn a_kernel_is_unpacked() {
        let kernel = b"a kernel".to_vec();
        assert_eq!(flat(kernel.clone()).unwrap(), kernel);
        let inner = packed(&kernel);
        assert_eq!(flat(inner.clone()).unwrap(), kernel);
        assert_eq!(flat(program(b"gzip", &inner, inner.len())).unwrap(), kernel);
        for (wrong, what) in [
            (
                program(b"zstd22", &inner, inner.len()),
                "packed by zstd22; allowed: gzip",
            ),
            (program(b"gzip", &inner, inner.len() + 1), "cut short"),
            (program(b"gzip", &inner, usize::MAX), "cut short"),
            (inner[..inner.len() - 9].to_vec(), "damaged"),
            (b"MZ\0\0zimg".to_vec(), "packed by "),
        ] {
            let error = flat(wrong).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn the_files_of_this_release_are_found() {
        let root = tempfile::tempdir().unwrap();
        let boot = root.path().join("boot");
        std::fs::create_dir(&boot).unwrap();
        let error = read(root.path(), "6.1", (None, None)).err().unwrap();
        assert!(error.to_string().contains("cannot read"), "{error}");
        std::fs::write(boot.join("vmlinuz-6.1"), "k").unwrap();
        let files = read(root.path(), "6.1", (None, None)).unwrap();
        assert_eq!((files.kernel, files.initrd), (b"k".to_vec(), vec![]));
        std::fs::write(boot.join("initramfs-6.1.img"), "i").unwrap();
        let files = read(root.path(), "6.1", (None, None)).unwrap();
        assert_eq!(files.initrd, b"i");
        // Another kernel's ramdisk is not this one's.
        let other = boot.join("other");
        std::fs::write(&other, "o").unwrap();
        let files = read(root.path(), "6.1", (Some(&other), None)).unwrap();
        assert_eq!((files.kernel, files.initrd), (b"o".to_vec(), vec![]));
    }
}
