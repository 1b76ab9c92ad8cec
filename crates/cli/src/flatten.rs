//! The flat image: what an ELF file's loadable segments put into memory, with
//! the arm64 Image header that boot loaders look for.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail, ensure};
use object::{
    Endianness,
    elf::{ET_DYN, ET_EXEC, FileHeader64, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use stalecore_model::exit::ExitCode;

/// `ARM\x64`, at this offset of an arm64 Image (Linux's
/// Documentation/arch/arm64/booting.rst).
const MAGIC: &[u8; 4] = b"ARM\x64";
const MAGIC_AT: usize = 0x38;
/// Where the header states how much memory the image takes, bss included.
const IMAGE_SIZE_AT: usize = 0x10;
/// No image is larger; an ELF file that says so is broken.
const LARGEST: u64 = 64 << 20;

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
    let elf = fs::read(&args.elf).with_context(|| args.elf.display().to_string())?;
    let flat = flat(&elf).with_context(|| args.elf.display().to_string())?;
    fs::write(&args.img, flat).with_context(|| args.img.display().to_string())?;
    Ok(ExitCode::Expected)
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
        let at = usize::try_from(at)?;
        if flat.len() < at + bytes.len() {
            flat.resize(at + bytes.len(), 0);
        }
        flat[at..at + bytes.len()].copy_from_slice(bytes);
    }
    check(&flat)?;
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
fn image_size(flat: &[u8]) -> u64 {
    let bytes = flat[IMAGE_SIZE_AT..].first_chunk().copied();
    u64::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flat image of `len` bytes that states to take `stated`.
    fn image(len: usize, stated: u64) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(MAGIC);
        bytes[IMAGE_SIZE_AT..IMAGE_SIZE_AT + 8].copy_from_slice(&stated.to_le_bytes());
        bytes
    }

    /// An ELF file with one segment, and `bss` more bytes of memory.
    fn elf(machine: u16, content: &[u8], bss: u64) -> Vec<u8> {
        let mut file = vec![0; 0x1000];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        put(0x10, &ET_DYN.to_le_bytes());
        put(0x12, &machine.to_le_bytes());
        put(0x14, &1_u32.to_le_bytes());
        put(0x20, &0x40_u64.to_le_bytes());
        put(0x34, &0x40_u16.to_le_bytes());
        put(0x36, &0x38_u16.to_le_bytes());
        put(0x38, &1_u16.to_le_bytes());
        put(0x40, &PT_LOAD.to_le_bytes());
        put(0x48, &0x1000_u64.to_le_bytes());
        put(0x58, &0x8000_u64.to_le_bytes());
        put(0x60, &(content.len() as u64).to_le_bytes());
        put(0x68, &(content.len() as u64 + bss).to_le_bytes());
        file.extend_from_slice(content);
        file
    }

    const AARCH64: u16 = object::elf::EM_AARCH64;

    #[test]
    fn segments_become_the_image() {
        let content = image(0x100, 0x1000);
        assert_eq!(flat(&elf(AARCH64, &content, 0xf00)).unwrap(), content);
    }

    #[test]
    fn each_mistake_is_named() {
        let good = image(0x100, 0x1000);
        let mut cut = elf(AARCH64, &good, 0);
        cut.truncate(0x1080);
        for (file, part) in [
            (b"#!/bin/sh".to_vec(), "ELF"),
            (elf(62, &good, 0), "aarch64"),
            (elf(AARCH64, &[0; 0x100], 0), "no arm64 Image"),
            (elf(AARCH64, &good[..0x20], 0), "no arm64 Image"),
            (elf(AARCH64, &good, 0xf01), "image_size is 0x1000"),
            (elf(AARCH64, &good, u64::MAX / 2), "larger than 64 MiB"),
            (cut, "outside the file"),
        ] {
            let error = format!("{:#}", flat(&file).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
        let error = check(&image(0x100, 0x80)).unwrap_err().to_string();
        assert!(error.contains("0x80"), "{error}");
    }
}
