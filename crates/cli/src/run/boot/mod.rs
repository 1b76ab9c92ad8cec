//! How the image gets into the machine: QEMU loads it, or real firmware does,
//! from a disk that is made for this run.

mod disk;
mod el3;
pub mod image;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use super::machine::{MachineArgs, escaped};
use crate::{carried, flatten};

/// EDK2 as Debian packages it.
const EDK2: &str = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd";

/// U-Boot as Debian packages it.
const U_BOOT: &str = "/usr/lib/u-boot/qemu_arm64/u-boot.bin";

/// The loader's name beside this command.
const LOADER: &str = "stalecore.efi";

/// GRUB's name beside this command.
const GRUB: &str = "grubaa64.efi";

/// Where Debian's `grub-efi-arm64-bin` puts it, on a host that can install it.
const INSTALLED_GRUB: &str = "/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi";

/// The least memory that firmware boots with, in MiB.
const FIRMWARE_MEMORY: u32 = 256;

/// U-Boot gives up on a longer line of boot arguments, in bytes (512
/// with the closing NUL: "bootarg overflow" in Debian's 2023.01).
const U_BOOT_LINE: usize = 511;

/// The machine in a PE file's header (Microsoft's PE format, machine types).
const ARM64: u16 = 0xaa64;

/// What boots the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Way {
    /// QEMU itself, as it boots a kernel
    Image,
    /// EDK2 starts the loader from a disk; the machine is described by ACPI
    Uefi,
    /// U-Boot boots the flat image from a disk (extlinux.conf, booti)
    UBoot,
    /// EDK2 starts GRUB, which starts the loader as a kernel
    Grub,
}

impl Way {
    /// As on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Uefi => "uefi",
            Self::UBoot => "u-boot",
            Self::Grub => "grub",
        }
    }

    /// How long it may take before the image's first word, with this many
    /// CPUs: an emulator may run all of them in turn on one busy core.
    pub fn patience(self, cpus: usize) -> Duration {
        let cores = u32::try_from(cpus).unwrap_or(u32::MAX);
        match self {
            Self::Image => Duration::ZERO,
            _ => Duration::from_secs(90) + Duration::from_millis(500) * cores,
        }
    }
}

/// What the disk is to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Disk {
    /// A virtual disk
    Virtio,
    /// A USB stick
    Usb,
}

impl Disk {
    /// QEMU's words for the disk with this image.
    fn words(self, path: &Path) -> Vec<OsString> {
        let mut drive = OsString::from("file=");
        drive.push(escaped(path));
        drive.push(",format=raw,if=");
        match self {
            Self::Virtio => {
                drive.push("virtio");
                vec!["-drive".into(), drive]
            }
            Self::Usb => {
                drive.push("none,id=stick");
                let mut words = vec!["-drive".into(), drive];
                let devices = ["-device", "qemu-xhci", "-device", "usb-storage,drive=stick"];
                words.extend(devices.map(OsString::from));
                words
            }
        }
    }
}

/// The flags that say how to boot, and from which files.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Boot")]
pub struct BootArgs {
    /// What boots the image
    #[arg(long, value_enum, value_name = "WAY", default_value = "image")]
    pub boot: Way,
    /// The image, flat or ELF, for --boot image and u-boot [default: stalecore.img beside this
    /// command]
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// The UEFI loader, which has an image inside, for --boot uefi and grub [default:
    /// stalecore.efi beside this command]
    #[arg(long, value_name = "FILE")]
    efi: Option<PathBuf>,
    /// EDK2 or U-Boot [default: where Debian's qemu-efi-aarch64 and u-boot-qemu put them]
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// What the disk is that EDK2 boots from [default: virtio]
    #[arg(long, value_enum, value_name = "KIND")]
    disk: Option<Disk>,
    /// GRUB for arm64 [default: grubaa64.efi beside this command]
    #[arg(long, value_name = "FILE")]
    grub: Option<PathBuf>,
}

impl BootArgs {
    /// Checks that the flags and the machine fit the way.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn check(&self, machine: &MachineArgs) -> Result<(), String> {
        let way = self.boot;
        let loader = matches!(way, Way::Uefi | Way::Grub);
        for (flag, file, allowed, with) in [
            ("image", &self.image, !loader, "image and u-boot"),
            ("efi", &self.efi, loader, "uefi and grub"),
            (
                "firmware",
                &self.firmware,
                way != Way::Image,
                "uefi, u-boot and grub",
            ),
            ("grub", &self.grub, way == Way::Grub, "grub"),
        ] {
            if let Some(file) = file.as_ref().filter(|_| !allowed) {
                return Err(format!(
                    "--{flag}: {} with --boot {}; allowed with --boot {with}",
                    file.display(),
                    way.name()
                ));
            }
        }
        if self.disk.is_some() && !loader {
            return Err(format!(
                "--disk: with --boot {}; allowed with --boot uefi and grub",
                way.name()
            ));
        }
        if way == Way::Image {
            return Ok(());
        }
        if machine.at_el3() {
            return Err(format!(
                "--el: 3 with --boot {}, which stays below EL3; allowed: 1, 2",
                way.name()
            ));
        }
        if machine.mem < FIRMWARE_MEMORY {
            return Err(format!(
                "--mem: {}M with --boot {}; allowed: {FIRMWARE_MEMORY}M to 8G",
                machine.mem,
                way.name()
            ));
        }
        Ok(())
    }

    /// Finds the files, makes the disk, and gives QEMU's words for both.
    ///
    /// # Errors
    /// A file is missing or not what it should be, or the boot arguments are
    /// too long for the firmware.
    pub fn prepare(
        &self,
        machine: &MachineArgs,
        bootargs: &str,
        scratch: &Path,
    ) -> anyhow::Result<Vec<OsString>> {
        if self.boot == Way::Image {
            return self.by_qemu(machine, bootargs, scratch);
        }
        let firmware = self.firmware()?;
        let path = scratch.join("disk.img");
        match self.boot {
            Way::UBoot => {
                if bootargs.len() > U_BOOT_LINE {
                    bail!(
                        "--boot u-boot: the boot arguments have {} bytes; allowed: {U_BOOT_LINE}",
                        bootargs.len()
                    );
                }
                disk::of_u_boot(
                    &path,
                    &image::find(self.image.as_deref(), scratch)?,
                    bootargs,
                )
            }
            Way::Grub => disk::of_grub(&path, &self.grub()?, &self.loader()?, bootargs),
            _ => disk::of_uefi(&path, &self.loader()?, bootargs),
        }
        .with_context(|| path.display().to_string())?;
        let mut words: Vec<OsString> = vec!["-bios".into(), firmware.into()];
        words.extend(self.disk.unwrap_or(Disk::Virtio).words(&path));
        Ok(words)
    }

    fn by_qemu(
        &self,
        machine: &MachineArgs,
        bootargs: &str,
        scratch: &Path,
    ) -> anyhow::Result<Vec<OsString>> {
        let image = image::find(self.image.as_deref(), scratch)?;
        let mut words: Vec<OsString> = vec!["-kernel".into()];
        if machine.at_el3() {
            let entry = scratch.join("el3.elf");
            fs::write(&entry, el3::elf()).with_context(|| entry.display().to_string())?;
            let mut loader = OsString::from("loader,file=");
            loader.push(escaped(&image));
            loader.push(format!(",addr={:#x},force-raw=on", el3::IMAGE));
            words.extend([entry.into(), "-device".into(), loader]);
        } else {
            words.push(image.into());
        }
        if !bootargs.is_empty() {
            words.extend(["-append".into(), bootargs.into()]);
        }
        Ok(words)
    }

    fn firmware(&self) -> anyhow::Result<PathBuf> {
        let (path, package) = match self.boot {
            Way::UBoot => (U_BOOT, "u-boot-qemu"),
            _ => (EDK2, "qemu-efi-aarch64"),
        };
        match &self.firmware {
            Some(path) => there(path, "--firmware"),
            None if Path::new(path).is_file() => Ok(path.into()),
            None => bail!(
                "--boot {}: {path} is missing; on Debian and Ubuntu: apt-get install {package}; \
                 --firmware names another",
                self.boot.name()
            ),
        }
    }

    fn loader(&self) -> anyhow::Result<Vec<u8>> {
        let path = match (&self.efi, carried::LOADER) {
            (Some(path), _) => there(path, "--efi")?,
            (None, Some(loader)) => return Ok(loader.to_vec()),
            (None, None) => image::beside(LOADER, "'make dist' makes it, --efi names another")?,
        };
        application(&path)
    }

    fn grub(&self) -> anyhow::Result<Vec<u8>> {
        let installed = Path::new(INSTALLED_GRUB);
        let path = match &self.grub {
            Some(path) => there(path, "--grub")?,
            None if installed.is_file() => installed.into(),
            None => image::beside(
                GRUB,
                "'make grub' takes it out of Debian's grub-efi-arm64-bin:arm64, --grub names \
                 another",
            )?,
        };
        application(&path)
    }
}

/// A file that somebody named.
fn there(path: &Path, flag: &str) -> anyhow::Result<PathBuf> {
    if !path.is_file() {
        bail!("{flag}: {} is no file", path.display());
    }
    Ok(path.into())
}

/// The bytes of a UEFI application for aarch64.
fn application(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let bytes = flatten::read(path).with_context(name)?;
    if !is_application(&bytes) {
        bail!("{} is no UEFI application for aarch64", name());
    }
    Ok(bytes)
}

/// A PE file whose header names the machine.
fn is_application(bytes: &[u8]) -> bool {
    let header = || {
        let at: [u8; 4] = bytes.get(0x3c..0x40)?.try_into().ok()?;
        let at = usize::try_from(u32::from_le_bytes(at)).ok()?;
        bytes.get(at..at.checked_add(6)?)
    };
    bytes.starts_with(b"MZ")
        && header()
            .is_some_and(|header| header[..4] == *b"PE\0\0" && header[4..] == ARM64.to_le_bytes())
}

#[cfg(test)]
mod tests;
