//! A very small ELF file that is an image: its header, two functions, and room for their
//! names. `stalecore flatten` reads it (`crates/cli/src/flatten/tests.rs`).

/// Appends numbers, little endian, each of its own size.
macro_rules! put {
    ($to:expr, $($number:expr),+ $(,)?) => {
        $($to.extend($number.to_le_bytes());)+
    };
}

/// Where the content lies in the file and in memory, and how long it is.
const AT: u64 = 0x80;
const BASE: u64 = 0x8000;
const LENGTH: u64 = 0x400;
/// Room for names within the content.
const SYMBOLS: u64 = 0xc0;
/// Memory that the image takes.
const SIZE: u64 = 0x1000;

pub fn image() -> Vec<u8> {
    let names = b"\0.text\0.symbols\0.symtab\0.strtab\0.shstrtab\0".to_vec();
    let strings = b"\0image_head\0flush_icache_range\0".to_vec();
    let name = |name: &str| {
        let with = [name.as_bytes(), b"\0"].concat();
        let at = names.windows(with.len()).position(|these| these == with);
        u32::try_from(at.unwrap()).unwrap()
    };
    let symtab = AT + LENGTH;
    let strtab = symtab + 3 * 24;
    let shstrtab = strtab + strings.len() as u64;
    let sections = (shstrtab + names.len() as u64).next_multiple_of(8);

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // A shared object for aarch64; one segment, six sections, the last of which names them.
    put!(file, 3_u16, 183_u16, 1_u32, BASE, 64_u64, sections, 0_u32);
    put!(file, 64_u16, 56_u16, 1_u16, 64_u16, 6_u16, 5_u16);
    put!(file, 1_u32, 7_u32, AT, BASE, BASE, LENGTH, SIZE, 8_u64);
    file.resize(AT as usize, 0);
    // The arm64 Image header, then nothing.
    put!(file, 0x1400_0010_u32, 0_u32, 0_u64, SIZE, 0xa_u64);
    file.resize(AT as usize + 0x38, 0);
    file.extend(b"ARM\x64");
    file.resize(symtab as usize, 0);
    // No symbol, then two functions in section 1.
    file.resize(strtab as usize - 2 * 24, 0);
    put!(file, 1_u32, 2_u8, 0_u8, 1_u16, BASE, 0x40_u64);
    put!(file, 12_u32, 2_u8, 0_u8, 1_u16, BASE + 0x40, 0x40_u64);
    file.extend(&strings);
    file.extend(&names);
    file.resize(sections as usize + 64, 0);
    let mut section =
        |named: &str, kind: u32, flags: u64, at: [u64; 2], size: u64, link: [u32; 2], each: u64| {
            put!(
                file,
                name(named),
                kind,
                flags,
                at[0],
                at[1],
                size,
                link[0],
                link[1],
                1_u64,
                each
            );
        };
    section(".text", 1, 6, [BASE, AT], SYMBOLS, [0, 0], 0);
    section(
        ".symbols",
        1,
        2,
        [BASE + SYMBOLS, AT + SYMBOLS],
        LENGTH - SYMBOLS,
        [0, 0],
        0,
    );
    section(".symtab", 2, 0, [0, symtab], 3 * 24, [4, 1], 24);
    section(
        ".strtab",
        3,
        0,
        [0, strtab],
        strings.len() as u64,
        [0, 0],
        0,
    );
    section(
        ".shstrtab",
        3,
        0,
        [0, shstrtab],
        names.len() as u64,
        [0, 0],
        0,
    );
    file
}
