//! What is text, or gzip has packed; and what is neither, although the lines of a console
//! may be in it, as they are in the image and in this command.

use std::io::Read;

use anyhow::{Context, bail, ensure};
use flate2::read::MultiGzDecoder;

/// What a packed file begins with.
const GZIP: &[u8] = b"\x1f\x8b";

/// Beginnings of what is no log, and what it is.
const OTHERS: [(&[u8], &str); 6] = [
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (PE)"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"BZh", "packed by bzip2"),
    (b"PK\x03\x04", "packed by zip"),
];

/// Where an Image of arm64 has its mark.
const IMAGE: (usize, &[u8]) = (0x38, b"ARM\x64");

/// A file's text.
///
/// # Errors
/// It has none, or gzip's data is damaged, or it is larger than `largest`.
pub fn unpacked(bytes: Vec<u8>, largest: u64) -> anyhow::Result<Vec<u8>> {
    if !bytes.starts_with(GZIP) {
        return is_text(bytes);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .take(largest + 1)
        .read_to_end(&mut text)
        .context("gzip")?;
    ensure!(
        text.len() as u64 <= largest,
        "larger than {} MiB",
        largest >> 20
    );
    is_text(text)
}

fn is_text(bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let other = OTHERS.iter().find(|(begin, _)| bytes.starts_with(begin));
    let image = bytes
        .get(IMAGE.0..)
        .is_some_and(|rest| rest.starts_with(IMAGE.1));
    let what = other.map(|(_, what)| *what);
    match what.or(image.then_some("an image that boots")) {
        Some(what) => bail!("this is {what} and no log; allowed: text, as it is or packed by gzip"),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn text_is_unpacked_and_what_is_none_is_refused() {
        for text in [
            &b""[..],
            b"KTAP version 1\n",
            b"\xff\xfeK\0",
            b"\0\0\0noise\n",
        ] {
            assert_eq!(unpacked(text.to_vec(), 99).unwrap(), text);
            assert_eq!(unpacked(packed(text), 99).unwrap(), text);
        }
        let mut image = vec![0; 64];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        for (bytes, part) in [
            (b"\x7fELF\x02\nKTAP version 1\n".to_vec(), "ELF"),
            (image, "an image"),
            (packed(b"\x7fELF"), "ELF"),
            (b"\xfd7zXZ\0\0".to_vec(), "xz"),
        ] {
            let why = unpacked(bytes, 99).unwrap_err().to_string();
            assert!(why.contains(part) && why.contains("allowed: text"), "{why}");
        }
        let cut = packed(b"KTAP version 1\n");
        assert!(unpacked(cut[..cut.len() - 9].to_vec(), 99).is_err());
        let why = unpacked(packed(&[b'x'; 100]), 99).unwrap_err();
        assert!(why.to_string().contains("larger than"), "{why}");
    }
}
