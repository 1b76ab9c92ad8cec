//! The image's own symbol table, from the ELF file's.

use anyhow::{Context, anyhow};
use object::{
    Endianness,
    elf::{FileHeader64, SHF_EXECINSTR, SHT_SYMTAB, STT_FUNC, STT_NOTYPE},
    read::elf::{FileHeader, SectionHeader, Sym},
};
use stalecore_model::symbols;

/// The section that the image reserves for the table.
const SECTION: &[u8] = b".symbols";

/// Writes the table into the place in `flat` that the image reserves for it, if
/// there is one. If that place is the end of `flat`, what the table leaves of it is
/// cut off. `base` is the address of the first byte of `flat`.
///
/// # Errors
/// A broken ELF file, or a table larger than its place.
pub fn fill(
    flat: &mut Vec<u8>,
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    elf: &[u8],
    base: u64,
) -> anyhow::Result<()> {
    let sections = header.sections(endian, elf).context("sections")?;
    let Some((_, section)) = sections.section_by_name(endian, SECTION) else {
        return Ok(());
    };
    let place = section.sh_addr(endian).checked_sub(base);
    let place = place.and_then(|at| {
        let at = usize::try_from(at).ok()?;
        let end = at.checked_add(usize::try_from(section.sh_size(endian)).ok()?)?;
        (end <= flat.len()).then_some(at..end)
    });
    let place = place.context("the section .symbols lies outside the image")?;
    let table = sections
        .symbols(endian, elf, SHT_SYMTAB)
        .context("symbols")?;
    let mut functions: Vec<(u32, bool, String)> = Vec::new();
    for symbol in table.iter() {
        let code = sections
            .section(object::SectionIndex(symbol.st_shndx(endian).into()))
            .is_ok_and(|s| s.sh_flags(endian) & u64::from(SHF_EXECINSTR) != 0);
        let kind = symbol.st_type();
        let name = symbol.name(endian, table.strings()).unwrap_or_default();
        // Names that begin with '$' mark code and data for disassemblers.
        if !code || ![STT_FUNC, STT_NOTYPE].contains(&kind) || name.is_empty() || name[0] == b'$' {
            continue;
        }
        let offset = symbol.st_value(endian).checked_sub(base);
        if let Some(offset) = offset.and_then(|o| u32::try_from(o).ok()) {
            functions.push((offset, kind != STT_FUNC, readable(name)));
        }
    }
    // At one address a function is a better name than a mere mark.
    functions.sort();
    let functions = functions
        .into_iter()
        .map(|(offset, _, name)| (offset, name))
        .collect();
    let table = symbols::build(functions, place.len()).map_err(|needed| {
        anyhow!(
            "the names take {needed} bytes, the section .symbols has {}",
            place.len()
        )
    })?;
    let end = place.start + table.len();
    flat[place.start..end].copy_from_slice(&table);
    if place.end == flat.len() {
        flat.truncate(end);
    }
    Ok(())
}

/// A function that drops a value is named after the value's type, at length.
const DROPS: &str = "core::ptr::drop_in_place";

/// Our own crates: whose image it is need not be said. It has no room for that.
const OURS: [&str; 3] = [
    "stalecore_image::",
    "stalecore_model::",
    "stalecore_routines::",
];

/// A name as in the source, without the compiler's hash.
fn readable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let name = format!("{:#}", rustc_demangle::demangle(&name));
    if name.starts_with(DROPS) {
        return DROPS.into();
    }
    let name = match name.contains('<') {
        true => without_paths(&name),
        false => name,
    };
    OURS.iter().fold(name, |name, ours| name.replace(ours, ""))
}

/// A name in which types stand, `<alloc::vec::Vec<T> as core::fmt::Debug>::fmt`, without their
/// paths: `<Vec<T> as Debug>::fmt`. The image has no room for them.
fn without_paths(name: &str) -> String {
    let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut short = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| in_path(c) != in_path(first));
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        // What goes on behind a bracket is no path of its own.
        let mut segments = word.match_indices("::").filter(|_| !word.starts_with("::"));
        let its_type = segments.find(|(at, _)| word[at + 2..].starts_with(char::is_uppercase));
        short += &word[its_type.map_or(0, |(at, _)| at + 2)..];
        rest = after;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_readable() {
        for (name, short) in [
            (
                "<alloc::vec::Vec<T,A> as core::iter::traits::collect::Extend<T>>::extend",
                "<Vec<T,A> as Extend<T>>::extend",
            ),
            (
                "<&mut stalecore_model::a_b::C as core::fmt::Debug>::fmt::{{closure}}",
                "<&mut C as Debug>::fmt::{{closure}}",
            ),
            (
                "<T as alloc::slice::<impl [T]>::to_vec_in::ConvertVec>::to_vec",
                "<T as alloc::slice::<impl [T]>::to_vec_in::ConvertVec>::to_vec",
            ),
            ("core::str::Lines::next", "core::str::Lines::next"),
            ("stalecore_image::worker::init", "worker::init"),
            (
                "a::b::<impl a::run::Run>::blocked",
                "a::b::<impl Run>::blocked",
            ),
            ("core::ptr::drop_in_place<a::B>", "core::ptr::drop_in_place"),
        ] {
            assert_eq!(readable(name.as_bytes()), short);
        }
    }
}
