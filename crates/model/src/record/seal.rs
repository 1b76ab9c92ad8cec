//! What ends the line of a record: its number in this boot and a checksum, by
//! which a reader knows that nothing was lost before it and nothing of it was
//! changed. A person can pass over it.

use core::fmt;

use crc::{CRC_24_OPENPGP, Crc, Digest};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_24_OPENPGP);

/// Six bits each, so that four are a checksum.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The seal of one record: ` 12:Yk3Q` behind its JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// The record's number in this boot, from 1; [`Seal::UNNUMBERED`] for none.
    pub number: u32,
    /// CRC-24 (OpenPGP) of the JSON and the number's digits.
    pub sum: u32,
}

/// A number in decimal, without an allocation.
struct Digits([u8; 10], usize);

impl Digits {
    const fn of(mut number: u32) -> Self {
        let mut digits = [0; 10];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self(digits, at);
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.0.get(self.1..).unwrap_or_default()
    }
}

impl Seal {
    /// Of what the console's driver writes between two records, whose numbers it does
    /// not know: it has a place in no sequence.
    pub const UNNUMBERED: u32 = 0;

    /// The seal of a record with this JSON.
    pub fn new(json: &[u8], number: u32) -> Self {
        let mut digest = CRC.digest();
        digest.update(json);
        Self::of(digest, number)
    }

    fn of(mut digest: Digest<'static, u32>, number: u32) -> Self {
        digest.update(Digits::of(number).bytes());
        Self {
            number,
            sum: digest.finalize(),
        }
    }

    /// Splits what follows `# ` into JSON and seal: behind the last brace there
    /// is nothing, or a seal that fits.
    ///
    /// # Errors
    /// Something else stands there, or the checksum is another.
    pub fn split(line: &[u8]) -> Result<(&[u8], Option<Self>), &'static str> {
        let end = line.iter().rposition(|b| *b == b'}').ok_or("no end")? + 1;
        let (json, tail) = line.split_at(end);
        if tail.is_empty() {
            return Ok((json, None));
        }
        let damaged = "what follows the record is no number and checksum";
        let tail = tail.strip_prefix(b" ").ok_or(damaged)?;
        let colon = tail.iter().position(|b| *b == b':').ok_or(damaged)?;
        let (number, sum) = (&tail[..colon], &tail[colon + 1..]);
        let number: u32 = core::str::from_utf8(number)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(damaged)?;
        let seal = Self::new(json, number);
        if sum == seal.letters() {
            Ok((json, Some(seal)))
        } else {
            Err("its checksum is another")
        }
    }

    fn letters(self) -> [u8; 4] {
        [18, 12, 6, 0].map(|shift| DIGITS[(self.sum >> shift & 63) as usize])
    }
}

/// Writes JSON through to `out` as it comes, for a seal of all of it: where nothing may
/// be allocated.
pub struct Sealing<'a> {
    out: &'a mut dyn fmt::Write,
    digest: Digest<'static, u32>,
}

impl<'a> Sealing<'a> {
    /// Begins.
    pub fn new(out: &'a mut dyn fmt::Write) -> Self {
        let digest = CRC.digest();
        Self { out, digest }
    }

    /// Writes the seal, and ends the line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end(self, number: u32) -> fmt::Result {
        writeln!(self.out, "{}", Seal::of(self.digest, number))
    }
}

impl fmt::Write for Sealing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.digest.update(text.as_bytes());
        self.out.write_str(text)
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}:", self.number)?;
        for letter in self.letters() {
            fmt::Write::write_char(f, char::from(letter))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    const JSON: &str = "{\"note\":{\"text\":\"x\"}}";

    fn sealed(number: u32) -> String {
        format!("{JSON}{}", Seal::new(JSON.as_bytes(), number))
    }

    #[test]
    fn what_is_sealed_is_read() {
        for number in [0, 1, 12, u32::MAX] {
            let line = sealed(number);
            let (json, seal) = Seal::split(line.as_bytes()).unwrap();
            assert_eq!(json, JSON.as_bytes());
            assert_eq!(seal.map(|s| s.number), Some(number), "{line}");
        }
        assert_eq!(sealed(12).len(), JSON.len() + 8);
        assert_eq!(Seal::split(JSON.as_bytes()), Ok((JSON.as_bytes(), None)));
    }

    #[test]
    fn a_change_of_any_byte_is_seen() {
        let line = sealed(12).into_bytes();
        for at in 0..line.len() {
            for flip in 1..=255 {
                let mut damaged = line.clone();
                damaged[at] ^= flip;
                // A seal that has become part of the JSON is no JSON.
                let read = Seal::split(&damaged)
                    .map_err(drop)
                    .and_then(|(json, seal)| {
                        assert_eq!(seal, None);
                        let text = core::str::from_utf8(json).map_err(drop)?;
                        crate::record::Record::from_json(text).map_err(drop)
                    });
                assert!(read.is_err(), "{at}: {flip:#x}");
            }
        }
    }

    #[test]
    fn what_is_sealed_as_it_is_written_has_the_same_seal() {
        let mut line = String::new();
        let mut sealing = Sealing::new(&mut line);
        for piece in JSON.split_inclusive(':') {
            fmt::Write::write_str(&mut sealing, piece).unwrap();
        }
        sealing.end(12).unwrap();
        assert_eq!(line, sealed(12) + "\n");
    }

    #[test]
    fn a_seal_that_is_cut_is_none() {
        let line = sealed(12);
        for end in JSON.len() + 1..line.len() {
            assert!(Seal::split(&line.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(Seal::split(b"no brace").is_err());
    }

    /// Images have written these, under an emulator.
    #[test]
    fn what_an_image_sealed_is_read_as_it_was() {
        for (line, number) in [
            (
                r#"{"rung":{"n":4,"rung":"sgi","us":723760,"released":true}} 11:isDp"#,
                11,
            ),
            (
                r#"{"end":{"exit":0,"verdicts":[["completed",180]],"elapsed_ms":2695}} 196:iXmz"#,
                196,
            ),
        ] {
            let (json, seal) = Seal::split(line.as_bytes()).unwrap();
            assert_eq!(seal.map(|seal| seal.number), Some(number));
            let text = core::str::from_utf8(json).unwrap();
            assert_eq!(format!("{text}{}", Seal::new(json, number)), line);
        }
    }
}
