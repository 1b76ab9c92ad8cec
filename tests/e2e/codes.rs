//! The exit code for each input and fault: `docs/exit-codes.md` is written from
//! what the command does here, and compared with it.
//! `STALECORE_BLESS=1 cargo test --test e2e -- exit_code` writes it again.

mod others;

use std::{fmt::Write, fs, path::Path, thread};

use stalecore_model::{
    exit::ExitCode,
    glossary::{StaleState, Verdict},
    plan::Case,
};

use crate::{
    consoles::{Console, fine, first},
    fake::Fake,
};

/// A console, the code that the image hands over, and the flags of the run.
struct Input {
    name: &'static str,
    console: Console,
    flags: &'static str,
}

impl Input {
    /// The code on the image's last line.
    fn stated(&self) -> u8 {
        let code = self.console.exit.trim_end().rsplit(' ').next();
        code.and_then(|code| code.parse().ok()).unwrap()
    }
}

const TWO: &str = "stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe";
const LIMIT: &str =
    "stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe stalecore.max-slowdown=2";
const PARKED: &str = "stalecore.ops=ic-ivau stalecore.stale=parked,spin";
const CONTROL: &str = "stalecore.ops=ic-ivau stalecore.stale=parked";

fn inputs() -> Vec<Input> {
    let input = |name, flags, console| Input {
        name,
        console,
        flags,
    };
    let slow = |case: &Case| match case.number {
        1 => Verdict::Slowed,
        _ => Verdict::Completed,
    };
    // As on a machine with nobody left to be stale.
    let nobody = |case: &Case| match case.state {
        StaleState::Parked => Verdict::Completed,
        _ => Verdict::Skipped,
    };
    let mixed = |case: &Case| match case.number {
        1 => Verdict::Blocked,
        2 => Verdict::Faulted,
        _ => Verdict::Completed,
    };
    vec![
        input("all completed", "", fine()),
        input("one slowed", "", Console::of(TWO, 4, slow)),
        input(
            "one slowed, `--max-slowdown`",
            "",
            Console::of(LIMIT, 4, slow),
        ),
        input("one faulted", "", first(Verdict::Faulted)),
        input("one blocked", "", first(Verdict::Blocked)),
        input(
            "one blocked, `--fabric`",
            "--fabric deaf=spin",
            first(Verdict::Blocked),
        ),
        input("one blocked, one faulted", "", Console::of(TWO, 4, mixed)),
        input("one incoherent", "", first(Verdict::Incoherent)),
        input("one inconclusive", "", first(Verdict::Inconclusive)),
        input("one skipped", "", first(Verdict::Skipped)),
        input("only the control ran", "", Console::of(PARKED, 2, nobody)),
        input(
            "only the control was asked for",
            "",
            Console::of(CONTROL, 4, nobody),
        ),
    ]
}

/// What befalls a console: its name, what becomes of the text, and what the
/// emulator does then (`CODE` is the image's code).
type Fault = (&'static str, fn(&str) -> String, &'static str);

const END: &str = "exit CODE";

fn whole(text: &str) -> String {
    text.into()
}

/// Without the lines of this kind of record.
fn without(text: &str, kind: &str) -> String {
    let begin = format!("# {{\"{kind}\":");
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.starts_with(&begin)).collect()
}

/// With one bit turned in the middle of the first line of this kind.
fn flipped(text: &str, kind: &str) -> String {
    let at = text.find(&format!("# {{\"{kind}\":")).unwrap();
    let end = at + text[at..].find('\n').unwrap();
    let mut bytes = text.as_bytes().to_vec();
    bytes[at.midpoint(end)] ^= 1;
    String::from_utf8(bytes).unwrap()
}

/// Without every second record.
fn half(text: &str) -> String {
    let mut nth = 0;
    let kept = |line: &&str| {
        nth += usize::from(line.starts_with("# {"));
        !(line.starts_with("# {") && nth.is_multiple_of(2) && !line.contains("\"end\""))
    };
    text.split_inclusive('\n').filter(kept).collect()
}

fn cut(text: &str) -> String {
    text[..text.rfind("# {\"case\"").unwrap() + 30].into()
}

const FAULTS: [Fault; 14] = [
    ("none", whole, END),
    ("a bit of `machine` flipped", |t| flipped(t, "machine"), END),
    ("`plan` lost", |t| without(t, "plan"), END),
    ("a bit of a `case` flipped", |t| flipped(t, "case"), END),
    ("every second record lost", half, END),
    ("all cases lost", |t| without(t, "case"), END),
    ("`end` lost", |t| without(t, "end"), END),
    ("a bit of `end` flipped", |t| flipped(t, "end"), END),
    (
        "noise between the lines",
        |t| t.replace("# {\"case\"", "~#{\u{1b}[2J\n# {\"case\""),
        END,
    ),
    (
        "everything said twice, line by line",
        |t| {
            t.split_inclusive('\n')
                .flat_map(|line| [line, line])
                .collect()
        },
        END,
    ),
    (
        "another run behind it",
        |t| format!("{t}{}", fine().text()),
        END,
    ),
    ("cut in the middle, QEMU killed", cut, "kill -9 $$"),
    ("cut in the middle, then silence", cut, "exec sleep 100"),
    ("QEMU ends with another code", whole, "exit 77"),
];

/// The code that the command gives.
fn code(input: &Input, (_, befall, then): &Fault, expect: Option<Verdict>) -> i32 {
    let then = then.replace("CODE", &input.stated().to_string());
    let fake = Fake::new(befall(&input.console.text()), &then);
    let expect = expect.map_or(String::new(), |v| format!("--expect {v}"));
    let timeout = if then.contains("sleep") {
        "--timeout 1"
    } else {
        ""
    };
    fake.run(&format!("--quiet {} {expect} {timeout}", input.flags))
        .code
}

/// One row for each input, one column for each of `columns`.
fn table(head: &str, columns: &[String], rows: Vec<(&str, Vec<i32>)>) -> String {
    let mut text = format!("| {head} |");
    for column in columns {
        let _ = write!(text, " {column} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(columns.len()));
    for (name, codes) in rows {
        let codes: Vec<_> = codes.iter().map(i32::to_string).collect();
        let _ = writeln!(text, "| {name} | {} |", codes.join(" | "));
    }
    text
}

/// Runs each input with each of `n` ways, an input a thread.
fn rows<'a>(
    inputs: &'a [Input],
    n: usize,
    code: impl Fn(&Input, usize) -> i32 + Sync,
) -> Vec<(&'a str, Vec<i32>)> {
    let code = &code;
    thread::scope(|scope| {
        let row = |input: &'a Input| {
            scope.spawn(move || (input.name, (0..n).map(|nth| code(input, nth)).collect()))
        };
        let rows: Vec<_> = inputs.iter().map(row).collect();
        rows.into_iter().map(|row| row.join().unwrap()).collect()
    })
}

fn page() -> String {
    let inputs = inputs();
    let meanings: String = ExitCode::BY_SERIOUSNESS
        .iter()
        .map(|(code, meaning)| format!("| {} | {meaning} |\n", *code as u8))
        .collect();
    let faults: Vec<_> = FAULTS
        .iter()
        .map(|(name, ..)| (*name).to_string())
        .collect();
    let expects: Vec<_> = Verdict::ALL
        .iter()
        .map(|v| format!("`--expect {v}`"))
        .collect();
    let by_fault = rows(&inputs, FAULTS.len(), |input, nth| {
        code(input, &FAULTS[nth], None)
    });
    let by_expectation = rows(&inputs, Verdict::ALL.len(), |input, nth| {
        code(input, &FAULTS[0], Some(Verdict::ALL[nth]))
    });
    let befalls = |cut: &str, more: &[&str]| {
        let mut names = faults[..others::OF_LOGS].to_vec();
        names[others::OF_LOGS - 1] = cut.into();
        names.extend(more.iter().map(ToString::to_string));
        names
    };
    let of_logs = befalls("cut in the middle", &others::READ);
    let by_log = rows(&inputs, of_logs.len(), others::read);
    let of_lines = befalls("cut in the middle, then silence", &others::SERIAL);
    let by_line = rows(&inputs, of_lines.len(), others::serial);
    format!(
        "# Exit codes\n\n\
         This page is written by a test, from what the command does: `tests/e2e/codes.rs`.\n\n\
         | code | meaning, the most serious first |\n|---:|---|\n{meanings}\n\
         Of several the first in this table is the exit code, with one exception: where records were\n\
         lost on the way, a case that faulted, blocked or was incoherent is still told by its code, as it\n\
         was found. Only that nothing was found is then no answer, and 2.\n\n\
         ## What the run was, and what befell it on the way\n\n\
         Four cases of two operations under two stale states, but for the last two, which have a control.\n\n\
         {}\n\
         ## What was expected\n\n\
         `--expect VERDICT` makes a verdict that is found 0, and its absence 1. What cases of other\n\
         verdicts ask for counts all the same, so that one that was not expected is not hidden.\n\n\
         That a single sample was `late` is no verdict: it stands beside `completed` or `slowed`, makes\n\
         no exit code, with `--max-slowdown` neither, and cannot be expected.\n\n\
         {}\n\
         ## The same over a board's line\n\n\
         `read`, of a log that another program has saved; of several runs it reads the last, which\nhas found nothing here:\n\n\
         {}\n\
         `serial`, which reads the line itself, and stops where the first run ends:\n\n\
         {}\n\
         ## The other commands\n\n\
         {}",
        table("input", &faults, by_fault),
        table("input", &expects, by_expectation),
        table("input", &of_logs, by_log),
        table("input", &of_lines, by_line),
        others::table(),
    )
}

#[test]
fn exit_codes_are_those_of_the_page() {
    let text = page();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/exit-codes.md");
    if std::env::var_os("STALECORE_BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&file).unwrap_or_default());
}

/// What must hold in the page whatever the command does: no damage makes a
/// finding fine, or makes fine what was not read.
#[test]
fn exit_codes_are_never_the_harmless_ones() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/exit-codes.md");
    let page = fs::read_to_string(file).unwrap();
    // Of `run`, of expectations, of `read`, of `serial`.
    let row = |name: &str, table: usize| {
        let mut lines = page.lines();
        let begins = |line: &&str| line.starts_with(&format!("| {name} |"));
        let line = lines.by_ref().filter(begins).nth(table).unwrap();
        let codes = line.trim_matches('|').split('|').skip(1);
        codes
            .map(|c| c.trim().parse().unwrap())
            .collect::<Vec<u8>>()
    };
    let (run, serial) = (0, 3);
    for (name, code) in [
        ("one blocked", 4),
        ("one faulted", 3),
        ("one incoherent", 5),
        ("one inconclusive", 6),
        ("only the control ran", 6),
    ] {
        for table in [run, serial] {
            let row = row(name, table);
            assert_eq!(row[0], code, "{name}");
            assert!(row.iter().all(|c| *c != 0), "{name}: {row:?}");
        }
    }
    for table in [run, serial] {
        let row = row("all completed", table);
        for ((fault, ..), code) in FAULTS.iter().zip(row).skip(3).take(5) {
            assert_eq!(code, 2, "{fault}");
        }
    }
}
