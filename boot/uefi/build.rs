//! Passes on where the flat image is, and gives the loader a DOS header with
//! the arm64 Image magic: GRUB before 2.06 starts a PE file as a kernel only
//! if it carries that.

use std::{env, fs, path::PathBuf};

/// Length of a DOS header; the linker fills in where the PE header is.
const DOS_HEADER: usize = 64;
/// Where an arm64 Image has its magic: in a DOS header, reserved words.
const MAGIC_AT: usize = 56;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut stub = [0; DOS_HEADER];
    stub[..2].copy_from_slice(b"MZ");
    stub[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(b"ARM\x64");
    let path = out.join("stub.bin");
    fs::write(&path, stub).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-arg-bins=/stub:{}", path.display());
    // Otherwise the loader names its symbol file by a checksum of it, which depends on
    // every path of the machine that built it.
    println!("cargo::rustc-link-arg-bins=/debug:none");

    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=STALECORE_IMG");
    let Some(image) = env::var_os("STALECORE_IMG") else {
        println!("cargo::error=STALECORE_IMG must name the flat image; run `make dist`");
        return;
    };
    let image = PathBuf::from(image);
    if !image.is_absolute() || !image.is_file() {
        println!(
            "cargo::error=STALECORE_IMG={} is not the absolute path of a file",
            image.display()
        );
        return;
    }
    println!("cargo::rerun-if-changed={}", image.display());
    println!("cargo::rustc-env=STALECORE_IMG={}", image.display());
}
