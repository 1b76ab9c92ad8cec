//! Where a screen's memory is, and what a pixel looks like there: what can be drawn in.
//!
//! A frame buffer is described in the terms of the device tree's `simple-framebuffer`,
//! whoever describes it: the tree, the UEFI loader, or a boot argument.

mod format;

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

pub use format::Format;

use crate::region::Region;

/// Pages of the image's tables, in bytes.
const PAGE: u64 = 4096;
/// Everything is mapped at its own address, below what is mapped a second time.
const TOP: u64 = 1 << 45;
/// Pixels in a row, and rows, that words need at least.
pub const LEAST: [u32; 2] = [320, 156];
/// More pixels than a screen has in a row or column.
const MOST: u32 = 1 << 14;

/// A frame buffer that can be drawn in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framebuffer {
    /// Physical address of the first pixel.
    pub base: u64,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: u32,
    /// What a pixel looks like.
    pub format: Format,
}

impl Framebuffer {
    /// Checks what somebody says of a frame buffer.
    ///
    /// # Errors
    /// What cannot be: rows that overlap or leave the memory, a format that is not known, a
    /// screen too small for words, an address that is none.
    pub fn new(
        memory: Region,
        [width, height, stride]: [u32; 3],
        format: &str,
    ) -> Result<Self, String> {
        let format = Format::from_name(format)?;
        let bytes = u32::from(format.bytes);
        if width > MOST || height > MOST {
            return Err(format!(
                "{width}x{height} pixels; allowed: up to {MOST}x{MOST}"
            ));
        }
        let [columns, rows] = LEAST;
        if width < columns || height < rows {
            return Err(format!(
                "{width}x{height} pixels; at least {columns}x{rows} are needed for words"
            ));
        }
        if stride < width * bytes {
            return Err(format!(
                "a stride of {stride} bytes for rows of {width} pixels of {bytes} bytes"
            ));
        }
        if !memory.base.is_multiple_of(bytes.next_power_of_two().into())
            || !stride.is_multiple_of(bytes)
        {
            return Err(format!(
                "pixels of {bytes} bytes at {:#x}, {stride} bytes from row to row, are not aligned",
                memory.base
            ));
        }
        let found = Self {
            base: memory.base,
            width,
            height,
            stride,
            format,
        };
        let size = found.size();
        if size > memory.size {
            return Err(format!(
                "{size} bytes of pixels in memory of {} bytes",
                memory.size
            ));
        }
        match memory.base.checked_add(size) {
            Some(end) if memory.base > 0 && end <= TOP => Ok(found),
            _ => Err(format!(
                "{size} bytes at {:#x}; allowed: above 0, below {TOP:#x}",
                memory.base
            )),
        }
    }

    /// Reads `ADDRESS,WIDTHxHEIGHT,STRIDE,FORMAT`, as a boot argument has it.
    ///
    /// # Errors
    /// As [`Self::new`], or what is no number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not allowed; allowed: auto, on, off, or ADDRESS,WIDTHxHEIGHT,STRIDE,\
                 FORMAT like 0x80000000,1024x768,4096,x8r8g8b8"
            )
        };
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| wrong());
        let mut parts = text.split(',');
        let mut next = || parts.next().ok_or_else(wrong);
        let base = next()?.strip_prefix("0x").ok_or_else(wrong)?;
        let base = u64::from_str_radix(base, 16).map_err(|_| wrong())?;
        let (width, height) = next()?.split_once('x').ok_or_else(wrong)?;
        let sizes = [number(width)?, number(height)?, number(next()?)?];
        let format = next()?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        // Who names an address and a size there says how much memory it is.
        let size = u64::MAX - base;
        Self::new(Region { base, size }, sizes, format)
    }

    /// Bytes from the first pixel to the end of the last row.
    pub const fn size(&self) -> u64 {
        self.stride as u64 * self.height as u64
    }

    /// The whole pages that it lies in.
    pub const fn pages(&self) -> Region {
        let base = self.base / PAGE * PAGE;
        let end = (self.base + self.size()).next_multiple_of(PAGE);
        Region {
            base,
            size: end - base,
        }
    }
}

impl fmt::Display for Framebuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            base,
            width,
            height,
            stride,
            format,
        } = self;
        write!(f, "{base:#x},{width}x{height},{stride},{}", format.name)
    }
}

/// Is a frame buffer drawn in?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// Where one is described, but not behind a kernel that has handed over by kexec: it
    /// may have moved the screen, and lent the memory to somebody.
    #[default]
    Auto,
    /// There too; where none is described the run does not begin.
    On,
    /// In none.
    Off,
    /// In this one.
    At(Framebuffer),
}

impl Choice {
    /// Reads the word, or the place.
    ///
    /// # Errors
    /// As [`Framebuffer::parse`].
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "on" => Self::On,
            "off" => Self::Off,
            _ => Self::At(Framebuffer::parse(text)?),
        })
    }

    /// Which frame buffer is drawn in, of the one that is `described`, if any; `after_kexec`
    /// says that another kernel ran before, and `taken` what else is used: the image, its
    /// device tree, the flight recorder.
    ///
    /// # Errors
    /// Why the one that was asked for cannot be, or none of which is said that it can.
    pub fn of(
        self,
        described: Option<Framebuffer>,
        after_kexec: bool,
        taken: &[Region],
    ) -> Result<Option<Framebuffer>, String> {
        let found = match self {
            Self::Off => None,
            Self::Auto if after_kexec => None,
            Self::Auto => described,
            Self::On => Some(described.ok_or(
                "nothing describes one that can be drawn in; allowed: auto, off, or its place",
            )?),
            Self::At(found) => Some(found),
        };
        let hit = found.and_then(|found| taken.iter().find(|t| t.overlaps(&found.pages())));
        match (found, hit) {
            (Some(found), Some(hit)) => Err(format!(
                "the one at {:#x} would lie over what the image uses at {:#x}",
                found.base, hit.base
            )),
            _ => Ok(found),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::At(found) => f.write_str(&found.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const ROOM: Region = Region {
        base: 0x8000_0000,
        size: 16 << 20,
    };

    fn usual() -> Framebuffer {
        Framebuffer::new(ROOM, [1024, 768, 4096], "x8r8g8b8").unwrap()
    }

    #[test]
    fn a_description_that_lies_is_refused_with_what_it_says() {
        for (memory, sizes, format, part) in [
            (ROOM, [1024, 768, 4096], "x8r8g8", "'x8r8g8'"),
            (ROOM, [0, 768, 4096], "x8r8g8b8", "0x768 pixels; at least"),
            (ROOM, [1024, 20, 4096], "x8r8g8b8", "1024x20 pixels; at"),
            (ROOM, [1024, 70_000, 4096], "x8r8g8b8", "up to 16384"),
            (ROOM, [1024, 768, 4095], "x8r8g8b8", "a stride of 4095"),
            (ROOM, [1024, 768, 4098], "x8r8g8b8", "not aligned"),
            (ROOM, [1024, 768, 2047], "r5g6b5", "a stride of 2047"),
            (ROOM, [2048, 4096, 8192], "x8r8g8b8", "33554432 bytes of"),
            (
                Region { base: 0, ..ROOM },
                [1024, 768, 4096],
                "x8r8g8b8",
                "above 0",
            ),
            (
                Region {
                    base: TOP - 4096,
                    ..ROOM
                },
                [1024, 768, 4096],
                "x8r8g8b8",
                "below 0x200000000000",
            ),
            (
                Region {
                    base: u64::MAX - 4095,
                    size: u64::MAX,
                },
                [1024, 768, 4096],
                "x8r8g8b8",
                "below 0x2",
            ),
            (
                Region {
                    base: ROOM.base + 2,
                    ..ROOM
                },
                [1024, 768, 4096],
                "x8r8g8b8",
                "not aligned",
            ),
        ] {
            let error = Framebuffer::new(memory, sizes, format).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn it_is_whole_pages_that_are_mapped() {
        let at = |base| {
            let found = Framebuffer {
                base,
                height: 767,
                stride: 4100,
                ..usual()
            };
            (found.pages().base, found.pages().size)
        };
        assert_eq!(at(0x8000_0000), (0x8000_0000, 0x30_0000));
        assert_eq!(at(0x8000_0ff0), (0x8000_0000, 0x30_1000));
    }

    #[test]
    fn an_argument_is_read_as_it_is_written_or_refused() {
        let text = "0x80000000,1024x768,4096,x8r8g8b8";
        assert_eq!(Choice::parse(text), Ok(Choice::At(usual())));
        for text in [text, "auto", "on", "off"] {
            assert_eq!(Choice::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "yes",
            "80000000,1024x768,4096,x8r8g8b8",
            "0x80000000,1024,4096,x8r8g8b8",
            "0x80000000,1024x768,4096",
            "0x80000000,1024x768,4096,x8r8g8b8,1",
            "0x80000000,1024x-1,4096,x8r8g8b8",
        ] {
            let error = Choice::parse(text).unwrap_err();
            assert!(
                error.contains("allowed: auto, on, off, or ADDRESS"),
                "{error}"
            );
        }
        let error = Choice::parse("0x80000000,1024x768,4096,rgb").unwrap_err();
        assert!(
            error.contains("'rgb' is not allowed; allowed: r5g6b5, "),
            "{error}"
        );
    }

    #[test]
    fn behind_a_kernel_only_if_asked_for_and_never_over_what_is_used() {
        let known = Some(usual());
        assert_eq!(Choice::Auto.of(known, false, &[]), Ok(known));
        assert_eq!(Choice::Auto.of(known, true, &[]), Ok(None));
        assert_eq!(Choice::On.of(known, true, &[]), Ok(known));
        assert_eq!(Choice::Off.of(known, false, &[]), Ok(None));
        assert_eq!(Choice::Auto.of(None, false, &[]), Ok(None));
        assert_eq!(Choice::At(usual()).of(None, true, &[]), Ok(known));
        let error = Choice::On.of(None, false, &[]).unwrap_err();
        assert!(error.contains("nothing describes one"), "{error}");
        let beside = |base, size| Choice::Auto.of(known, false, &[Region { base, size }]);
        assert_eq!(beside(0x7fff_f000, 0x1000), Ok(known));
        assert_eq!(beside(0x8030_0000, 0x1000), Ok(known));
        assert!(beside(0x7fff_f000, 0x1001).is_err());
        let error = beside(0x802f_ffff, 1).unwrap_err();
        assert!(error.contains("0x80000000 would lie over"), "{error}");
        assert!(error.contains("0x802fffff"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_inside_its_memory(
            base in any::<u64>(),
            size in any::<u64>(),
            sizes in proptest::array::uniform3(0_u32..20_000),
            nth in 0..Format::ALL.len(),
        ) {
            let memory = Region { base, size };
            let name = Format::ALL[nth].name;
            if let Ok(found) = Framebuffer::new(memory, sizes, name) {
                prop_assert!(found.base.checked_add(found.size()).unwrap() <= TOP);
                prop_assert!(found.size() <= size);
                prop_assert!(found.width * u32::from(found.format.bytes) <= found.stride);
                prop_assert!(found.pages().base <= base && base + found.size() <= found.pages().end());
                prop_assert_eq!(Framebuffer::parse(&found.to_string()), Ok(found));
            }
        }

        #[test]
        fn no_text_is_too_odd(words in proptest::collection::vec("[0-9a-fx]{0,20}", 0..6)) {
            let words: Vec<String> = words;
            let _ = Choice::parse(&words.join(","));
        }
    }

    #[test]
    fn who_names_a_place_says_that_there_is_memory() {
        let far = Framebuffer::parse("0x100000000000,1024x768,4096,x8r8g8b8").unwrap();
        assert_eq!((far.base, far.size()), (1 << 44, 3 << 20));
        let error = Framebuffer::parse("0x0,1024x768,4096,x8r8g8b8").unwrap_err();
        assert!(error.contains("above 0"), "{error}");
    }
}
