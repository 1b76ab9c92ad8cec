//! Names: the 8.3 form that every entry has, and the long form in front of it
//! where the name does not survive that.

/// The longest name that is taken, in characters.
const LONGEST: usize = 60;
/// Characters of a long name that one entry holds, and where.
const PIECES: [(usize, usize); 3] = [(1, 5), (14, 6), (28, 2)];
const PER_ENTRY: usize = 13;
const LONG_NAME: u8 = 0x0f;
const LAST: u8 = 0x40;

/// Letters, digits and the signs that are safe in both forms.
pub fn is_allowed(name: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=LONGEST).contains(&name.len())
        && name.chars().all(safe)
        && !name.starts_with('.')
        && !name.ends_with('.')
}

/// The name in its 8.3 form, padded; `others` are those of the directory that
/// are taken.
pub fn short(name: &str, others: &[[u8; 11]]) -> [u8; 11] {
    let upper = name.to_ascii_uppercase();
    let (base, extension) = upper.rsplit_once('.').unwrap_or((&upper, ""));
    let whole = base.len() <= 8 && extension.len() <= 3 && !base.contains('.');
    if whole {
        let short = padded(base, extension);
        if !others.contains(&short) {
            return short;
        }
    }
    let base: String = base.chars().filter(|c| *c != '.').collect();
    (1..)
        .map(|number: u32| {
            let tail = format!("~{number}");
            let head = &base[..base.len().min(8 - tail.len().min(8))];
            padded(&format!("{head}{tail}"), extension)
        })
        .find(|short| !others.contains(short))
        .expect("there are more numbers than entries")
}

fn padded(base: &str, extension: &str) -> [u8; 11] {
    let mut short = [b' '; 11];
    for (to, from) in short[..8].iter_mut().zip(base.bytes()) {
        *to = from;
    }
    for (to, from) in short[8..].iter_mut().zip(extension.bytes()) {
        *to = from;
    }
    short
}

/// The entries of the long form, as they stand in front of the short one;
/// none where the short form says it all.
pub fn long(name: &str, short: &[u8; 11]) -> Vec<[u8; 32]> {
    let base = String::from_utf8_lossy(&short[..8]);
    let extension = String::from_utf8_lossy(&short[8..]);
    let shown = match extension.trim_end() {
        "" => base.trim_end().to_string(),
        extension => format!("{}.{extension}", base.trim_end()),
    };
    if shown == name {
        return Vec::new();
    }
    let checksum = short
        .iter()
        .fold(0_u8, |sum, b| sum.rotate_right(1).wrapping_add(*b));
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(PER_ENTRY) {
        units.push(0);
    }
    let count = units.len().div_ceil(PER_ENTRY);
    units.resize(count * PER_ENTRY, 0xffff);
    let mut entries: Vec<[u8; 32]> = units
        .chunks(PER_ENTRY)
        .zip(1_u8..)
        .map(|(units, number)| {
            let mut entry = [0; 32];
            entry[0] = number;
            entry[11] = LONG_NAME;
            entry[13] = checksum;
            let mut units = units.iter();
            for (at, count) in PIECES {
                let places = entry[at..at + 2 * count].chunks_exact_mut(2);
                for (place, unit) in places.zip(&mut units) {
                    place.copy_from_slice(&unit.to_le_bytes());
                }
            }
            entry
        })
        .collect();
    if let Some(last) = entries.last_mut() {
        last[0] |= LAST;
    }
    entries.reverse();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        assert_eq!(&short("BOOTAA64.EFI", &[]), b"BOOTAA64EFI");
        assert_eq!(&short("EFI", &[]), b"EFI        ");
        assert_eq!(&short("grub.cfg", &[]), b"GRUB    CFG");
        assert_eq!(&short("stalecore.cfg", &[]), b"STALEC~1CFG");
        let taken = [*b"STALEC~1CFG", *b"GRUB    CFG"];
        assert_eq!(&short("stalecore.cfg", &taken), b"STALEC~2CFG");
        assert_eq!(&short("grub.cfg", &taken), b"GRUB~1  CFG");
        assert_eq!(&short("a.tar.gz", &[]), b"ATAR~1  GZ ");
    }

    #[test]
    fn long_names_only_where_needed() {
        assert_eq!(long("BOOTAA64.EFI", b"BOOTAA64EFI").len(), 0);
        assert_eq!(long("EFI", b"EFI        ").len(), 0);
        assert_eq!(long("grub.cfg", b"GRUB    CFG").len(), 1);
        // 13 characters fill one entry without an end mark, 14 need two.
        assert_eq!(long("stalecore.cfg", b"STALEC~1CFG").len(), 1);
        let two = long("stalecore.conf", b"STALEC~1CON");
        assert_eq!((two[0][0], two[1][0]), (0x42, 0x01));
    }

    #[test]
    fn names_that_are_refused() {
        for name in ["", ".", "..", "a/b", "a b", "a:", "x.", "\u{e9}", ".x"] {
            assert!(!is_allowed(name), "{name}");
        }
        assert!(!is_allowed(&"x".repeat(61)));
        assert!(is_allowed("stalecore-1.log"));
    }
}
