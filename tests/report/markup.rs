//! What a run's texts make of the page: nothing. A real parser reads it, and it has the same
//! elements and attributes whatever the texts are. (`junit.xml`: `crates/cli/src/junit.rs`.)

use proptest::prelude::*;
use scraper::{Html, Node};
use stalecore_model::run::Run;

use crate::synthetic::{self, Shape};

fn run() -> Run {
    synthetic::run(&Shape {
        cases: 6,
        samples: 32,
        sweep: true,
        initiators: 2,
        ..Shape::default()
    })
}

/// The elements of a page in their order, each with the names of its attributes, and what
/// its links lead to.
fn skeleton(page: &str) -> Vec<String> {
    let html = Html::parse_document(page);
    let nodes = html.tree.values();
    nodes
        .filter_map(|node| match node {
            Node::Element(element) => {
                let mut names: Vec<_> = element.attrs().map(|(name, _)| name).collect();
                names.sort_unstable();
                assert!(
                    !names.iter().any(|name| name.starts_with("on")),
                    "{element:?}"
                );
                for (name, value) in element.attrs() {
                    let link = ["href", "src", "action", "xlink:href"].contains(&name);
                    assert!(
                        !link || value.starts_with(['#']) || value.starts_with("data:image/"),
                        "{element:?}"
                    );
                }
                Some(format!("{} {}", element.name(), names.join(" ")))
            }
            Node::Comment(comment) => Some(format!("comment {}", &**comment)),
            _ => None,
        })
        .collect()
}

fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(synthetic::MARKUP);
    prop::collection::vec(pieces, 1..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn texts_are_no_markup_in_the_page(text in texts()) {
        // As many letters: what is too long is cut elsewhere.
        let plain = "x".repeat(text.chars().count().max(1));
        let run = run();
        let (hostile, many) = synthetic::poisoned(&run, &text);
        prop_assert!(many > 30);
        let (harmless, _) = synthetic::poisoned(&run, &plain);
        let pages = [hostile, harmless].map(|run| stalecore_report::page(&[run]));
        let [hostile, harmless] = pages.each_ref().map(|page| skeleton(page));
        let differ = hostile.iter().zip(&harmless).find(|(a, b)| a != b);
        prop_assert_eq!(differ, None);
        prop_assert_eq!(hostile.len(), harmless.len());
        prop_assert_eq!(hostile.iter().filter(|e| e.starts_with("script")).count(), 1);
    }
}
