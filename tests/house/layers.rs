//! A file of the image imports only from what is declared after it: from files
//! below it in its own folder, and from folders below that. So there is no
//! circle.

use crate::source::{Module, modules, tokens};

/// Paths that begin with `crate`, `self` or `super`, in `use` and elsewhere, resolved
/// from the root of the crate; each path of a group by itself.
fn imports(module: &Module) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let words = &module.tokens;
    for at in 0..words.len().saturating_sub(1) {
        let up = match words[at].as_str() {
            // Each further `super` of a path is seen by `tree`.
            "super" if at == 0 || words[at - 1] != "::" => 1,
            "self" => 0,
            "crate" => module.path.len(),
            _ => continue,
        };
        if words[at + 1] == "::" {
            let base = module.path[..module.path.len().saturating_sub(up)].to_vec();
            tree(words, at + 2, base, &mut found);
        }
    }
    found
}

/// Reads what follows a `::`; where it ends.
fn tree(
    words: &[String],
    mut at: usize,
    mut path: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    if words[at] == "{" {
        while words[at] != "}" {
            at = tree(words, at + 1, path.clone(), found); // at a comma, or the end
        }
        return at + 1;
    }
    match words[at].as_str() {
        "}" => return at, // after the last comma of a group
        "super" => drop(path.pop()),
        word if word != "self" && word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
            path.push(word.into())
        }
        _ => {} // the module itself, everything in it, or the item's types
    }
    if words.get(at + 1).is_some_and(|next| next == "::") {
        return tree(words, at + 2, path, found);
    }
    found.push(path);
    let renamed = words.get(at + 1).is_some_and(|next| next == "as");
    at + if renamed { 3 } else { 1 }
}

/// Imports that lead up, as `from -> to`.
fn upward(modules: &[Module]) -> Vec<String> {
    let mut found = Vec::new();
    for (own, module) in modules.iter().enumerate() {
        for import in imports(module) {
            // The module that it is in: the one with the longest path.
            let inside = |m: &&Module| import.starts_with(&m.path);
            let target = modules.iter().filter(inside).max_by_key(|m| m.path.len());
            let target = target.map_or(&[][..], |m| &m.path);
            let layer = modules.iter().position(|m| m.path == target);
            if layer < Some(own) {
                let from = module.path.join("::");
                found.push(format!("{from} -> {}", import.join("::")));
            }
        }
    }
    found
}

#[test]
fn the_image_imports_only_downward() {
    let modules = modules();
    assert!(modules.len() > 40, "{} modules are all", modules.len());
    let all: usize = modules.iter().map(|m| imports(m).len()).sum();
    assert!(all > 300, "{all} imports are all");
    let found = upward(&modules);
    assert!(found.is_empty(), "upward:\n{}", found.join("\n"));
}

/// Three layers: `top`, `middle` with `middle::low`, `bottom`.
fn found_in(place: &str, text: &str) -> Vec<String> {
    let names = ["", "top", "middle", "middle::high", "middle::low", "bottom"];
    let modules = names.map(|name| Module {
        path: name
            .split("::")
            .filter(|n| !n.is_empty())
            .map(String::from)
            .collect(),
        tokens: tokens(if name == place { text } else { "" }),
    });
    upward(&modules)
}

#[test]
fn an_upward_import_is_found() {
    for (place, text, found) in [
        ("bottom", "use crate::top::x;", "bottom -> top::x"),
        (
            "bottom",
            "use crate::{bottom, middle::{low::{a, b as c}, d}};",
            "bottom -> middle::low::a",
        ),
        (
            "bottom",
            "use crate::{\n    bottom::{x},\n    top,\n};",
            "bottom -> top",
        ),
        (
            "middle",
            "fn f() { g(crate::top::x::<u8>(1)); }",
            "middle -> top::x",
        ),
        (
            "middle",
            "h!(\"crate\", a = sym crate::top::y)",
            "middle -> top::y",
        ),
        ("middle::low", "use super::x;", "middle::low -> middle::x"),
        (
            "middle::low",
            "use super::super::top::x;",
            "middle::low -> top::x",
        ),
        (
            "middle::low",
            "pub use super::{high::x as y, low::z};",
            "middle::low -> middle::high::x",
        ),
        ("top", "use crate::item_of_main;", "top -> item_of_main"),
        ("bottom", "$crate::top::print()", "bottom -> top::print"),
    ] {
        assert_eq!(
            found_in(place, text).first().map(String::as_str),
            Some(found),
            "{text}"
        );
    }
}

#[test]
fn a_downward_import_is_none() {
    for (place, text) in [
        ("top", "use crate::{middle::{self, low::x}, bottom::y};"),
        (
            "middle",
            "use self::low::x; pub use low::y; use super::bottom;",
        ),
        (
            "middle::high",
            "use super::low::x; use crate::{bottom as b, middle::low};",
        ),
        (
            "bottom",
            "// use crate::top;\n/* crate::top */ let s = \"crate::top \\\" crate::top\"; pub(crate) use x;",
        ),
        (
            "bottom",
            "fn f(&self) { self.top(); core::top::x(); crate::bottom::z() }",
        ),
    ] {
        assert_eq!(found_in(place, text), [""; 0], "{text}");
    }
}
