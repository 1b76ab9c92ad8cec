//! The pages about boards tell people to type what the image takes.

use std::{fs, path::Path};

use stalecore_model::options::{Options, PREFIX};

/// The words of a page that are options.
fn words(page: &str) -> Vec<&str> {
    page.split(|c: char| c.is_whitespace() || "`\"()".contains(c))
        .map(|w| w.trim_end_matches([',', '.', ';', ':']))
        .filter(|w| w.starts_with(PREFIX) && w.contains('='))
        .collect()
}

#[test]
fn every_option_on_a_page_is_one() {
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/boards");
    let (mut pages, mut seen) = (0, 0);
    for entry in fs::read_dir(boards).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        pages += 1;
        for word in words(&page) {
            if let Err(e) = Options::from_bootargs(word) {
                panic!("{}: {word}: {e}", path.display());
            }
            seen += 1;
        }
    }
    assert!(pages >= 10 && seen >= 20, "{pages} pages, {seen} options");
}

#[test]
fn every_page_says_that_it_is_not_tried() {
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/boards");
    for entry in fs::read_dir(boards).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == "README.md" {
            continue;
        }
        let page = fs::read_to_string(&path).unwrap();
        let head: String = page.lines().take(4).collect();
        assert!(head.contains(": not yet.**"), "{}", path.display());
        for section in [
            "What is ",
            "How to boot",
            "What to expect",
            "What to send us",
        ] {
            assert!(
                page.contains(&format!("\n## {section}")),
                "{}: {section}",
                path.display()
            );
        }
    }
}

#[test]
fn a_wrong_option_would_be_seen() {
    assert_eq!(
        words("run `stalecore.ops=ic-ivau`, then"),
        ["stalecore.ops=ic-ivau"]
    );
    assert!(Options::from_bootargs("stalecore.ops=ic-ivua").is_err());
}
