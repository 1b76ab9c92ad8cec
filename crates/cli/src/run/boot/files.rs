//! Finds the files to boot from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{carried, flatten};

/// The image's name beside this command.
const NAME: &str = "stalecore.img";

/// The machine in a PE file's header (Microsoft's PE format, machine types).
const ARM64: u16 = 0xaa64;

/// The path of a flat image: the one asked for (flattened into `scratch` if it is
/// an ELF file), the one inside this command, or the one beside it.
///
/// # Errors
/// No such file, or no image.
pub fn image(asked: Option<&Path>, scratch: &Path) -> anyhow::Result<PathBuf> {
    let path = match (asked, carried::IMAGE) {
        (Some(path), _) => path.to_path_buf(),
        (None, Some(image)) => {
            let flat = scratch.join(NAME);
            fs::write(&flat, image).with_context(|| flat.display().to_string())?;
            return Ok(flat);
        }
        (None, None) => beside(NAME, &format!("{}, --image names another", carried::ADVICE))?,
    };
    let name = || format!("--image: {}", path.display());
    let bytes = flatten::read(&path).with_context(name)?;
    if flatten::is_elf(&bytes) {
        let flat = scratch.join(NAME);
        let image = flatten::flat(&bytes).with_context(name)?;
        fs::write(&flat, image).with_context(|| flat.display().to_string())?;
        return Ok(flat);
    }
    flatten::check(&bytes).with_context(name)?;
    Ok(path)
}

/// The file of that name beside this command, or where `make install` puts it.
///
/// # Errors
/// It is in neither place; then `otherwise` says what to do.
pub fn beside(name: &str, otherwise: &str) -> anyhow::Result<PathBuf> {
    let command = std::env::current_exe().context("the path of this command")?;
    let path = command.with_file_name(name);
    let installed = ["../lib/stalecore", "../share/stalecore"]
        .map(|dir| command.with_file_name(dir).join(name));
    let mut places = [path.clone()].into_iter().chain(installed);
    match places.find(|place| place.exists()) {
        Some(there) => Ok(there),
        None => bail!("{} is missing; {otherwise}", path.display()),
    }
}

/// A file that this flag names.
///
/// # Errors
/// There is none.
pub fn there(path: &Path, flag: &str) -> anyhow::Result<PathBuf> {
    if !path.is_file() {
        bail!("{flag}: {} is no file", path.display());
    }
    Ok(path.into())
}

/// The bytes of a UEFI application for aarch64.
///
/// # Errors
/// The file cannot be read, or is no such application.
pub fn application(path: &Path) -> anyhow::Result<Vec<u8>> {
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
