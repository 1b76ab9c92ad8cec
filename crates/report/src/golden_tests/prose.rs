//! A page as it reads without its drawings: one line for each paragraph, heading, item
//! and row.

/// Elements that begin a line of their own.
const LINES: [&str; 19] = [
    "p",
    "h1",
    "h2",
    "h3",
    "li",
    "tr",
    "dt",
    "article",
    "section",
    "table",
    "figure",
    "figcaption",
    "caption",
    "summary",
    "div",
    "ul",
    "ol",
    "header",
    "pre",
];

/// The text of some markup; what a person sees only when pointing at something stands in
/// braces, and cells are parted by a bar.
pub fn of(page: &str) -> String {
    let mut text = String::new();
    let mut drawing = 0;
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        if drawing == 0 {
            text += &rest[..at];
        }
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/');
        let name = name.split([' ', '/']).next().unwrap_or_default();
        match (name, tag.starts_with('/')) {
            ("svg", false) => drawing += 1,
            ("svg", true) => drawing -= 1,
            _ if drawing > 0 => {}
            ("td" | "th" | "dd", false) => text.push_str(" | "),
            ("br", _) => text.push_str(" / "),
            _ if LINES.contains(&name) => text.push('\n'),
            _ => {}
        }
        if let Some((_, title)) = tag.split_once("title=\"")
            && tag.starts_with("b ")
        {
            text += &format!(" {{{}}} ", title.split('"').next().unwrap_or_default());
        }
    }
    text += rest;
    let text = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text, |text, (from, to)| text.replace(from, to));
    let lines = text.lines().map(|line| {
        let words: Vec<_> = line
            .split_whitespace()
            .filter(|word| *word != "|")
            .collect();
        if words.is_empty() {
            return String::new();
        }
        let words: Vec<_> = line.split_whitespace().collect();
        words.join(" ").trim_matches([' ', '|']).to_string()
    });
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n") + "\n"
}

#[test]
fn markup_is_taken_out_and_lines_are_parted() {
    let page =
        "<p>a <b>b</b>&lt;c</p><table><tr><td>1<td>2</tr></table><svg><text>no</text></svg>d";
    assert_eq!(of(page), "a b<c\n1 | 2\nd\n");
}
