//! The ways to boot the image, all that is known of each in one row.

use std::{fs, path::Path};

use stalecore_model::words;

use super::{BootArgs, Disk, files};

/// A way to boot the image.
pub struct Way {
    /// As `--boot` takes it.
    pub name: &'static str,
    /// What boots the image, for `--help`.
    pub about: &'static str,
    /// Which flags name a file that it needs.
    pub takes: &'static [File],
    /// The firmware; without one QEMU loads the image itself.
    pub firmware: Option<Firmware>,
}

/// A file that a flag can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum File {
    /// The image.
    Image,
    /// The UEFI loader.
    Efi,
    /// GRUB.
    Grub,
}

/// Firmware, which boots from a disk that is made for the run.
pub struct Firmware {
    /// Where Debian puts it.
    pub path: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// The most bytes of boot arguments that it passes on.
    pub longest: usize,
    /// What the disk can be.
    pub disks: &'static [Disk],
    /// What is on the disk, for these boot arguments: paths and contents. The
    /// directory is for files that have to be made first.
    pub disk: fn(&BootArgs, &str, &Path) -> anyhow::Result<Files>,
}

/// Paths on a disk, and the contents of those files.
pub type Files = Vec<(&'static str, Vec<u8>)>;

/// Where UEFI looks on a disk that no boot entry names.
const DEFAULT_APPLICATION: &str = "EFI/BOOT/BOOTAA64.EFI";

/// EDK2 as Debian packages it; what is on the disk decides what it starts.
const fn edk2(disk: fn(&BootArgs, &str, &Path) -> anyhow::Result<Files>) -> Firmware {
    Firmware {
        path: "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
        package: "qemu-efi-aarch64",
        longest: usize::MAX,
        disks: &[Disk::Virtio, Disk::Usb],
        disk,
    }
}

/// Every way, the default first.
pub static WAYS: &[Way] = &[
    Way {
        name: "image",
        about: "QEMU itself, as it boots a kernel",
        takes: &[File::Image],
        firmware: None,
    },
    Way {
        name: "uefi",
        about: "EDK2 starts the loader from a disk; the machine is described by ACPI",
        takes: &[File::Efi],
        firmware: Some(edk2(|args, bootargs, _| {
            // The options are beside the loader.
            Ok(vec![
                (DEFAULT_APPLICATION, args.loader()?),
                ("stalecore.cfg", format!("{bootargs}\n").into()),
            ])
        })),
    },
    Way {
        name: "u-boot",
        about: "U-Boot boots the flat image from a disk (extlinux.conf, booti)",
        takes: &[File::Image],
        firmware: Some(Firmware {
            path: "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
            package: "u-boot-qemu",
            // 512 with the closing NUL: "bootarg overflow" in Debian's 2023.01.
            longest: 511,
            disks: &[Disk::Virtio],
            disk: |args, bootargs, scratch| {
                let image = files::image(args.image.as_deref(), scratch)?;
                Ok(vec![
                    ("stalecore.img", fs::read(image)?),
                    ("extlinux/extlinux.conf", extlinux_conf(bootargs).into()),
                ])
            },
        }),
    },
    Way {
        name: "grub",
        about: "EDK2 starts GRUB, which starts the loader as a kernel",
        takes: &[File::Efi, File::Grub],
        firmware: Some(edk2(|args, bootargs, _| {
            // As Debian installs it.
            Ok(vec![
                (DEFAULT_APPLICATION, args.grub()?),
                ("EFI/debian/grub.cfg", grub_cfg(bootargs).into()),
                ("stalecore.efi", args.loader()?),
            ])
        })),
    },
    // The next goes here.
];

/// The names of the ways for which `are` holds, for use in a sentence.
pub fn those(are: impl Fn(&Way) -> bool) -> String {
    let ways = WAYS.iter().filter(|way| are(way));
    words::list(&ways.map(|way| way.name.to_string()).collect::<Vec<_>>())
}

/// Each word is quoted, as GRUB's language gives many characters a meaning.
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
