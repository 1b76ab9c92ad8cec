//! The flat image: what an ELF file's loadable segments put into memory, with
//! the arm64 Image header that boot loaders look for.

mod symbols;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use object::{
    Endianness,
    elf::{ET_DYN, ET_EXEC, FileHeader64, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use stalecore_model::exit::ExitCode;

use crate::whole_file;

/// `ARM\x64`, at this offset of an arm64 Image (Linux's
/// Documentation/arch/arm64/booting.rst).
const MAGIC: &[u8; 4] = b"ARM\x64";
const MAGIC_AT: usize = 0x38;
/// Where the header states how much memory the image takes, bss included.
const IMAGE_SIZE_AT: usize = 0x10;
/// No image is larger; an ELF file that claims to be is broken.
const LARGEST: u64 = 64 << 20;
/// The same with everything that a debugger may want.
const LARGEST_FILE: u64 = 512 << 20;

/// Which file to read, and which to write.
#[derive(clap::Args)]
pub struct Args {
    /// The image as an ELF file
    elf: PathBuf,
    /// The flat image to write
    img: PathBuf,
}

/// Writes the flat image of an ELF file.
///
/// # Errors
/// A file that cannot be read or written, or is no image.
pub fn flatten(args: &Args) -> anyhow::Result<ExitCode> {
    let elf = read(&args.elf).with_context(|| args.elf.display().to_string())?;
    let flat = flat(&elf).with_context(|| args.elf.display().to_string())?;
    whole_file::write(&args.img, &flat)?;
    Ok(ExitCode::Expected)
}

/// Reads an image's file, flat or ELF.
///
/// # Errors
/// It cannot be read, or is larger than any image with its symbols.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    whole_file::read(path, LARGEST_FILE)
}

/// Is this an ELF file?
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// The flat image of an ELF file's bytes.
///
/// # Errors
/// Not an aarch64 ELF file, or its segments do not make an arm64 Image.
pub fn flat(elf: &[u8]) -> anyhow::Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(elf).context("not a 64-bit ELF file")?;
    let endian = header.endian().context("not an ELF file")?;
    ensure!(
        header.e_machine.get(endian) == object::elf::EM_AARCH64,
        "not an ELF file for aarch64"
    );
    ensure!(
        [ET_EXEC, ET_DYN].contains(&header.e_type.get(endian)),
        "not a linked ELF file"
    );
    let segments: Vec<_> = header
        .program_headers(endian, elf)
        .context("program headers")?
        .iter()
        .filter(|s| s.p_type(endian) == PT_LOAD && s.p_memsz(endian) > 0)
        .collect();
    let base = segments.iter().map(|s| s.p_paddr(endian)).min();
    let base = base.context("no loadable segment")?;
    let (mut flat, mut memory) = (Vec::new(), 0);
    for segment in segments {
        let bytes = segment
            .data(endian, elf)
            .ok()
            .context("a segment lies outside the file")?;
        let at = segment.p_paddr(endian) - base;
        let end = at.saturating_add(segment.p_memsz(endian).max(bytes.len() as u64));
        ensure!(end <= LARGEST, "larger than {} MiB", LARGEST >> 20);
        memory = memory.max(end);
        if bytes.is_empty() {
            continue; // memory only, which need not be in the file
        }
        let at = usize::try_from(at)?;
        if flat.len() < at + bytes.len() {
            flat.resize(at + bytes.len(), 0);
        }
        flat[at..at + bytes.len()].copy_from_slice(bytes);
    }
    check(&flat)?;
    symbols::fill(&mut flat, header, endian, elf, base)?;
    let stated = image_size(&flat);
    ensure!(
        stated >= memory,
        "the header's image_size is {stated:#x}, but the segments take {memory:#x}"
    );
    Ok(flat)
}

/// Checks that bytes are an arm64 Image that fits the size it states.
///
/// # Errors
/// Says what is missing.
pub fn check(flat: &[u8]) -> anyhow::Result<()> {
    match flat.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) {
        Some(magic) if magic == MAGIC => {}
        _ => bail!("no arm64 Image: 'ARM\\x64' is not at {MAGIC_AT:#x}"),
    }
    let stated = image_size(flat);
    ensure!(
        stated >= flat.len() as u64 && stated <= LARGEST,
        "the header's image_size is {stated:#x}, but the file has {:#x} bytes",
        flat.len()
    );
    Ok(())
}

/// The header's image_size; the caller knows that the header is there.
pub fn image_size(flat: &[u8]) -> u64 {
    let bytes = flat[IMAGE_SIZE_AT..].first_chunk().copied();
    u64::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests;
