//! What a routine runs over.

/// The kernel's page.
pub const PAGE: usize = 4096;

/// The memory that a routine runs over.
#[derive(Clone, Copy)]
pub struct Area {
    /// The code, as it is executed.
    pub code: usize,
    /// The same bytes, as they are written.
    pub code_writable: usize,
    /// Bytes of code.
    pub size: usize,
    /// Data pages that kexec would load, and the list of them.
    pub data: usize,
    /// Bytes of data.
    pub data_size: usize,
    /// A page for the kexec list.
    pub list: usize,
}
