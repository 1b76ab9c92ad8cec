//! The dependencies: their licences, and that none is there twice. Asks cargo,
//! offline, for every target that something is built for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// Licences that may be linked into something that is MIT OR Apache-2.0.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates with another licence, and why they may still be used.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Unchanged, in the UEFI loader only: the licence covers its own files.
    ("ucs2", "MPL-2.0"),
    // Of scraper, which reads the page in tests and is in nothing that is installed.
    ("cssparser", "MPL-2.0"),
    ("cssparser-macros", "MPL-2.0"),
    ("dtoa-short", "MPL-2.0"),
    ("selectors", "MPL-2.0"),
];

/// Crates that are there in several incompatible versions, and for whom.
const TWICE: &[(&str, &str)] = &[
    ("bitflags", "fatfs, in tests"),
    ("getrandom", "proptest and jsonschema, in tests"),
    ("syn", "num_enum_derive, of arm-gic; not linked"),
];

const TARGETS: &[&str] = &[
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "aarch64-unknown-none",
    "aarch64-unknown-uefi",
];

/// The packages that are not ours: (name, version, licence).
fn packages() -> BTreeSet<[String; 3]> {
    let mut found = BTreeSet::new();
    for target in TARGETS {
        let out = Command::new(env!("CARGO"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .args(["metadata", "--locked", "--offline", "--format-version=1"])
            .args(["--filter-platform", target])
            .output()
            .expect("cargo starts");
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{errors}");
        let all: Value = serde_json::from_slice(&out.stdout).expect("cargo writes JSON");
        let used: BTreeSet<_> = all["resolve"]["nodes"]
            .as_array()
            .expect("nodes")
            .iter()
            .map(|node| &node["id"])
            .map(Value::to_string)
            .collect();
        for package in all["packages"].as_array().expect("packages") {
            if !package["source"].is_null() && used.contains(&package["id"].to_string()) {
                let text = |key: &str| package[key].as_str().unwrap_or("none").to_owned();
                found.insert([text("name"), text("version"), text("license")]);
            }
        }
    }
    assert!(found.len() > 100, "{} packages", found.len());
    found
}

/// May it be linked: is there a choice (`OR`, `/`) all of whose parts (`AND`) may?
fn allowed(licence: &str) -> bool {
    let may = |part: &str| {
        let plain = part.trim().trim_matches(['(', ')']);
        LICENCES.contains(&plain.trim_end_matches(" WITH LLVM-exception"))
    };
    licence
        .replace('/', " OR ")
        .split(" AND ")
        .all(|every| every.trim_matches(['(', ')']).split(" OR ").any(may))
}

/// The part of a version that says what it is compatible with.
fn major(version: &str) -> String {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        _ => version.to_owned(),
    }
}

#[test]
fn every_dependency_has_a_licence_that_may_be_linked() {
    for [name, version, licence] in packages() {
        assert!(
            allowed(&licence) || EXCEPTIONS.contains(&(&*name, &*licence)),
            "{name} {version} is {licence}"
        );
    }
}

#[test]
fn no_dependency_is_there_twice_but_those_that_are_known() {
    let mut majors = BTreeMap::<_, BTreeSet<_>>::new();
    for [name, version, _] in packages() {
        majors.entry(name).or_default().insert(major(&version));
    }
    let known: BTreeSet<_> = TWICE.iter().map(|(name, _)| *name).collect();
    majors.retain(|_, versions| versions.len() > 1);
    let twice: BTreeSet<_> = majors.keys().map(String::as_str).collect();
    assert_eq!(
        twice, known,
        "{majors:?}: what is known no more is taken out of the list"
    );
}

#[test]
fn licences_are_read_with_their_choices() {
    for licence in [
        "MIT",
        "MIT/GPL-3.0",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Zlib OR X",
    ] {
        assert!(allowed(licence), "{licence}");
    }
    for licence in ["GPL-2.0-or-later", "MIT AND GPL-3.0", "none", "MPL-2.0", ""] {
        assert!(!allowed(licence), "{licence}");
    }
    assert_eq!([major("0.3.4"), major("1.2.3")], ["0.3", "1"]);
}
