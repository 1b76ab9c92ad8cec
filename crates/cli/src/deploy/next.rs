//! The kernel that `--then kexec` starts: by default the one that runs, from its files.

use std::path::Path;

use anyhow::{Context, ensure};
use stalecore_model::deploy::Next;

use super::unpack::{self, LARGEST};
use crate::whole_file;

/// Where distributions keep their kernels, by release: most, SUSE, and Fedora where /boot is
/// not the system's.
const KERNELS: [(&str, &str); 3] = [
    ("boot/vmlinuz-", ""),
    ("boot/Image-", ""),
    ("usr/lib/modules/", "/vmlinuz"),
];
/// And the ramdisks.
const INITRDS: [(&str, &str); 3] = [
    ("boot/initrd.img-", ""),
    ("boot/initramfs-", ".img"),
    ("boot/initrd-", ""),
];

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
    let of_release = |(begin, end): (&str, &str)| root.join(format!("{begin}{release}{end}"));
    let usual = KERNELS.map(of_release);
    let there = usual.iter().find(|path| path.exists());
    let (kernel, initrd) = named;
    let path = kernel.unwrap_or(there.unwrap_or(&usual[0]));
    let packed = whole_file::read(path, LARGEST)
        .with_context(|| format!("--then kexec: cannot read {}", path.display()))?;
    let unpacked = unpack::kernel(packed, path);
    let kernel_bytes = unpacked.with_context(|| format!("--then kexec: {}", path.display()))?;
    let found = INITRDS
        .map(of_release)
        .into_iter()
        .find(|path| kernel.is_none() && path.exists());
    let initrd = match initrd.map(Path::to_path_buf).or(found) {
        Some(path) => ramdisk(&path)?,
        None => Vec::new(),
    };
    Ok(Files {
        kernel: kernel_bytes,
        initrd,
    })
}

/// How an archive of cpio's begins, without and with checksums.
const ARCHIVES: [&[u8]; 2] = [b"070701", b"070702"];

/// A ramdisk as it is in its file: the kernel unpacks it, and passes over zeros before it.
fn ramdisk(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = whole_file::read(path, LARGEST)
        .with_context(|| format!("--then kexec: cannot read {}", path.display()))?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let archive = &bytes[zeros..];
    let is_archive = ARCHIVES.iter().any(|begin| archive.starts_with(begin));
    ensure!(
        is_archive || unpack::packing_of(archive).is_some(),
        "--then kexec: {} is no initial ramdisk; allowed: a cpio archive (newc), packed or not",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // SUSE's, and beside it that of a machine whose /boot has none.
        std::fs::write(boot.join("Image-6.4"), "s").unwrap();
        std::fs::write(boot.join("initrd-6.4"), "070701").unwrap();
        let files = read(root.path(), "6.4", (None, None)).unwrap();
        assert_eq!(
            (files.kernel, files.initrd),
            (b"s".to_vec(), b"070701".to_vec())
        );
        let modules = root.path().join("usr/lib/modules/6.9");
        std::fs::create_dir_all(&modules).unwrap();
        std::fs::write(modules.join("vmlinuz"), "m").unwrap();
        let files = read(root.path(), "6.9", (None, None)).unwrap();
        assert_eq!((files.kernel, files.initrd), (b"m".to_vec(), vec![]));
        let initrd = boot.join("initramfs-6.1.img");
        std::fs::write(&initrd, b"\0\0\x1f\x8b").unwrap();
        let files = read(root.path(), "6.1", (None, None)).unwrap();
        assert_eq!(files.initrd, b"\0\0\x1f\x8b");
        for wrong in ["", "\0\0", "no archive"] {
            std::fs::write(&initrd, wrong).unwrap();
            let error = read(root.path(), "6.1", (None, None)).err().unwrap();
            assert!(
                error.to_string().contains("is no initial ramdisk"),
                "{error}"
            );
        }
        std::fs::remove_file(&initrd).unwrap();
        // Another kernel's ramdisk is not this one's.
        let other = boot.join("other");
        std::fs::write(&other, "o").unwrap();
        let files = read(root.path(), "6.1", (Some(&other), None)).unwrap();
        assert_eq!((files.kernel, files.initrd), (b"o".to_vec(), vec![]));
    }
}
