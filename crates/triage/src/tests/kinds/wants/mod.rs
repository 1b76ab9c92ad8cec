//! The correct reading of each log.

mod copies;
mod kernels;

/// One log.
pub struct Want {
    /// Its file's name.
    pub name: &'static str,
    /// How many crashes it holds.
    pub crashes: usize,
    /// Values of the first, by path.
    pub values: &'static [(&'static str, &'static str)],
    /// Words that the findings or the command hold.
    pub says: &'static [&'static str],
    /// Words that none of them holds.
    pub never: &'static [&'static str],
}

/// Every log.
pub fn all() -> impl Iterator<Item = &'static Want> {
    copies::WANTS.iter().chain(kernels::WANTS)
}
