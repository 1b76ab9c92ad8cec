//! The page around the sections: head, style, script, navigation.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use stalecore_model::run::Run;

use super::{
    answer, axis::Axes, blocks, case, cores, crash, hazards, heat, how, machine, stale_count,
    sweep, text::Said, view::View,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How a page names what made it; the version follows.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"stalecore ";

/// What a browser may do with the page: nothing but draw it and run the one
/// script whose hash this is. Escaping keeps foreign text out of the markup;
/// this is the second lock.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      script-src 'sha256-rTBTOT6vjgUjDURg9qPNTbLRakIZQwOIaTbcjrDe94g='";

/// Every section, with the words of its link; sections with nothing to show have none.
const CONTENTS: [(&str, &str); 10] = [
    ("heat", "Slow-down"),
    ("crash", "Crash path"),
    ("blocks", "Blocks"),
    ("faults", "Faults"),
    ("hazards", "Hazards"),
    ("stale-cores", "Stale cores"),
    ("sweep", "Depth"),
    ("cores", "Cores"),
    ("machine", "Machine"),
    ("how", "How it was run"),
];

/// The whole page.
pub fn page(runs: &[Run]) -> String {
    let view = View::new(runs);
    let mut axes = Axes::default();
    let cases = case::all(&view, &mut axes);
    let mut definitions = String::new();
    axes.define(&mut definitions, runs);
    let sections: Vec<Markup> = vec![
        heat::section(&view),
        crash::section(&view),
        blocks::section(&view),
        hazards::section(&view),
        stale_count::section(&view),
        sweep::section(&view),
        cores::section(&view),
        machine::section(&view),
        how::section(&view),
    ];
    let there = |id: &str| {
        let attribute = format!("<section id=\"{id}\"");
        sections.iter().any(|s| s.0.contains(&attribute))
    };
    let title = match runs {
        [run] => short(&Said(&run.answer).clean()),
        _ => format!("{} runs", runs.len()),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                (PreEscaped(GENERATOR)) (env!("CARGO_PKG_VERSION")) (PreEscaped("\">"))
                title { "stalecore: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (PreEscaped(definitions))
                main {
                    (answer::section(&view))
                    nav.contents {
                        @for (id, words) in CONTENTS.iter().filter(|(id, _)| there(id)) {
                            a href={ "#" (id) } { (words) }
                        }
                    }
                    @for section in &sections { (section) }
                }
                div id="cases" { (PreEscaped(cases)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// The most characters of a title: a tab shows a few words of it, a bookmark
/// a few more.
const TITLE: usize = 70;

/// The first words of an answer, if it is long.
fn short(answer: &str) -> String {
    if answer.chars().count() <= TITLE {
        return answer.into();
    }
    let cut: String = answer.chars().take(TITLE - 1).collect();
    let words = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(words, _)| words);
    format!("{}…", words.trim_end_matches([',', ':', ';', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |n: u32| char::from(DIGITS[(n & 63) as usize]);
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let mut word = [0; 4];
            word[1..=three.len()].copy_from_slice(three);
            let word = u32::from_be_bytes(word);
            for place in 0..4 {
                text.push(if place <= three.len() {
                    digit(word >> (18 - 6 * place))
                } else {
                    '='
                });
            }
        }
        text
    }

    /// If the script were changed without its hash, every browser would refuse it
    /// silently.
    #[test]
    fn the_policy_names_the_script() {
        let hash = format!("'sha256-{}'", base64(&Sha256::digest(SCRIPT)));
        assert!(POLICY.contains(&hash), "script-src {hash}");
    }

    #[test]
    fn a_title_is_short() {
        assert_eq!(
            short("No: all 9 cases returned."),
            "No: all 9 cases returned."
        );
        let long = short(&"word, ".repeat(40));
        assert!(
            long.chars().count() <= TITLE && long.ends_with("word…"),
            "{long}"
        );
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let page = page(&[Run::default()]);
        for loads in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(loads), "{loads}");
        }
    }
}
