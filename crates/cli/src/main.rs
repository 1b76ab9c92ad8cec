//! `stalecore`: runs the image, explains what it found and draws it.

fn main() {}
