//! A QEMU plugin that notices missing cache maintenance.
//!
//! QEMU executes `dc` and `ic` as if they did nothing, and its memory has no
//! caches, so a program that forgets one runs all the same. This plugin tracks,
//! for each line, what caches would hold, and reports the accesses that rely on
//! memory that a cache may hide or overwrite.
//!
//! [`decode`], [`translate`], [`caches`] and [`sites`] are pure; `plugin` joins
//! them to QEMU.

mod attributes;
pub mod caches;
pub mod decode;
pub mod line;
#[cfg(not(test))]
mod plugin;
pub mod sites;
pub mod translate;
