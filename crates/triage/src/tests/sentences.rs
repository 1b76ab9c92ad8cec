//! Every sentence that triage can say, as a person reads it, of one, of several and of
//! none: `sentences.txt`. `STALECORE_BLESS=1 cargo test sentence` writes it again. A
//! log's name is followed by what no log before it made triage say.

mod logs;

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use super::{super::write_words, read};
use crate::{expect::Expect, stuck_rows::ROWS};

/// Where sentences are made.
const SOURCES: [&str; 13] = [
    include_str!("../command.rs"),
    include_str!("../ending.rs"),
    include_str!("../era.rs"),
    include_str!("../expect.rs"),
    include_str!("../findings.rs"),
    include_str!("../hung.rs"),
    include_str!("../lib.rs"),
    include_str!("../listed.rs"),
    include_str!("../settings.rs"),
    include_str!("../stalled.rs"),
    include_str!("../stuck.rs"),
    include_str!("../stuck_rows.rs"),
    include_str!("../text.rs"),
];

/// The lines with the kernel's time in front, a tenth of a second apart; each boot
/// begins at nought. What begins with `|` has none, what begins with `=` that of the
/// line before, and what ends with `\` has no end.
fn stamped(lines: &str) -> Vec<u8> {
    let (mut out, mut tenths) = (String::new(), 9);
    for line in lines.lines() {
        let again = line.strip_prefix('=');
        let line = again.unwrap_or(line);
        match line.strip_prefix("Booting Linux") {
            Some(_) if again.is_none() => tenths = 0,
            _ => tenths += u32::from(again.is_none()),
        }
        match line.strip_prefix('|') {
            Some(bare) => out.push_str(bare),
            None => write!(out, "[{:5}.{}00000] {line}", tenths / 10, tenths % 10).unwrap(),
        }
        out.push('\n');
    }
    if let Some(cut) = out.strip_suffix("\\\n") {
        out.truncate(cut.len());
    }
    out.into_bytes()
}

/// What is said of a log, sentence by sentence.
fn said(log: &[u8]) -> Vec<String> {
    let mut said = Vec::new();
    for reading in read(log) {
        said.extend(
            reading
                .findings
                .iter()
                .map(|f| format!("{}: {}", f.id, f.text)),
        );
        match (&reading.command, &reading.no_command) {
            (Some(command), _) => {
                said.extend(
                    command
                        .assumptions
                        .iter()
                        .map(|text| format!("assumed: {text}")),
                );
            }
            (None, why) => said.extend(why.iter().map(|why| format!("no command: {why}"))),
        }
    }
    said
}

/// All of it.
fn sentences() -> String {
    let mut text = String::new();
    let mut before = BTreeSet::new();
    let rows = ROWS.iter().map(|row| {
        let symbol = row.symbols[0].replace('*', "x");
        (
            format!("a soft lockup in {symbol}"),
            logs::stuck_in(&symbol),
        )
    });
    let logs = logs::all().into_iter();
    for (name, log) in logs.map(|(name, log)| (name.to_string(), log)).chain(rows) {
        let mut fresh = said(&stamped(&log));
        fresh.retain(|sentence| before.insert(sentence.clone()));
        if fresh.is_empty() {
            fresh.push("nothing new".into());
        }
        writeln!(text, "{name}\n{}\n", fresh.join("\n")).unwrap();
    }
    for (name, log, [from, to]) in logs::in_full() {
        let mut out = Vec::new();
        write_words(&stamped(&log)[..], &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let shown = &out[out.find(from).unwrap()..];
        let shown = shown.split(to).next().unwrap().trim_end();
        writeln!(text, "in full: {name}\n{shown}\n").unwrap();
    }
    for (name, log) in logs::expected() {
        let tally = write_words(&stamped(&log)[..], std::io::sink()).unwrap();
        let missed = Expect::ALL.map(|(_, expect)| match tally.meets(expect) {
            true => format!("{} is met", expect.name()),
            false => tally.missed(expect),
        });
        writeln!(text, "with an expectation: {name}\n{}\n", missed.join("\n")).unwrap();
    }
    text
}

#[test]
fn every_sentence_reads_as_it_should() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/sentences.txt");
    let said = sentences();
    if std::env::var_os("STALECORE_BLESS").is_some() {
        fs::write(&path, &said).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    for (said, known) in said.lines().zip(known.lines()) {
        assert_eq!(said, known, "STALECORE_BLESS=1 writes {}", path.display());
    }
    assert_eq!(said.lines().count(), known.lines().count());
    assert!(
        !said.contains("\nnothing new\n"),
        "a log leads to no sentence"
    );
}

/// The string literals of a source that may be parts of sentences, without the names
/// in them: what stands between two is a part of its own.
fn parts(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.to_string() + "\n")
        .collect();
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some(open) = rest.find('"') {
        let inside = &rest[open + 1..];
        let mut end = 0;
        while !inside[end..].starts_with('"') {
            end += if inside[end..].starts_with('\\') {
                2
            } else {
                1
            };
        }
        let bytes = rest[..open].ends_with('b');
        let literal = inside[..end]
            .split("\\\n")
            .enumerate()
            .map(|(n, line)| if n > 0 { line.trim_start() } else { line })
            .collect::<String>()
            .replace("\\\"", "\"");
        rest = &inside[end + 1..];
        if !bytes {
            let names = literal
                .split('{')
                .map(|part| part.rsplit('}').next().unwrap());
            found.extend(names.flat_map(|part| part.split("\\n")).map(str::to_string));
        }
    }
    found
}

/// A sentence that is new, or that no log here leads to any more, shows.
#[test]
fn no_sentence_is_missing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/sentences.txt");
    let known = fs::read_to_string(path).unwrap_or_default();
    let words = |part: &String| part.trim().split(' ').count() > 2;
    let missing: Vec<_> = SOURCES
        .iter()
        .flat_map(|source| parts(source))
        .filter(words)
        .filter(|part| !known.contains(part.trim()))
        .filter(|part| !logs::ELSEWHERE.contains(&part.trim()))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
