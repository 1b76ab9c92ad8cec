//! What lies on the disk that firmware boots.

use std::{fs, io, path::Path};

/// Where UEFI looks on a disk that no boot entry names.
const DEFAULT_APPLICATION: &str = "EFI/BOOT/BOOTAA64.EFI";

/// The loader alone, with its options beside it.
///
/// # Errors
/// The disk cannot be written, or has no room.
pub fn of_uefi(path: &Path, loader: &[u8], bootargs: &str) -> io::Result<()> {
    stalecore_disk::write(
        path,
        &[
            (DEFAULT_APPLICATION, loader),
            ("stalecore.cfg", format!("{bootargs}\n").as_bytes()),
        ],
    )
}

/// GRUB as Debian installs it, and the loader, whose options come from GRUB.
///
/// # Errors
/// As [`of_uefi`].
pub fn of_grub(path: &Path, grub: &[u8], loader: &[u8], bootargs: &str) -> io::Result<()> {
    stalecore_disk::write(
        path,
        &[
            (DEFAULT_APPLICATION, grub),
            ("EFI/debian/grub.cfg", grub_cfg(bootargs).as_bytes()),
            ("stalecore.efi", loader),
        ],
    )
}

/// The flat image, and what U-Boot's `sysboot` reads.
///
/// # Errors
/// As [`of_uefi`], or the image cannot be read.
pub fn of_u_boot(path: &Path, image: &Path, bootargs: &str) -> io::Result<()> {
    stalecore_disk::write(
        path,
        &[
            ("stalecore.img", &fs::read(image)?),
            ("extlinux/extlinux.conf", extlinux_conf(bootargs).as_bytes()),
        ],
    )
}

/// Each word is quoted: GRUB's language has more marks than ours has values.
pub(super) fn grub_cfg(bootargs: &str) -> String {
    let words: String = bootargs
        .split_ascii_whitespace()
        .map(|word| format!(" '{word}'"))
        .collect();
    format!("set timeout=0\nlinux /stalecore.efi{words}\nboot\n")
}

/// Without a word there must be no APPEND: U-Boot would take the next line.
pub(super) fn extlinux_conf(bootargs: &str) -> String {
    let append = match bootargs {
        "" => String::new(),
        words => format!("  append {words}\n"),
    };
    format!("default stalecore\nlabel stalecore\n  kernel /stalecore.img\n{append}")
}
