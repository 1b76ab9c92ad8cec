//! Rust sources as the rules see them: the image's modules in the order in which they
//! are declared, each split into its words and marks.

use std::{fs, path::Path};

/// A module: its path within the crate, and its text in words and marks.
#[derive(Debug)]
pub struct Module {
    pub path: Vec<String>,
    pub tokens: Vec<String>,
}

/// The image's modules: each before those that it declares.
pub fn modules() -> Vec<Module> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let mut found = Vec::new();
    read(&src, "main.rs", Vec::new(), &mut found);
    found
}

fn read(dir: &Path, file: &str, path: Vec<String>, found: &mut Vec<Module>) {
    let text = fs::read_to_string(dir.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let tokens = tokens(&text);
    let declared: Vec<String> = tokens
        .windows(3)
        .filter(|w| w[0] == "mod" && w[2] == ";")
        .map(|w| w[1].clone())
        .collect();
    let own = path.clone();
    found.push(Module { path, tokens });
    for name in declared {
        let path = [own.clone(), vec![name.clone()]].concat();
        let (folder, file) = (dir.join(&name), format!("{name}.rs"));
        if folder.is_dir() {
            read(&folder, "mod.rs", path, found);
        } else {
            read(dir, &file, path, found);
        }
    }
}

/// Identifiers, `::`, and single other characters; comments, strings and
/// characters are left out.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if first == '"' {
            let escaped = rest[1..].char_indices().scan(false, |escape, (at, c)| {
                let end = c == '"' && !*escape;
                *escape = c == '\\' && !*escape;
                Some((at, end))
            });
            let end = escaped.into_iter().find(|(_, end)| *end);
            end.map_or(rest.len(), |(at, _)| at + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let length = match rest.find(|c| !word(c)) {
                Some(0) if rest.starts_with("::") => 2,
                Some(0) => first.len_utf8(),
                Some(end) => end,
                None => rest.len(),
            };
            if !first.is_whitespace() {
                tokens.push(rest[..length].to_string());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}
