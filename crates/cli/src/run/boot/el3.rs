//! The whole firmware of a machine that is entered at EL3. QEMU enters a Linux
//! Image at EL2 or EL1, but an ELF file at the level of reset. So the kernel is an
//! ELF file of a few instructions that jump to the image with the device tree's
//! address, as boot loaders do.

/// Where QEMU's `virt` puts the device tree when an ELF file leaves room: the
/// beginning of its memory (QEMU, hw/arm/boot.c).
const DEVICE_TREE: u32 = 0x4000_0000;

/// Where the instructions are: in the last of the smallest machine's 64 MiB, as the image uses
/// its memory from below. It must not write over them before a core has come by whose thread
/// the host starts late.
const ENTRY: u32 = 0x43f0_0000;

/// Where the image is to be loaded, on a 2 MiB boundary.
pub const IMAGE: u32 = 0x4040_0000;

/// The length of an ELF header and of a program header.
const HEADERS: u16 = 0x40 + 0x38;

/// The ELF file.
pub fn elf() -> Vec<u8> {
    let code = [
        movz_high(0, DEVICE_TREE),
        movz_high(1, IMAGE),
        0xd61f_0020, // br x1
    ];
    let mut file = Vec::new();
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&object::elf::ET_EXEC.to_le_bytes());
    put(&object::elf::EM_AARCH64.to_le_bytes());
    put(&1_u32.to_le_bytes());
    put(&u64::from(ENTRY).to_le_bytes()); // entry
    put(&0x40_u64.to_le_bytes()); // program headers
    put(&0_u64.to_le_bytes()); // no sections
    put(&0_u32.to_le_bytes());
    for half in [0x40_u16, 0x38, 1, 0x40, 0, 0] {
        put(&half.to_le_bytes());
    }
    let size = 4 * code.len() as u64;
    put(&object::elf::PT_LOAD.to_le_bytes());
    put(&(object::elf::PF_R | object::elf::PF_X).to_le_bytes());
    for word in [HEADERS.into(), ENTRY.into(), ENTRY.into(), size, size, 4] {
        put(&word.to_le_bytes());
    }
    for instruction in code {
        put(&instruction.to_le_bytes());
    }
    file
}

/// `movz x<register>, #<upper half of value>, lsl #16`.
const fn movz_high(register: u32, value: u32) -> u32 {
    0xd2a0_0000 | (value >> 16) << 5 | register
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{
        Endianness,
        elf::FileHeader64,
        read::elf::{FileHeader, ProgramHeader},
    };

    #[test]
    fn the_elf_file_loads_its_instructions_where_it_is_entered() {
        let file = elf();
        let header = FileHeader64::<Endianness>::parse(file.as_slice()).unwrap();
        let endian = header.endian().unwrap();
        let segments = header.program_headers(endian, file.as_slice()).unwrap();
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].p_paddr(endian), header.e_entry(endian));
        let code = segments[0].data(endian, file.as_slice()).unwrap();
        // As assembled: mov x0, #0x40000000; mov x1, #0x40400000; br x1
        assert_eq!(
            code,
            [0, 0, 0xa8, 0xd2, 1, 8, 0xa8, 0xd2, 0x20, 0, 0x1f, 0xd6]
        );
    }
}
