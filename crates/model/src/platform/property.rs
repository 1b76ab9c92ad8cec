//! Properties of the device tree's nodes.

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
