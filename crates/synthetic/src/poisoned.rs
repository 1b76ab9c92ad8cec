//! A run in which every text is a hostile one.

use serde_json::{Value, json};
use stalecore_model::run::Run;

/// Pieces of text that are markup, or break it, in a page or in XML.
pub const MARKUP: &[&str] = &[
    "<",
    ">",
    "\"",
    "'",
    "&",
    "&lt;",
    "&#60;",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "</td>",
    "</script>",
    "<script>evil()</script>",
    "<img src=x onerror=evil()>",
    "</svg>",
    "<svg",
    " onload=evil() ",
    "javascript:evil()",
    "</style>",
    "<?x ?>",
    "=",
    "/",
    "`",
    "\u{0}",
    "\u{1b}",
    "\u{85}",
    "\u{202e}",
    "\u{fffe}",
    "\n",
    "x",
    " ",
];

/// Puts a text wherever a run takes any text at all, and says how often. It finds those
/// fields by trying: a field that is a word of the glossary, a register or a histogram
/// refuses the text.
///
/// # Panics
/// The run cannot be written as JSON or read back.
pub fn poisoned(run: &Run, text: &str) -> (Run, usize) {
    let mut value = serde_json::to_value(run).expect("JSON");
    let mut paths = Vec::new();
    strings(&value, "", &mut paths);
    let mut count = 0;
    for path in paths {
        let place = value.pointer_mut(&path).expect("it was there");
        let before = std::mem::replace(place, json!(text));
        if serde_json::from_value::<Run>(value.clone()).is_ok() {
            count += 1;
        } else {
            *value.pointer_mut(&path).expect("it was there") = before;
        }
    }
    (serde_json::from_value(value).expect("a run"), count)
}

fn strings(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(path.into()),
        Value::Array(list) => {
            for (n, item) in list.iter().enumerate() {
                strings(item, &format!("{path}/{n}"), found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                strings(item, &format!("{path}/{key}"), found);
            }
        }
        _ => {}
    }
}
