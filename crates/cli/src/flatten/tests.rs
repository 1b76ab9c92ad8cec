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

#[test]
fn the_fuzzer_s_seed_is_an_image_with_names() {
    let seed = include_bytes!("../../../../tests/fuzz/seeds/elf/image").to_vec();
    let flat = flat(&seed).unwrap();
    let names = stalecore_model::symbols::Symbols::read(&flat[0xc0..]).unwrap();
    let (name, behind) = names.find(0x44).unwrap();
    assert_eq!((&*name.to_string(), behind), ("flush_icache_range", 4));
}
