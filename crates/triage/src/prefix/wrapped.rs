//! Lines that carry a console's line as a field of a record: LAVA's
//! `output.yaml`, the journal's JSON, and whatever else writes one object on each line.

use std::borrow::Cow;

use serde_json::Value;

/// Fields that hold the line, the likeliest first.
const FIELDS: [&str; 6] = ["MESSAGE", "msg", "message", "log", "line", "text"];

/// The console's line inside a record that is a JSON object; `None` for any
/// other line. A record that is not from the machine's console gives an empty line.
pub fn unwrap(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = line.trim_ascii();
    let text = text.strip_prefix(b"- ").unwrap_or(text);
    let text = text.strip_suffix(b",").unwrap_or(text);
    if !(text.starts_with(b"{") && text.ends_with(b"}")) {
        return None;
    }
    let record: Value = serde_json::from_slice(text).ok().or_else(|| flow(text))?;
    let from = |name: &str| record.get(name).and_then(Value::as_str);
    if from("lvl").is_some_and(|level| level != "target")
        || from("SYSLOG_IDENTIFIER").is_some_and(|origin| origin != "kernel")
    {
        return Some(Cow::Borrowed(b""));
    }
    let message = FIELDS.iter().find_map(|name| from(name))?;
    let line = message.trim_end_matches(['\n', '\r']);
    let stamped = match from("_SOURCE_MONOTONIC_TIMESTAMP").and_then(|t| t.parse::<u64>().ok()) {
        Some(t) if !line.starts_with('[') => {
            format!("[{:5}.{:06}] {line}", t / 1_000_000, t % 1_000_000)
        }
        _ => match from("dt") {
            Some(date) if !line.starts_with(['[', '<']) => format!("{date} {line}"),
            _ => line.to_string(),
        },
    };
    Some(Cow::Owned(stamped.into_bytes()))
}

/// YAML's flow form of a record: keys without quotation marks, values in
/// single ones. Only the fields that are asked for are read.
fn flow(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    let value = |name: &str| {
        let at = text.find(&format!("{name}: "))? + name.len() + 2;
        let rest = &text[at..];
        let plain = match rest.chars().next()? {
            quote @ ('\'' | '"') => {
                let end = rest[1..].rfind(quote)?;
                let inside = &rest[1..=end];
                inside.split("', ").next()?.replace("''", "'")
            }
            _ => rest.split([',', '}']).next()?.trim().to_string(),
        };
        Some(Value::String(plain))
    };
    let fields = ["dt", "lvl", "msg"]
        .into_iter()
        .filter_map(|name| Some((name.to_string(), value(name)?)));
    let record: serde_json::Map<_, _> = fields.collect();
    record.contains_key("msg").then_some(Value::Object(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(line: &str) -> Option<String> {
        unwrap(line.as_bytes()).map(|l| String::from_utf8(l.into_owned()).unwrap())
    }

    #[test]
    fn records_give_their_line() {
        for line in [
            r#"- {"dt": "2024-03-06T09:12:33.1", "lvl": "target", "msg": "[    1.0000] Bye!"}"#,
            r#"- {dt: '2024-03-06T09:12:33.1', lvl: target, msg: '[    1.0000] Bye!'}"#,
            r#"{"log":"[    1.0000] Bye!\r\n","stream":"stdout"},"#,
        ] {
            assert_eq!(inside(line).as_deref(), Some("[    1.0000] Bye!"), "{line}");
        }
        let journal = r#"{"MESSAGE":"Bye!","SYSLOG_IDENTIFIER":"kernel","_SOURCE_MONOTONIC_TIMESTAMP":"31441000"}"#;
        assert_eq!(inside(journal).as_deref(), Some("[   31.441000] Bye!"));
    }

    #[test]
    fn records_of_others_are_empty() {
        for line in [
            r#"- {"dt": "2024-03-06", "lvl": "input", "msg": "Bye!"}"#,
            r#"{"MESSAGE":"Bye!","SYSLOG_IDENTIFIER":"sshd"}"#,
        ] {
            assert_eq!(inside(line).as_deref(), Some(""), "{line}");
        }
        for line in ["{ Bye! }", "static int f() { return 0; }", r#"{"a": 1}"#] {
            assert_eq!(inside(line), None, "{line}");
        }
    }
}
