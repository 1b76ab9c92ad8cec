//! An arm64 kernel out of the file that a distribution has of it, which may be packed: as a
//! whole, or inside an EFI program that unpacks itself (Linux's
//! `drivers/firmware/efi/libstub/zboot-header.S`, CONFIG_EFI_ZBOOT).
//!
//! ```text
//! offset  bytes
//!      0      2  "MZ"
//!      4      4  "zimg"
//!      8      4  where the packed kernel begins
//!     12      4  how many bytes of it there are
//!     24     32  how it is packed, ending with a zero
//! ```
//!
//! Behind a kernel that is packed by anything but gzip are four bytes more: its size.

use std::{io::Read, path::Path};

use anyhow::{Context, bail, ensure};
use flate2::read::GzDecoder;
use ruzstd::decoding::StreamingDecoder;
use stalecore_model::shell;

/// The most that a kernel has.
pub const LARGEST: u64 = 1 << 30;

/// A way to pack.
pub struct Packing {
    /// What the programs are called that pack and unpack so.
    name: &'static str,
    /// As Linux's `Makefile.zboot` calls it.
    zboot: &'static str,
    /// What a file that is packed so begins with.
    begin: &'static [u8],
    how: How,
}

enum How {
    Gzip,
    Zstd,
    /// By the user, with this.
    By(&'static str),
}

static PACKINGS: [Packing; 8] = [
    packing("gzip", "gzip", b"\x1f\x8b", How::Gzip),
    packing("zstd", "zstd22", b"\x28\xb5\x2f\xfd", How::Zstd),
    packing("xz", "xzkern", b"\xfd7zXZ\0", How::By("xz -dc")),
    packing("lzma", "lzma", b"\x5d\0\0", How::By("xz -dc")),
    packing("lz4", "lz4", b"\x02\x21\x4c\x18", How::By("lz4 -dc")),
    packing("lz4", "lz4", b"\x04\x22\x4d\x18", How::By("lz4 -dc")),
    packing("lzo", "lzo", b"\x89LZO\0", How::By("lzop -dc")),
    packing("bzip2", "bzip2", b"BZh", How::By("bzip2 -dc")),
];

const fn packing(
    name: &'static str,
    zboot: &'static str,
    begin: &'static [u8],
    how: How,
) -> Packing {
    Packing {
        name,
        zboot,
        begin,
        how,
    }
}

/// The kernel as it is in memory, of the bytes of `file`.
///
/// # Errors
/// One line: what is wrong with the file, or with which command the user unpacks it.
pub fn kernel(bytes: Vec<u8>, file: &Path) -> anyhow::Result<Vec<u8>> {
    if bytes.get(4..8) == Some(b"zimg") {
        return of_zboot(&bytes, file);
    }
    let named = shell::quoted(&[file.display().to_string()]);
    // A section's name, in the table at the beginning.
    let head = &bytes[..bytes.len().min(4096)];
    if bytes.starts_with(b"MZ") && head.windows(8).any(|name| name == b".linux\0\0") {
        bail!(
            "it is a unified kernel image; allowed: the kernel in it, which this leaves in \
             ./kernel: objcopy -O binary --only-section=.linux {named} kernel"
        );
    }
    match packing_of(&bytes) {
        Some(packing) => packing.unpack(&bytes, |command| format!("{command} {named} > kernel")),
        None => Ok(bytes),
    }
}

/// How a file is packed as a whole, if it is.
pub fn packing_of(bytes: &[u8]) -> Option<&'static Packing> {
    PACKINGS.iter().find(|p| bytes.starts_with(p.begin))
}

fn of_zboot(bytes: &[u8], file: &Path) -> anyhow::Result<Vec<u8>> {
    let word = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let kind = bytes.get(24..56).unwrap_or_default();
    let kind = kind.split(|byte| *byte == 0).next().unwrap_or_default();
    let kind = String::from_utf8_lossy(kind);
    // "zstd22" is zstd with the options of level 22.
    let is = |packing: &&Packing| kind == packing.zboot || kind == packing.name;
    let Some(packing) = PACKINGS.iter().find(is) else {
        bail!("it is packed by '{kind}'; allowed: gzip, zstd, or not packed");
    };
    let range = || {
        let (at, size) = word(8).zip(word(12))?;
        let end = at.checked_add(size)?;
        Some((at, size, bytes.get(at..end)?, end))
    };
    let (at, size, payload, end) = range().context("it is cut short")?;
    let kernel = packing.unpack(payload, |command| {
        let named = shell::quoted(&[file.display().to_string()]);
        let from = at + 1;
        format!("tail -c +{from} {named} | head -c {size} | {command} > kernel")
    })?;
    // gzip has it inside, and checks it.
    let told = word(end).filter(|_| !matches!(packing.how, How::Gzip));
    ensure!(
        told.is_none_or(|size| size == kernel.len()),
        "its {} is damaged: {} bytes came out of it, not {}",
        packing.name,
        kernel.len(),
        told.unwrap_or_default()
    );
    Ok(kernel)
}

impl Packing {
    /// Unpacks, or tells the command that does: of the program with its flags.
    fn unpack(
        &self,
        packed: &[u8],
        command: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<Vec<u8>> {
        let mut kernel = Vec::new();
        let read = match self.how {
            How::Gzip => GzDecoder::new(packed)
                .take(LARGEST)
                .read_to_end(&mut kernel),
            How::Zstd => StreamingDecoder::new(packed)
                .map_err(std::io::Error::other)
                .and_then(|decoder| decoder.take(LARGEST).read_to_end(&mut kernel)),
            How::By(program) => bail!(
                "it is packed by {}; allowed: gzip, zstd, or not packed, as this leaves it in \
                 ./kernel: {}",
                self.name,
                command(program)
            ),
        };
        read.with_context(|| format!("its {} is damaged", self.name))?;
        Ok(kernel)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    /// An EFI program with the payload, of which its head tells `size` bytes, and `told`
    /// behind it.
    fn program(kind: &str, payload: &[u8], size: usize, told: usize) -> Vec<u8> {
        let mut all = b"MZ\0\0zimg".to_vec();
        all.extend(64_u32.to_le_bytes());
        all.extend((size as u32).to_le_bytes());
        all.resize(24, 0);
        all.extend(kind.as_bytes());
        all.resize(64, 0);
        all.extend(payload);
        all.extend((told as u32).to_le_bytes());
        all
    }

    fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        kernel(bytes, Path::new("/boot/my kernel")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_kernel_is_unpacked() {
        let flat: Vec<u8> = (0..100_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        assert_eq!(unpacked(flat.clone()).unwrap(), flat);
        for (kind, packed) in [("gzip", gzip(&flat)), ("zstd22", zstd(&flat))] {
            assert_eq!(unpacked(packed.clone()).unwrap(), flat);
            let size = packed.len();
            let inside = program(kind, &packed, size, flat.len());
            assert_eq!(unpacked(inside).unwrap(), flat);
            let half = packed[..size / 2].to_vec();
            assert!(unpacked(half).unwrap_err().contains("is damaged"));
            for wrong in [size + 100, usize::MAX] {
                let error = unpacked(program(kind, &packed, wrong, 0)).unwrap_err();
                assert!(error.contains("cut short"), "{error}");
            }
        }
        let packed = zstd(&flat);
        let error = unpacked(program("zstd", &packed, packed.len(), 7)).unwrap_err();
        assert!(
            error.contains("zstd is damaged: 400000 bytes came out of it, not 7"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_unpacked_here_comes_with_the_command_that_does() {
        let uki = [b"MZ".as_slice(), &[0; 400], b".linux\0\0", &[0; 40]].concat();
        for (bytes, what) in [
            (
                b"\xfd7zXZ\0...".to_vec(),
                "it is packed by xz; allowed: gzip, zstd, or not packed, as this leaves it in \
                 ./kernel: xz -dc '/boot/my kernel' > kernel",
            ),
            (b"\x02\x21\x4c\x18...".to_vec(), "lz4 -dc '/boot"),
            (b"\x89LZO\0...".to_vec(), "lzop -dc '/boot"),
            (b"BZh9...".to_vec(), "bzip2 -dc '/boot"),
            (
                program("xzkern", b"12345", 5, 0),
                "tail -c +65 '/boot/my kernel' | head -c 5 | xz -dc > kernel",
            ),
            (program("lzma", b"12345", 5, 0), "| xz -dc >"),
            (program("lz4", b"12345", 5, 0), "| lz4 -dc >"),
            (program("lzo", b"12345", 5, 0), "| lzop -dc >"),
            (
                program("own", b"12345", 5, 0),
                "packed by 'own'; allowed: gzip, zstd",
            ),
            (b"MZ\0\0zimg".to_vec(), "packed by ''; allowed"),
            (
                uki,
                "objcopy -O binary --only-section=.linux '/boot/my kernel' kernel",
            ),
        ] {
            let error = unpacked(bytes).unwrap_err();
            assert!(error.contains(what) && !error.contains('\n'), "{error}");
        }
    }
}
