//! The loader's options: words for the image (`stalecore.key=value`) and one
//! for the loader itself (`acpi=force`, `acpi=off`). Linux's own words that say where it keeps
//! its logs (`ramoops.mem_address=`) are for both.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    options::{Options, PREFIX},
    ramoops::{self, Ramoops},
};

/// The longest `stalecore.cfg` that is read, in bytes.
pub const MAX_FILE: usize = 16 << 10;

/// Who is to describe the machine, if firmware has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// The device tree if it names CPUs, else ACPI: as Linux chooses.
    #[default]
    Auto,
    /// ACPI (`acpi=force`).
    Acpi,
    /// The device tree (`acpi=off`).
    DeviceTree,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The image's boot arguments, checked.
    pub bootargs: String,
    /// Who is to describe the machine.
    pub prefer: Prefer,
    /// Words meant for somebody else.
    pub ignored: Vec<String>,
}

impl Words {
    /// Was nothing asked for?
    pub fn is_empty(&self) -> bool {
        self.bootargs.is_empty() && self.prefer == Prefer::Auto
    }

    /// Takes the load options: UTF-16, with or without a NUL at the end; they may begin
    /// with the program's name (UEFI shell) or with `BOOT_IMAGE=` (GRUB), or be no text at
    /// all (a boot manager's own data), which asks for nothing.
    ///
    /// # Errors
    /// One line about a word that is meant for the harness but wrong.
    pub fn from_load_options(bytes: &[u8]) -> Result<Self, String> {
        let units = bytes
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .take_while(|u| *u != 0);
        let Ok(text) = char::decode_utf16(units).collect::<Result<String, _>>() else {
            return Ok(Self::default());
        };
        if text.chars().any(|c| c != '\t' && !(' '..='~').contains(&c)) {
            return Ok(Self::default());
        }
        let mut words = Self::default();
        for (index, word) in text.split_ascii_whitespace().enumerate() {
            // The program's own name may look like a key.
            let name = index == 0 && !word.contains('=');
            if name || !words.take(word)? {
                words.ignored.push(word.to_string());
            }
        }
        words.checked()
    }

    /// Takes `stalecore.cfg`: words separated by white space, comments from `#` to the end
    /// of the line. Here every word must be known.
    ///
    /// # Errors
    /// One line: the file is too long or not ASCII, or a word is wrong.
    pub fn from_file(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_FILE {
            return Err(format!("longer than {MAX_FILE} bytes"));
        }
        // Some editors begin every file with a byte order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut words = Self::default();
        for (number, line) in (1..).zip(bytes.split(|b| *b == b'\n')) {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default();
            let Some(line) = core::str::from_utf8(line).ok().filter(|l| l.is_ascii()) else {
                return Err(format!("line {number}: not ASCII"));
            };
            for word in line.split_ascii_whitespace() {
                if !words.take(word)? {
                    return Err(format!(
                        "line {number}: '{word}'; allowed: {PREFIX}key=value, {}mem_address=value and so on, \
                         acpi=force, acpi=off",
                        ramoops::PREFIX
                    ));
                }
            }
        }
        words.checked()
    }

    /// Takes one word; `false` if it is meant for somebody else.
    fn take(&mut self, word: &str) -> Result<bool, String> {
        if word.starts_with(PREFIX) || word.starts_with(ramoops::PREFIX) {
            if !self.bootargs.is_empty() {
                self.bootargs.push(' ');
            }
            self.bootargs.push_str(word);
        } else if let Some(value) = word.strip_prefix("acpi=") {
            self.prefer = match value {
                "force" => Prefer::Acpi,
                "off" => Prefer::DeviceTree,
                _ => return Err(format!("acpi={value}; allowed: force, off")),
            };
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Refuses what the image would refuse, while there is a screen to say so.
    fn checked(self) -> Result<Self, String> {
        Options::from_bootargs(&self.bootargs)?;
        Ramoops::of_bootargs(&self.bootargs)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn where_linux_keeps_its_logs_is_for_the_image_too() {
        let text = "stalecore.samples=3 ramoops.mem_address=0x60000000 ramoops.mem_size=1M";
        for words in [
            Words::from_file(text.as_bytes()).unwrap(),
            Words::from_load_options(&utf16(text)).unwrap(),
        ] {
            assert_eq!(words.bootargs, text);
            assert_eq!(ramoops::kept(&words.bootargs).unwrap().base, 0x6000_0000);
        }
        let error = Words::from_file(b"ramoops.mem_address=0x60000000").unwrap_err();
        assert!(error.contains("no ramoops.mem_size"), "{error}");
    }

    #[test]
    fn load_options_as_loaders_pass_them() {
        for (text, bootargs, ignored) in [
            ("", "", 0),
            (
                "FS0:\\stalecore.efi stalecore.samples=3\0",
                "stalecore.samples=3",
                1,
            ),
            (
                "stalecore.efi stalecore.samples=3",
                "stalecore.samples=3",
                1,
            ),
            ("stalecore.samples=3 \0junk", "stalecore.samples=3", 0),
            (
                "BOOT_IMAGE=/stalecore.efi stalecore.ops=ic-ivau  quiet stalecore.samples=3",
                "stalecore.ops=ic-ivau stalecore.samples=3",
                2,
            ),
        ] {
            let words = Words::from_load_options(&utf16(text)).unwrap();
            assert_eq!(words.bootargs, bootargs, "{text}");
            assert_eq!(words.ignored.len(), ignored, "{text}");
        }
    }

    #[test]
    fn load_options_that_are_no_text_ask_for_nothing() {
        let guid = [
            0x67, 0xd3, 0x9c, 0x4e, 0x4c, 0xd8, 0x11, 0xd4, 0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f,
            0xc1, 0x4d,
        ];
        for bytes in [&guid[..], &[0x00, 0xd8], &[b'a', 0, 7, 0]] {
            assert!(Words::from_load_options(bytes).unwrap().is_empty());
        }
    }

    #[test]
    fn wrong_words_are_refused_at_once() {
        let refused = |text: &str| Words::from_load_options(&utf16(text)).unwrap_err();
        assert!(refused("x.efi stalecore.sampels=3").contains("no such key"));
        assert!(refused("x.efi stalecore.samples=0").starts_with("samples:"));
        assert!(refused("x.efi stalecore.samples").contains("no '='"));
        assert!(refused("acpi=maybe").contains("allowed: force, off"));
    }

    #[test]
    fn a_file_with_comments_and_any_line_ends() {
        let text = b"\xef\xbb\xbf# how the machine is run\r\nstalecore.samples=3 # few\r\n\
            \tacpi=force\nstalecore.ops=ic-ivau";
        let words = Words::from_file(text).unwrap();
        assert_eq!(words.bootargs, "stalecore.samples=3 stalecore.ops=ic-ivau");
        assert_eq!(words.prefer, Prefer::Acpi);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let refused = |text: &[u8]| Words::from_file(text).unwrap_err();
        assert!(refused(b"\n\nops=ic-ivau").starts_with("line 3: 'ops=ic-ivau'"));
        assert!(
            refused("stalecore.ops=ic\u{2011}ivau".as_bytes()).starts_with("line 1: not ASCII")
        );
        assert!(refused(&[b' '; MAX_FILE + 1]).contains("longer than"));
        assert!(Words::from_file(&[b' '; MAX_FILE]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Words::from_load_options(&bytes);
            let _ = Words::from_file(&bytes);
        }
    }
}
