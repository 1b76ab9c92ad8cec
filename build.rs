//! Links the image with its linker script, position independent.

fn main() {
    let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for arg in [
        format!("-T{dir}/linker.ld"),
        "-pie".into(),
        "--no-dynamic-linker".into(),
        "-znotext".into(),
        "-znorelro".into(),
        "--pack-dyn-relocs=relr".into(),
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rerun-if-changed=linker.ld");
    println!("cargo:rerun-if-changed=build.rs");
}
