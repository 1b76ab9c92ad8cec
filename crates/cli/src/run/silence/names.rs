//! `symbol+offset` of an address in the running image, from the symbol table
//! that it carries.

use stalecore_model::{mark::Marks, symbols::Symbols};

use crate::flatten;

/// The image's names, at the place where it runs.
pub struct Names<'a> {
    base: u64,
    size: u64,
    /// The table, and its offset, before which all code lies.
    table: Option<(Symbols<'a>, u64)>,
}

impl<'a> Names<'a> {
    /// The names of the `image`, flat or as it is in memory, which runs where
    /// `marks` says; without a symbol table addresses stay numbers.
    pub fn new(image: &'a [u8], marks: Option<&Marks>) -> Self {
        let base = marks.map_or(u64::MAX, |marks| marks.image.0);
        let at = marks.and_then(|marks| marks.symbols.0.checked_sub(base));
        let table = at.and_then(|at| {
            let table = image.get(usize::try_from(at).ok()?..)?;
            Some((Symbols::read(table)?, at))
        });
        Self {
            base,
            size: flatten::check(image).map_or(0, |()| flatten::image_size(image)),
            table,
        }
    }

    /// Is the address in the image?
    pub fn knows(&self, address: u64) -> bool {
        address
            .checked_sub(self.base)
            .is_some_and(|offset| offset < self.size)
    }

    /// `stale_spin+8`, `image+0x8`, or the number of an address elsewhere.
    pub fn at(&self, address: u64) -> String {
        if !self.knows(address) {
            return format!("{address:#x}");
        }
        let offset = address - self.base;
        let table = self.table.filter(|(_, at)| offset < *at);
        match table.and_then(|(table, _)| table.find(offset)) {
            Some((name, offset)) => format!("{name}+{offset}"),
            None => format!("image+{offset:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::{record::Hex, symbols};

    #[test]
    fn addresses_get_the_image_s_names() {
        let table = symbols::build(vec![(0x40, "stale_spin".into())], 4096).unwrap();
        let mut image = vec![0; 0x80];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image.extend(table);
        image[0x10..0x18].copy_from_slice(&0x1000_u64.to_le_bytes());
        let marks = Marks {
            image: Hex(0x4020_0000),
            symbols: Hex(0x4020_0080),
            case: Hex(0),
            mark: Hex(0),
            state: Hex(0),
            stride: 0,
        };
        let names = Names::new(&image, Some(&marks));
        for (address, text) in [
            (0x4020_0044, "stale_spin+4"),
            (0x4020_0010, "image+0x10"),
            (0x4020_0fff, "image+0xfff"),
            (0x4020_1000, "0x40201000"),
            (0, "0x0"),
        ] {
            assert_eq!(names.at(address), text);
        }
        let elsewhere = Marks {
            symbols: Hex(u64::MAX),
            ..marks
        };
        assert_eq!(
            Names::new(&image, Some(&elsewhere)).at(0x4020_0044),
            "image+0x44"
        );
        assert_eq!(Names::new(&image, None).at(0x40), "0x40");
        assert_eq!(Names::new(&[], Some(&marks)).at(0x4020_0044), "0x40200044");
    }
}
