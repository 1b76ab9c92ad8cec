//! `unsafe` is in few files of the image: so few that each can be read whole.

use crate::source::{Module, modules, tokens};

/// The most of them that there may be.
const MOST: usize = 15;

/// Where `unsafe` begins something, in words: a block, a function, an
/// implementation, a block of what is elsewhere. Attributes are not meant.
fn is_unsafe(words: &[String]) -> bool {
    let begins = |two: &[String]| {
        two[0] == "unsafe" && ["{", "fn", "impl", "extern"].contains(&two[1].as_str())
    };
    words.windows(2).any(begins)
}

/// Macros whose text has such a place: a file that calls one has it too.
fn unsafe_macros(words: &[String]) -> Vec<String> {
    let starts = (0..words.len()).filter(|at| words[*at] == "macro_rules");
    let found = starts.filter_map(|at| {
        let mut depth = 0_usize;
        let end = (at..words.len()).find(|at| {
            match words[*at].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => return false,
            }
            depth == 0
        })?;
        // `macro_rules`, `!`, the name
        is_unsafe(&words[at..end]).then(|| words[at + 2].clone())
    });
    found.collect()
}

/// The files that have such a place, or call a macro that has.
fn rooms(modules: &[Module]) -> Vec<String> {
    let macros: Vec<String> = modules
        .iter()
        .flat_map(|m| unsafe_macros(&m.tokens))
        .collect();
    let calls = |words: &[String]| {
        let opens = ["(", "{", "["].contains(&words[2].as_str());
        macros.contains(&words[0]) && words[1] == "!" && opens
    };
    modules
        .iter()
        .filter(|m| is_unsafe(&m.tokens) || m.tokens.windows(3).any(calls))
        .map(|m| m.path.join("/"))
        .collect()
}

#[test]
fn unsafe_is_in_few_files() {
    let rooms = rooms(&modules());
    assert!(rooms.len() > 5, "{rooms:?}");
    assert!(rooms.len() <= MOST, "{} files: {rooms:?}", rooms.len());
}

/// Which of the files with these texts are found, by their numbers.
fn found(texts: &[&str]) -> Vec<String> {
    let modules: Vec<Module> = (0..)
        .zip(texts)
        .map(|(number, text): (usize, _)| Module {
            path: vec![number.to_string()],
            tokens: tokens(text),
        })
        .collect();
    rooms(&modules)
}

#[test]
fn each_kind_of_unsafe_is_seen() {
    for text in [
        "fn f() { unsafe { g() } }",
        "fn f() { unsafe\n{ g() } }",
        "pub unsafe fn f() {}",
        "unsafe impl Sync for S {}",
        "unsafe extern \"C\" { fn f(); }",
    ] {
        assert_eq!(found(&["fn main() {}", text]), ["1"], "{text}");
    }
}

#[test]
fn what_only_speaks_of_it_is_not() {
    for text in [
        "#[unsafe(no_mangle)] fn f() {}",
        "#![expect(unsafe_code, reason = \"unsafe { }\")]",
        "// unsafe { }",
        "/// unsafe fn\nfn f() {}",
        "type F = fn(unsafe_code);",
    ] {
        assert_eq!(found(&[text]), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_macro_does_not_hide_it() {
    let defines = "macro_rules! asm_fn { ($n:ident) => { unsafe extern \"C\" { fn $n(); } }; }";
    let harmless = "macro_rules! print { () => { f() }; } unsafe impl A for B {}";
    let calls = "fn f() { asm_fn!(g); }";
    assert_eq!(found(&[defines, calls, "fn f() {}"]), ["0", "1"]);
    assert_eq!(found(&[harmless, "fn f() { print!(); }"]), ["0"]);
    assert_eq!(found(&[defines, "fn f() { asm_fn != g }"]), ["0"]);
}
