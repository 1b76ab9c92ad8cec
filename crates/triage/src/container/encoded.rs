//! Encodings of text: quoted-printable and base64 in mail, entities in web pages,
//! UTF-16 from a terminal program.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::Row;

/// Decodes UTF-16 with its mark at the front.
pub fn utf16(file: &[u8]) -> Option<Vec<u8>> {
    let (little, rest) = match file {
        [0xff, 0xfe, rest @ ..] => (true, rest),
        [0xfe, 0xff, rest @ ..] => (false, rest),
        _ => return None,
    };
    let units = rest.chunks_exact(2).map(|pair| match little {
        true => u16::from_le_bytes([pair[0], pair[1]]),
        false => u16::from_be_bytes([pair[0], pair[1]]),
    });
    let text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or('\u{fffd}'))
        .collect();
    Some(text.into_bytes())
}

/// Joins lines that end with `=`, and decodes `=3D`.
pub fn quoted_printable<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let soft = |row: &Row<'_>| row.bytes.ends_with(b"=");
    let named = says(rows, b"quoted-printable");
    let broken = rows
        .iter()
        .filter(|row| soft(row) && (60..=76).contains(&row.bytes.len()))
        .count();
    let coded = rows.iter().any(|row| decode(&row.bytes).is_some());
    let any = coded || rows.iter().any(soft);
    if !(named && any || broken >= 1 && coded || broken >= 3) {
        return None;
    }
    let mut found: Vec<Row<'a>> = Vec::new();
    let mut open = false;
    for row in rows {
        let bytes = row.bytes.strip_suffix(b"=").unwrap_or(&row.bytes);
        let bytes = decode(bytes).unwrap_or_else(|| bytes.to_vec());
        match found.last_mut().filter(|_| open) {
            Some(before) => before.bytes.to_mut().extend_from_slice(&bytes),
            None => found.push(Row {
                number: row.number,
                bytes: Cow::Owned(bytes),
            }),
        }
        open = soft(row);
    }
    Some(found)
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'=', text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let [byte, tail @ ..] = rest {
        let coded = tail.get(..2).filter(|_| *byte == b'=').and_then(|two| {
            let upper = two.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
            let two = std::str::from_utf8(two).ok().filter(|_| upper)?;
            u8::from_str_radix(two, 16).ok()
        });
        match coded {
            Some(coded) => {
                out.push(coded);
                changed = true;
                rest = &tail[2..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    changed.then_some(out)
}

/// Decodes blocks of base64 that hold text.
pub fn base64<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let mut found = Vec::new();
    let mut changed = false;
    let mut at = 0;
    while at < rows.len() {
        let block: Vec<_> = rows[at..]
            .iter()
            .take_while(|row| is_base64(&row.bytes))
            .collect();
        let width = block.first().map_or(0, |row| row.bytes.trim_ascii().len());
        let long = width >= 60 || block.len() == 1 && says(rows, b"base64") && width > 0;
        let text = long.then(|| {
            let all: Vec<u8> = block
                .iter()
                .flat_map(|row| row.bytes.trim_ascii().to_vec())
                .collect();
            from_base64(&all).filter(|text| is_text(text))
        });
        match text.flatten() {
            Some(text) => {
                changed = true;
                for line in text.split(|b| *b == b'\n') {
                    found.push(Row {
                        number: rows[at].number,
                        bytes: Cow::Owned(line.strip_suffix(b"\r").unwrap_or(line).to_vec()),
                    });
                }
                at += block.len();
            }
            None => {
                let plain = block.len().max(1);
                found.extend(rows[at..at + plain].iter().cloned());
                at += plain;
            }
        }
    }
    changed.then_some(found)
}

fn is_base64(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let coded = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    line.len() >= 4 && line.len().is_multiple_of(4) && line.iter().all(coded)
}

fn is_text(text: &[u8]) -> bool {
    let plain = |b: &u8| (0x20..0x7f).contains(b) || b.is_ascii_whitespace() || *b >= 0x80;
    let count = text.iter().filter(|b| plain(b)).count();
    text.len() >= 8 && count * 100 >= text.len() * 98 && std::str::from_utf8(text).is_ok()
}

/// Decodes up to the padding; lost trailing bits do not matter in a text.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true),
    );
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    LENIENT.decode(&text[..end]).ok()
}

/// Decodes the entities of a web page, if there are any.
pub fn entities<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    const NAMES: [(&[u8], u8); 6] = [
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&#39;", b'\''),
        (b"&nbsp;", b' '),
        (b"&amp;", b'&'),
    ];
    let has = |row: &Row<'_>| {
        NAMES
            .iter()
            .any(|(n, _)| memchr::memmem::find(&row.bytes, n).is_some())
    };
    if !rows.iter().any(has) {
        return None;
    }
    let plain = |row: &Row<'a>| {
        let mut out = Vec::with_capacity(row.bytes.len());
        let mut rest = &row.bytes[..];
        while let [byte, tail @ ..] = rest {
            match NAMES.iter().find(|(name, _)| rest.starts_with(name)) {
                Some((name, byte)) => {
                    out.push(*byte);
                    rest = &rest[name.len()..];
                }
                None => {
                    out.push(*byte);
                    rest = tail;
                }
            }
        }
        Row {
            number: row.number,
            bytes: Cow::Owned(out),
        }
    };
    Some(rows.iter().map(plain).collect())
}

/// Does a mail's header name this encoding?
fn says(rows: &[Row<'_>], encoding: &[u8]) -> bool {
    rows.iter().any(|row| {
        let line = row.bytes.to_ascii_lowercase();
        line.starts_with(b"content-transfer-encoding:")
            && memchr::memmem::find(&line, encoding).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::joined;

    #[test]
    fn soft_line_ends_go() {
        let mail = "Content-Transfer-Encoding: quoted-printable\n\n\
                    [    1.000000] SMP: failed to stop seconda=\nry CPUs 0-2 a=3Db\nx\n";
        assert_eq!(
            joined(mail).as_deref(),
            Some(
                "Content-Transfer-Encoding: quoted-printable||[    1.000000] SMP: failed to stop secondary CPUs 0-2 a=b|x"
            )
        );
    }

    #[test]
    fn base64_is_decoded() {
        let mail = "Content-Transfer-Encoding: base64\n\n\
                    WyAgICAxLjAwMDAwMF0gc3lzcnE6IFRyaWdnZXIgYSBjcmFzaApbICAgIDEu\nMTAwMDAwXSBCeWUhCg==\n";
        assert_eq!(
            joined(mail).as_deref(),
            Some(
                "Content-Transfer-Encoding: base64||[    1.000000] sysrq: Trigger a crash|[    1.100000] Bye!|"
            )
        );
    }

    #[test]
    fn entities_are_decoded() {
        assert_eq!(
            joined("&lt;6&gt;[    1.0000] a &amp; b\nx\n").as_deref(),
            Some("<6>[    1.0000] a & b|x")
        );
    }

    #[test]
    fn utf16_is_decoded() {
        let file: Vec<u8> = "\u{feff}a\nb\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(super::utf16(&file), Some(b"a\nb\n".to_vec()));
    }
}
