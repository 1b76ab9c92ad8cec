//! Properties of the device tree's nodes.

use alloc::string::{String, ToString};

use dtoolkit::{Node, Property, fdt::FdtNode};

/// A property of one or two cells.
pub fn number(node: &FdtNode<'_>, name: &str) -> Option<u64> {
    let property = node.property(name)?;
    match property.value() {
        bytes @ [_, _, _, _] => bytes
            .try_into()
            .ok()
            .map(|b| u64::from(u32::from_be_bytes(b))),
        bytes => bytes.try_into().ok().map(u64::from_be_bytes),
    }
}

/// A property that is text.
pub fn text(node: &FdtNode<'_>, name: &str) -> Option<String> {
    let property = node.property(name)?;
    property.value_as::<&str>().ok().map(ToString::to_string)
}
