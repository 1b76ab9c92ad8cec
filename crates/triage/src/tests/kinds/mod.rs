//! Logs of the kinds that people have, each with the correct reading: facts, the
//! cores that were stale, sentences that must be there, and sentences that must
//! not.

mod variants;
mod wants;

use std::{fs, path::Path};

use serde_json::Value;

use super::read;
use crate::reading::Reading;

fn log(name: &str) -> Vec<u8> {
    let path = format!("../../tests/triage/{name}.log");
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn json(readings: &[Reading]) -> Value {
    serde_json::to_value(readings).unwrap()
}

/// The value at a dotted path, such as `0.cpu`.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) if value.is_array() => &value[index],
            _ => &value[key],
        })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn every_kind_reads_as_is_right() {
    let mut wrong = Vec::new();
    for want in wants::all() {
        let readings = read(&log(want.name));
        if readings.len() != want.crashes {
            wrong.push(format!("{}: {} crashes", want.name, readings.len()));
            continue;
        }
        let found = json(&readings);
        for (path, value) in want.values {
            let is = plain(at(&found, &format!("0.{path}")));
            if is != *value {
                wrong.push(format!("{}: {path} is {is}, not {value}", want.name));
            }
        }
        let mut said = String::new();
        for reading in &readings {
            for finding in reading.findings.iter().filter(|f| f.id != "setting") {
                said.push_str(&finding.text);
                said.push('\n');
            }
            if let Some(command) = &reading.command {
                said.push_str(&command.line());
                said.push('\n');
                said.push_str(&command.assumptions.join("\n"));
            }
        }
        wrong.extend(
            want.says
                .iter()
                .filter(|words| !said.contains(**words))
                .map(|words| format!("{}: does not say \"{words}\"", want.name)),
        );
        wrong.extend(
            want.never
                .iter()
                .filter(|words| said.contains(**words))
                .map(|words| format!("{}: says \"{words}\"", want.name)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every statement says how it is known; what was read names its line.
#[test]
fn facts_have_their_sources() {
    for want in wants::all() {
        for reading in read(&log(want.name)) {
            if reading.head.cpu.is_some() {
                assert!(reading.source("cpu").is_some(), "{}", want.name);
            }
            if reading.stale.is_some() {
                assert!(reading.source("stale.cpus").is_some(), "{}", want.name);
            }
        }
    }
}
