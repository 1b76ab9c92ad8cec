//! How the image gets into the machine: QEMU loads it, or real firmware does,
//! from a disk that is made for this run.

mod disk;
mod el3;
pub mod files;
mod ways;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use stalecore_model::fingerprint::fingerprint;

use super::machine::{MachineArgs, escaped};
use crate::carried;
use disk::Disk;
use files::{application, beside, there};
use ways::{File, Firmware, WAYS, Way, those};

/// The loader's name beside this command.
const LOADER: &str = "stalecore.efi";

/// GRUB's name beside this command.
const GRUB: &str = "grubaa64.efi";

/// Where Debian's `grub-efi-arm64-bin` puts it, on a host that can install it.
const INSTALLED_GRUB: &str = "/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi";

/// The least memory that firmware boots with, in MiB.
const FIRMWARE_MEMORY: u32 = 256;

/// The flags that say how to boot, and from which files.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Boot")]
pub struct BootArgs {
    /// What boots the image
    #[arg(long, value_parser = way(), value_name = "WAY", default_value = WAYS[0].name)]
    boot: &'static Way,
    #[arg(long, value_name = "FILE", help = format!("The image, flat or ELF, for --boot {} \
        [default: stalecore.img beside this command]", takers(File::Image)))]
    pub image: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = format!("The UEFI loader, which has an image inside, \
        for --boot {} [default: stalecore.efi beside this command]", takers(File::Efi)))]
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

/// Reads the name of a way.
fn way() -> impl TypedValueParser<Value = &'static Way> {
    let names = WAYS
        .iter()
        .map(|way| PossibleValue::new(way.name).help(way.about));
    PossibleValuesParser::new(names).map(|name| {
        WAYS.iter()
            .find(|way| way.name == name)
            .expect("one of them")
    })
}

/// The ways that take a file.
fn takers(file: File) -> String {
    those(|way| way.takes.contains(&file))
}

impl BootArgs {
    /// How long the firmware may take before the image's first word, with this
    /// many CPUs: an emulator may run all of them in turn on one busy core.
    pub fn patience(&self, cpus: usize) -> Duration {
        let cores = u32::try_from(cpus).unwrap_or(u32::MAX);
        match self.boot.firmware {
            Some(_) => Duration::from_secs(90) + Duration::from_millis(500) * cores,
            None => Duration::ZERO,
        }
    }

    /// What the machine does first, in a word.
    pub const fn begins(&self) -> &'static str {
        match self.boot.firmware {
            Some(_) => "firmware",
            None => "booting",
        }
    }

    /// Checks that the flags and the machine fit the way.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn check(&self, machine: &MachineArgs) -> Result<(), String> {
        let way = self.boot;
        let takes = |file| way.takes.contains(&file);
        let firmware = those(|way| way.firmware.is_some());
        for (flag, file, allowed, with) in [
            (
                "image",
                &self.image,
                takes(File::Image),
                takers(File::Image),
            ),
            ("efi", &self.efi, takes(File::Efi), takers(File::Efi)),
            ("firmware", &self.firmware, way.firmware.is_some(), firmware),
            ("grub", &self.grub, takes(File::Grub), takers(File::Grub)),
        ] {
            if let Some(file) = file.as_ref().filter(|_| !allowed) {
                return Err(format!(
                    "--{flag}: {} with --boot {}; allowed with --boot {with}",
                    file.display(),
                    way.name
                ));
            }
        }
        let choice = |way: &Way| way.firmware.as_ref().is_some_and(|f| f.disks.len() > 1);
        if self.disk.is_some() && !choice(way) {
            return Err(format!(
                "--disk: with --boot {}; allowed with --boot {}",
                way.name,
                those(choice)
            ));
        }
        if way.firmware.is_none() {
            return Ok(());
        }
        if machine.at_el3() {
            return Err(format!(
                "--el: 3 with --boot {}, which stays below EL3; allowed: 1, 2",
                way.name
            ));
        }
        if machine.mem < FIRMWARE_MEMORY {
            return Err(format!(
                "--mem: {}M with --boot {}; allowed: {FIRMWARE_MEMORY}M to 8G",
                machine.mem, way.name
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
        let name = self.boot.name;
        let Some(firmware) = &self.boot.firmware else {
            return self.by_qemu(machine, bootargs, scratch);
        };
        let bios = self.bios(firmware)?;
        if bootargs.len() > firmware.longest {
            bail!(
                "--boot {name}: the boot arguments have {} bytes; allowed: {}",
                bootargs.len(),
                firmware.longest
            );
        }
        let path = scratch.join("disk.img");
        let contents = (firmware.disk)(self, bootargs, scratch)?;
        let contents: Vec<_> = contents
            .iter()
            .map(|(path, bytes)| (*path, bytes.as_slice()))
            .collect();
        stalecore_disk::write(&path, &contents).with_context(|| path.display().to_string())?;
        let mut words: Vec<OsString> = vec!["-bios".into(), bios.into()];
        words.extend(self.disk.unwrap_or(firmware.disks[0]).words(&path));
        Ok(words)
    }

    /// The fingerprint of what is booted: the image, or the loader that has it inside.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn fingerprint(&self, scratch: &Path) -> anyhow::Result<String> {
        let bytes = if self.boot.takes.contains(&File::Efi) {
            self.loader()?
        } else {
            let image = files::image(self.image.as_deref(), scratch)?;
            fs::read(&image).with_context(|| image.display().to_string())?
        };
        Ok(fingerprint(&bytes))
    }

    fn by_qemu(
        &self,
        machine: &MachineArgs,
        bootargs: &str,
        scratch: &Path,
    ) -> anyhow::Result<Vec<OsString>> {
        let image = files::image(self.image.as_deref(), scratch)?;
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

    fn bios(&self, firmware: &Firmware) -> anyhow::Result<PathBuf> {
        let Firmware { path, package, .. } = firmware;
        match &self.firmware {
            Some(path) => there(path, "--firmware"),
            None if Path::new(path).is_file() => Ok(path.into()),
            None => bail!(
                "--boot {}: {path} is missing; on Debian and Ubuntu: apt-get install {package}; \
                 --firmware names another",
                self.boot.name
            ),
        }
    }

    fn loader(&self) -> anyhow::Result<Vec<u8>> {
        let path = match (&self.efi, carried::LOADER) {
            (Some(path), _) => there(path, "--efi")?,
            (None, Some(loader)) => return Ok(loader.to_vec()),
            (None, None) => beside(LOADER, "'make dist' makes it, --efi names another")?,
        };
        application(&path)
    }

    fn grub(&self) -> anyhow::Result<Vec<u8>> {
        let installed = Path::new(INSTALLED_GRUB);
        let path = match &self.grub {
            Some(path) => there(path, "--grub")?,
            None if installed.is_file() => installed.into(),
            None => beside(
                GRUB,
                "'make grub' takes it out of Debian's grub-efi-arm64-bin:arm64, --grub names \
                 another",
            )?,
        };
        application(&path)
    }
}

#[cfg(test)]
mod tests;
