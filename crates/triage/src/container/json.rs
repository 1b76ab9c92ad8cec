//! A log inside a JSON document: a string with line ends in it, or a list of
//! records.

use std::borrow::Cow;

use serde_json::Value;

use super::Row;

/// A document has at least this many lines of text.
const LEAST: usize = 2;

/// The lines of every string of the document, if it is one. A file with one
/// object on each line is left to the reader of lines.
pub fn unpack<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let first = rows.iter().find(|row| !row.bytes.trim_ascii().is_empty())?;
    if !matches!(first.bytes.trim_ascii_start().first()?, b'{' | b'[' | b'"') {
        return None;
    }
    let text: Vec<_> = rows.iter().map(|row| &row.bytes[..]).collect();
    let Ok(document) = serde_json::from_slice::<Value>(&text.join(&b'\n')) else {
        return each(rows);
    };
    let mut found = Vec::new();
    collect(&document, first.number, &mut found);
    (found.len() >= LEAST).then_some(found)
}

/// A file with one document on each line, some of which hold several lines of text.
fn each<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let mut found = Vec::new();
    let mut several = false;
    for row in rows {
        let mut inside = Vec::new();
        if let Ok(document @ (Value::Object(_) | Value::String(_))) =
            serde_json::from_slice::<Value>(row.bytes.trim_ascii())
        {
            long(&document, row.number, &mut inside);
        }
        several |= inside.len() >= LEAST;
        if inside.is_empty() {
            found.push(row.clone());
        } else {
            found.append(&mut inside);
        }
    }
    several.then_some(found)
}

/// The lines of all strings.
fn collect(value: &Value, number: u64, found: &mut Vec<Row<'_>>) {
    match value {
        Value::String(text) => push(text, number, found),
        Value::Array(values) => values.iter().for_each(|v| collect(v, number, found)),
        Value::Object(fields) => {
            let names = ["MESSAGE", "msg", "message", "line", "text"];
            let own = names.iter().find_map(|name| fields.get(*name)?.as_str());
            match own {
                Some(text) if fields.get("lvl").is_none_or(|l| l == "target") => {
                    push(text, number, found);
                }
                Some(_) => {}
                None => fields.values().for_each(|v| collect(v, number, found)),
            }
        }
        _ => {}
    }
}

/// The lines of strings that hold more than one.
fn long(value: &Value, number: u64, found: &mut Vec<Row<'_>>) {
    match value {
        Value::String(text) if text.trim_end().contains('\n') => push(text, number, found),
        Value::Array(values) => values.iter().for_each(|v| long(v, number, found)),
        Value::Object(fields) => fields.values().for_each(|v| long(v, number, found)),
        _ => {}
    }
}

fn push(text: &str, number: u64, found: &mut Vec<Row<'_>>) {
    for line in text.lines() {
        found.push(Row {
            number,
            bytes: Cow::Owned(line.as_bytes().to_vec()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    fn lines(file: &str) -> Option<Vec<String>> {
        Some(read(file)?.into_iter().map(|(_, line)| line).collect())
    }

    #[test]
    fn documents_give_their_lines() {
        let wanted = ["[    1.0000] Bye!", "[    1.1000] x"];
        for file in [
            r#"{"id": 7, "log": "[    1.0000] Bye!\n[    1.1000] x\n"}"#,
            r#""[    1.0000] Bye!\r\n[    1.1000] x""#,
            r#"[{"msg": "[    1.0000] Bye!"}, {"msg": "[    1.1000] x"}]"#,
            "{\n \"tests\": [{\"output\": [\"[    1.0000] Bye!\", \"[    1.1000] x\"]}]\n}\n",
            "{\"log\": \"[    1.0000] Bye!\\n[    1.1000] x\"}\n\n",
        ] {
            let found = lines(file).unwrap_or_default();
            assert!(
                wanted.iter().all(|line| found.contains(&line.to_string())),
                "{file}"
            );
        }
    }

    #[test]
    fn other_text_is_no_document() {
        for file in [
            "[    1.0000] Bye!\n[    1.1000] x\n",
            "{ pr_info(\"Bye!\\n\"); }\n",
        ] {
            assert_eq!(lines(file), None, "{file}");
        }
    }
}
