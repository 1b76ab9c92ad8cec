//! What a pixel looks like: the formats of `simple-framebuffer`, as Linux has them
//! (`include/linux/platform_data/simplefb.h`). A pixel is a little-endian word.

use alloc::{format, string::String, vec::Vec};

/// A part of the word: its lowest bit, and how many.
type Field = (u8, u8);

/// A format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// Its name in the binding.
    pub name: &'static str,
    /// Bytes of a pixel.
    pub bytes: u8,
    /// Red, green and blue.
    colours: [Field; 3],
    /// How much of what lies behind is hidden.
    alpha: Field,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[
        format("r5g6b5", 2, [(11, 5), (5, 6), (0, 5)], (0, 0)),
        format("x1r5g5b5", 2, [(10, 5), (5, 5), (0, 5)], (0, 0)),
        format("a1r5g5b5", 2, [(10, 5), (5, 5), (0, 5)], (15, 1)),
        format("r8g8b8", 3, [(16, 8), (8, 8), (0, 8)], (0, 0)),
        format("x8r8g8b8", 4, [(16, 8), (8, 8), (0, 8)], (0, 0)),
        format("a8r8g8b8", 4, [(16, 8), (8, 8), (0, 8)], (24, 8)),
        format("x8b8g8r8", 4, [(0, 8), (8, 8), (16, 8)], (0, 0)),
        format("a8b8g8r8", 4, [(0, 8), (8, 8), (16, 8)], (24, 8)),
        format("x2r10g10b10", 4, [(20, 10), (10, 10), (0, 10)], (0, 0)),
        format("a2r10g10b10", 4, [(20, 10), (10, 10), (0, 10)], (30, 2)),
    ];

    /// The format of that name.
    ///
    /// # Errors
    /// One line with those that there are.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|format| format.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name).collect();
            format!(
                "format '{name}' is not allowed; allowed: {}",
                names.join(", ")
            )
        })
    }

    /// The format of 32 bits whose red, green and blue these masks select, as UEFI's GOP
    /// describes a pixel.
    pub fn of_masks(masks: [u32; 3]) -> Option<Self> {
        let mask = |(low, bits): Field| ((1_u64 << bits) - 1) << low;
        let is = |format: &&Self| {
            let mut all = format.colours.iter().zip(masks);
            format.bytes == 4 && all.all(|(field, m)| mask(*field) == u64::from(m))
        };
        Self::ALL.iter().find(is).copied()
    }

    /// The word of a colour: red, green and blue of 8 bits each, nothing of what lies
    /// behind.
    pub fn pixel(&self, colour: [u8; 3]) -> u32 {
        let part = |(low, bits): Field, value: u8| {
            let most = (1_u32 << bits) - 1;
            ((u32::from(value) * most + 127) / 255) << low
        };
        let fields = self.colours.iter().zip(colour);
        let opaque = part(self.alpha, u8::MAX);
        fields.fold(opaque, |word, (field, value)| word | part(*field, value))
    }
}

const fn format(name: &'static str, bytes: u8, colours: [Field; 3], alpha: Field) -> Format {
    Format {
        name,
        bytes,
        colours,
        alpha,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_linux() {
        for (name, red, grey) in [
            ("r5g6b5", 0xf800, 0x8410),
            ("x1r5g5b5", 0x7c00, 0x4210),
            ("a1r5g5b5", 0xfc00, 0xc210),
            ("r8g8b8", 0xff_0000, 0x80_8080),
            ("x8r8g8b8", 0xff_0000, 0x80_8080),
            ("a8r8g8b8", 0xffff_0000, 0xff80_8080),
            ("x8b8g8r8", 0x0000_00ff, 0x0080_8080),
            ("a8b8g8r8", 0xff00_00ff, 0xff80_8080),
            ("x2r10g10b10", 0x3ff0_0000, 0x2028_0a02),
            ("a2r10g10b10", 0xfff0_0000, 0xe028_0a02),
        ] {
            let format = Format::from_name(name).unwrap();
            assert_eq!(format.pixel([255, 0, 0]), red, "{name}");
            assert_eq!(format.pixel([128; 3]), grey, "{name}");
        }
        assert_eq!(Format::ALL.len(), 10);
    }

    #[test]
    fn firmware_s_masks_are_found() {
        let name = |masks| Format::of_masks(masks).map(|format| format.name);
        assert_eq!(name([0xff_0000, 0xff00, 0xff]), Some("x8r8g8b8"));
        assert_eq!(name([0xff, 0xff00, 0xff_0000]), Some("x8b8g8r8"));
        assert_eq!(name([0x3ff0_0000, 0xf_fc00, 0x3ff]), Some("x2r10g10b10"));
        // A word of 32 bits with the colours of one of 16.
        assert_eq!(name([0xf800, 0x7e0, 0x1f]), None);
        assert_eq!(name([0, 0, 0]), None);
    }
}
