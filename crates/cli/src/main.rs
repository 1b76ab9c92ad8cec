//! `stalecore`: runs the image, explains what it found and draws it.

#[cfg_attr(not(test), expect(dead_code, reason = "the commands follow"))]
mod store;

fn main() {}
