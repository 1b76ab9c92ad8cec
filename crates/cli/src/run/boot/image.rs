//! Finds the image to boot.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{carried, flatten};

/// The image's name beside this command.
const NAME: &str = "stalecore.img";

/// The path of a flat image: the one asked for, that one flattened into
/// `scratch` if it is an ELF file, the one inside this command, or the one
/// beside it.
///
/// # Errors
/// No such file, or no image.
pub fn find(asked: Option<&Path>, scratch: &Path) -> anyhow::Result<PathBuf> {
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

/// The file of that name beside this command.
///
/// # Errors
/// It is not there; then `otherwise` says what to do.
pub fn beside(name: &str, otherwise: &str) -> anyhow::Result<PathBuf> {
    let command = std::env::current_exe().context("the path of this command")?;
    let path = command.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing; {otherwise}", path.display());
    }
    Ok(path)
}
