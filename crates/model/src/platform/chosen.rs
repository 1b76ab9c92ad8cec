//! `/chosen`: what the loader of the image says, apart from the machine.

use alloc::string::{String, ToString};

use dtoolkit::{Node, Property, fdt::FdtNode};

use crate::{
    kexec::Kexec,
    property::{number, text},
};

#[derive(Default)]
pub struct Chosen {
    pub bootargs: String,
    /// The console's path below the root, without the slash in front.
    pub console: Option<String>,
    /// From the stalecore loader: ACPI's root pointer, room for the flight recorder.
    pub rsdp: Option<u64>,
    pub recorder: Option<u64>,
    /// From the stalecore loader: what the user should know.
    pub note: Option<String>,
    pub kexec: Option<Kexec>,
}

impl Chosen {
    /// Reads the node, if there is one.
    ///
    /// # Errors
    /// As [`Kexec::read`].
    pub fn read(root: &FdtNode<'_>) -> Result<Self, String> {
        let Some(chosen) = root.child("chosen") else {
            return Ok(Self::default());
        };
        // Devicetree specification 0.4, 2.3.5: the defaults.
        let cells = [("#address-cells", 2), ("#size-cells", 1)].map(|(name, usual)| {
            let cells = number(root, name).unwrap_or(usual);
            usize::try_from(cells).unwrap_or(usize::MAX)
        });
        Ok(Self {
            bootargs: bootargs(&chosen),
            console: text(&chosen, "stdout-path").map(|path| console(root, &path)),
            rsdp: number(&chosen, "stalecore,acpi-rsdp"),
            recorder: number(&chosen, "stalecore,recorder"),
            note: text(&chosen, "stalecore,note"),
            kexec: Kexec::read(&chosen, cells)?,
        })
    }
}

/// The boot arguments end at the first NUL: kexec-tools leaves several.
pub fn bootargs(chosen: &FdtNode<'_>) -> String {
    let Some(property) = chosen.property("bootargs") else {
        return String::new();
    };
    let mut texts = property.value().split(|byte| *byte == 0);
    String::from_utf8_lossy(texts.next().unwrap_or_default()).to_string()
}

/// The path of what `stdout-path` names, itself or by an alias.
fn console(root: &FdtNode<'_>, path: &str) -> String {
    let path = path.split(':').next().unwrap_or(path);
    let alias = root.child("aliases").and_then(|a| text(&a, path));
    let path = alias.as_deref().unwrap_or(path);
    path.trim_start_matches('/').to_string()
}
