//! The header that an arm64 Linux image, and so the harness's, begins with
//! (Linux's `Documentation/arch/arm64/booting.rst`).

use alloc::{format, string::String};

const LENGTH: usize = 64;
const MAGIC: &[u8] = b"ARM\x64";
const BIG_ENDIAN: u64 = 1 << 0;
const ANYWHERE: u64 = 1 << 3;

/// The boundary from which an image's place is counted.
pub const ALIGN: u64 = 2 << 20;

/// What the loader needs from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Where the image starts, in bytes from a multiple of [`ALIGN`].
    pub text_offset: u64,
    /// How much memory it owns from there, in bytes.
    pub image_size: u64,
}

impl ImageHeader {
    /// Reads the header of a flat image.
    ///
    /// # Errors
    /// One line that says what the image lacks.
    pub fn read(image: &[u8]) -> Result<Self, String> {
        let Some(header) = image.get(..LENGTH) else {
            return Err(format!("the image has only {} bytes", image.len()));
        };
        if &header[56..60] != MAGIC {
            return Err("the image has no arm64 header".into());
        }
        let word = |at: usize| {
            let bytes = header[at..at + 8].iter().rev();
            bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        let (text_offset, image_size, flags) = (word(8), word(16), word(24));
        if flags & BIG_ENDIAN != 0 {
            return Err("the image is big-endian".into());
        }
        if flags & ANYWHERE == 0 {
            return Err("the image wants to be near the start of memory".into());
        }
        if text_offset >= ALIGN {
            return Err(format!("the image has a text offset of {text_offset:#x}"));
        }
        if image_size < image.len() as u64 {
            return Err(format!(
                "the image has {} bytes but owns only {image_size}",
                image.len()
            ));
        }
        Ok(Self {
            text_offset,
            image_size,
        })
    }
}

/// Is all of a kernel there? One that is an EFI program too (`MZ`) says where its sections end;
/// of another it is not known.
///
/// # Errors
/// One line: how much is there, of how much.
///
/// Source: Microsoft's PE format, COFF header and section table.
pub fn whole(image: &[u8]) -> Result<(), String> {
    let number = |at: usize, size: usize| {
        let bytes = image.get(at..at.checked_add(size)?)?.iter().rev();
        Some(bytes.fold(0, |word, byte| word << 8 | usize::from(*byte)))
    };
    let ends = || {
        let pe = number(0x3c, 4)?;
        let (sections, optional) = (number(pe + 6, 2)?, number(pe + 20, 2)?);
        let end = |section: usize| {
            let at = pe + 24 + optional + 40 * section;
            Some(number(at + 16, 4)? + number(at + 20, 4)?)
        };
        (0..sections)
            .map(end)
            .try_fold(0, |most, end| Some(most.max(end?)))
    };
    if !image.starts_with(b"MZ") {
        return Ok(());
    }
    match ends() {
        Some(end) if end <= image.len() => Ok(()),
        Some(end) => Err(format!("it is cut short: {} bytes of {end}", image.len())),
        None => Err("it is cut short".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    fn image(text_offset: u64, image_size: u64, flags: u64) -> Vec<u8> {
        let mut image = vec![0; 64];
        image[8..16].copy_from_slice(&text_offset.to_le_bytes());
        image[16..24].copy_from_slice(&image_size.to_le_bytes());
        image[24..32].copy_from_slice(&flags.to_le_bytes());
        image[56..60].copy_from_slice(b"ARMd");
        image
    }

    #[test]
    fn a_good_header_is_read() {
        assert_eq!(
            ImageHeader::read(&image(0x8_0000, 0x20_0000, 0b1010)),
            Ok(ImageHeader {
                text_offset: 0x8_0000,
                image_size: 0x20_0000
            })
        );
    }

    #[test]
    fn an_efi_program_is_whole_up_to_the_end_of_its_last_section() {
        // Two sections; the one that lies last in the file is the first in the table.
        let (pe, optional) = (0x40, 0xf0);
        let mut image = vec![0; 0x1000];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &(pe as u32).to_le_bytes());
        put(pe + 6, &2_u16.to_le_bytes());
        put(pe + 20, &(optional as u16).to_le_bytes());
        let table = pe + 24 + optional;
        for (nth, (size, at)) in [(0x300_u32, 0x900_u32), (0x500, 0x400)].iter().enumerate() {
            put(table + 40 * nth + 16, &size.to_le_bytes());
            put(table + 40 * nth + 20, &at.to_le_bytes());
        }
        assert_eq!(whole(&image[..0xc00]), Ok(()));
        let error = whole(&image[..0xbff]).unwrap_err();
        assert_eq!(error, "it is cut short: 3071 bytes of 3072");
        // Without its table nothing says where it ends.
        assert!(whole(&image[..table]).is_err());
        // Of another it is not known.
        image[0] = 0;
        assert_eq!(whole(&image[..0x100]), Ok(()));
    }

    #[test]
    fn images_that_cannot_be_placed_are_refused() {
        let refused = |image: &[u8]| ImageHeader::read(image).unwrap_err();
        assert!(refused(&[0; 63]).contains("only 63 bytes"));
        assert!(refused(&[0; 64]).contains("no arm64 header"));
        assert!(refused(&image(0, 64, 0b1011)).contains("big-endian"));
        assert!(refused(&image(0, 64, 0b0010)).contains("near the start"));
        assert!(refused(&image(2 << 20, 64, 0b1010)).contains("text offset"));
        assert!(refused(&image(0, 63, 0b1010)).contains("owns only 63"));
        assert!(ImageHeader::read(&image((2 << 20) - 1, 64, 0b1010)).is_ok());
    }
}
