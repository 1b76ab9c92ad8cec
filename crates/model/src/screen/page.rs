//! What the screen says: the machine, how far the run is, what was found, how it ended.
//! Everything comes from the records, and has a bound.

use alloc::{format, string::String, vec::Vec};

use crate::{
    exit::ExitCode,
    glossary::{StaleState, Subject, Verdict},
    record::{BASELINE_BLOCKED, CaseRecord, End, Record},
    words,
};

/// In which colour something is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ink {
    /// As everything is.
    Plain,
    /// As it was hoped for.
    Good,
    /// Neither the one nor the other.
    Doubt,
    /// What somebody has to see.
    Bad,
}

impl Ink {
    /// Behind the letters.
    pub const PAPER: [u8; 3] = [0; 3];

    /// Red, green, blue.
    pub const fn colour(self) -> [u8; 3] {
        match self {
            Self::Plain => [0xd0, 0xd0, 0xd0],
            Self::Good => [0x60, 0xff, 0x60],
            Self::Doubt => [0xff, 0xd0, 0x40],
            Self::Bad => [0xff, 0x60, 0x50],
        }
    }

    const fn of(code: ExitCode) -> Self {
        match code {
            ExitCode::Expected => Self::Good,
            ExitCode::Slowed | ExitCode::Inconclusive => Self::Doubt,
            _ => Self::Bad,
        }
    }
}

/// Lines that one thing takes at most.
const LINES: usize = 3;
/// Letters in a line at most: longer lines are hard to read.
const LONGEST: usize = 120;
/// What is kept of the things found, the first of them: as many as the largest screen shows.
const KEPT: usize = 32;

/// A line.
type Line = (Ink, String);

/// The page.
pub struct Page {
    columns: usize,
    rows: usize,
    title: String,
    machine: String,
    roles: String,
    /// How many cases there are.
    cases: u32,
    /// How many have ended.
    ended: u32,
    /// What is going on.
    now: String,
    /// How many cases ended with each verdict.
    verdicts: Vec<(Verdict, u32)>,
    /// What was found, with the number of the case.
    found: Vec<(u32, String)>,
    /// What was found, and is not kept.
    more: usize,
    /// The first case of each verdict, in words, and how it was made.
    first: Vec<(Verdict, String)>,
    /// How the run has ended.
    answer: Vec<Line>,
    /// How long that is to be seen, in milliseconds, if that has an end.
    stays_ms: Option<u64>,
}

impl Page {
    /// Columns and rows that it takes at least.
    pub const LEAST: [usize; 2] = [40, 12];
    /// Columns and rows to which letters may grow.
    pub const COMFORTABLE: [usize; 2] = [80, 24];

    /// A page of so many columns and rows that says who speaks.
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns: columns.min(LONGEST),
            rows,
            title: format!("stalecore {}", env!("CARGO_PKG_VERSION")),
            machine: String::new(),
            roles: String::new(),
            cases: 0,
            ended: 0,
            now: "starting".into(),
            verdicts: Vec::new(),
            found: Vec::new(),
            more: 0,
            first: Vec::new(),
            answer: Vec::new(),
            stays_ms: None,
        }
    }

    /// Its columns.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Takes what is to be seen from a record. Is there anything?
    pub fn take(&mut self, record: &Record) -> bool {
        match record {
            Record::Machine(machine) => {
                self.machine = format!(
                    "{}: {}, {} MiB, entered at EL{}",
                    machine.model,
                    words::count(machine.cpus as usize, "core", "cores"),
                    machine.memory_mib,
                    machine.entry_el
                );
            }
            Record::Plan(plan) => {
                self.cases = plan.cases;
                self.roles = format!(
                    "{} against {}, {} samples",
                    words::cpus(&plan.initiators),
                    words::cpus(&plan.stale),
                    plan.samples
                );
            }
            Record::Resume(resume) => self.ended = resume.finished,
            Record::Group(group) => {
                let last = group.first.saturating_add(group.cases).saturating_sub(1);
                self.now = format!(
                    "cases {}-{last}: {}, lines {}",
                    group.first,
                    others_in(group.state, None),
                    group.line
                );
            }
            Record::Case(case) => self.case(case),
            Record::Block(block) => {
                let text = format!(
                    "case {}: CPU {} {} {}",
                    block.n,
                    block.initiator,
                    block.had_not(),
                    block.waited()
                );
                self.find(block.n, text);
            }
            Record::End(end) => self.end(end),
            _ => return false,
        }
        true
    }

    /// What is going on now: these cases, or the one of this operation. (It may be one round
    /// of several.)
    pub fn now(&mut self, first: usize, last: usize, subject: Subject) {
        // In place of what was there, behind the group's name.
        let group = self.now.split("; ").next().unwrap_or_default();
        self.now = match first == last {
            true => format!("{group}; now {last}, {subject}"),
            false => format!("{group}; now {first}-{last}"),
        };
    }

    /// The harness says why it ends.
    pub fn fail(&mut self, why: &str) {
        self.answer = self.wrapped(Ink::Bad, why);
        self.now = "ended".into();
    }

    /// The page is to be seen for so many milliseconds, if that has an end.
    pub const fn stays(&mut self, ms: Option<u64>) {
        self.stays_ms = ms;
    }

    fn case(&mut self, case: &CaseRecord) {
        self.ended = self.ended.saturating_add(1).min(self.cases.max(1));
        let verdict = case.verdict;
        match self.verdicts.iter_mut().find(|(of, _)| *of == verdict) {
            Some((_, count)) => *count += 1,
            None => self.verdicts.push((verdict, 1)),
        }
        let text = format!(
            "{}, {}{}",
            case.op,
            others_in(case.state, case.why.as_deref()),
            case.by
                .map_or_else(String::new, |by| format!(", made by {}", by.about()))
        );
        if !self.first.iter().any(|(of, _)| *of == verdict) {
            self.first
                .push((verdict, format!("case {}, {text}", case.n)));
        }
        let serious = matches!(
            verdict,
            Verdict::Blocked | Verdict::Faulted | Verdict::Incoherent
        );
        // Of a block more has been said.
        if serious && !self.found.iter().any(|(of, _)| *of == case.n) {
            self.find(case.n, format!("case {}: {verdict}: {text}", case.n));
        }
    }

    fn find(&mut self, case: u32, text: String) {
        match self.found.len() {
            ..KEPT => self.found.push((case, text)),
            _ => self.more += 1,
        }
    }

    fn end(&mut self, end: &End) {
        let code = ExitCode::from_number(end.exit.into()).unwrap_or(ExitCode::Harness);
        self.verdicts.clone_from(&end.verdicts);
        let count = |verdict: Verdict| {
            let of = end.verdicts.iter().find(|(of, _)| *of == verdict);
            of.map_or(0, |(_, count)| *count as usize)
        };
        let of_code = |(verdict, _): &&(Verdict, String)| match code {
            ExitCode::Slowed => *verdict == Verdict::Slowed,
            ExitCode::Expected => false,
            _ => verdict.exit_code() == code,
        };
        let answer = match (code, self.first.iter().find(of_code)) {
            (ExitCode::Expected, _) => match count(Verdict::Slowed) {
                0 => "No case blocked, faulted or was slowed".into(),
                slowed => format!(
                    "No case blocked or faulted; {} slowed",
                    words::count(slowed, "was", "were")
                ),
            },
            (_, Some((verdict, text))) => {
                let more = count(*verdict).saturating_sub(1);
                match more {
                    0 => format!("{}: {text}", capital(verdict.name())),
                    _ => format!("{}: {text}, and {more} more", capital(verdict.name())),
                }
            }
            (_, None) => "Nothing was decisively tested".into(),
        };
        let meaning = ExitCode::BY_SERIOUSNESS.iter().find(|(of, _)| *of == code);
        self.answer = self.wrapped(Ink::of(code), &answer);
        let code = format!(
            "exit code {}: {}",
            end.exit,
            meaning.map_or("", |(_, about)| about)
        );
        self.answer.extend(self.wrapped(Ink::Plain, &code));
        self.now = format!("ended after {} s", end.elapsed_ms / 1000);
    }

    /// The lines, from the top, as many as there is room for, each as long at most: in
    /// ASCII.
    pub fn lines(&self) -> Vec<Line> {
        let plain = |text: &str| self.wrapped(Ink::Plain, text);
        let mut lines: Vec<Line> = [&self.title, &self.machine, &self.roles]
            .into_iter()
            .flat_map(|text| plain(text).into_iter().take(1))
            .collect();
        lines.push((Ink::Plain, String::new()));
        let mut done = match self.cases {
            0 => self.now.clone(),
            cases => format!("{} of {cases} done; {}", self.ended, self.now),
        };
        if let Some(ms) = self.stays_ms {
            done.push_str(&format!("; this stays for {} s", ms / 1000));
        }
        lines.extend(plain(&done).into_iter().take(2));
        let counts: Vec<String> = self
            .verdicts
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        lines.extend(plain(&counts.join(", ")).into_iter().take(2));
        lines.push((Ink::Plain, String::new()));
        // The answer is what must be seen.
        let kept = match self.answer.len() {
            0 => 0,
            length => length + 1,
        };
        let room = self.rows.saturating_sub(lines.len() + kept);
        lines.extend(self.findings(room));
        if !self.answer.is_empty() {
            lines.push((Ink::Plain, String::new()));
            lines.extend(self.answer.iter().cloned());
        }
        lines.truncate(self.rows);
        lines
    }

    /// What was found, in so many lines; of what there is no room for, the number.
    fn findings(&self, room: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let all = self.found.len() + self.more;
        for (number, (_, text)) in self.found.iter().enumerate() {
            let next = self.wrapped(Ink::Bad, text);
            let is_last = number + 1 == all;
            if lines.len() + next.len() + usize::from(!is_last) > room {
                if lines.len() < room {
                    lines.push((Ink::Bad, format!("and {} more", all - number)));
                }
                return lines;
            }
            lines.extend(next);
        }
        if self.more > 0 && lines.len() < room {
            lines.push((Ink::Bad, format!("and {} more", self.more)));
        }
        lines
    }

    /// Text in lines, broken at blanks where there are any; what is too long ends in dots.
    fn wrapped(&self, ink: Ink, text: &str) -> Vec<Line> {
        let letters = text.chars().map(|letter| match letter {
            ' '..='~' => letter,
            _ if letter.is_whitespace() => ' ',
            _ => '?',
        });
        let letters: String = letters.collect();
        let mut rest = letters.as_str();
        let mut lines: Vec<Line> = Vec::new();
        while !rest.is_empty() && lines.len() < LINES {
            // It is ASCII: a letter is a byte.
            let end = match rest.get(..=self.columns) {
                Some(head) => head.rfind(' ').filter(|at| *at > 0).unwrap_or(self.columns),
                None => rest.len(),
            };
            let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            lines.push((ink, line.into()));
            rest = behind.trim_start();
        }
        if let Some((_, last)) = lines.last_mut()
            && !rest.is_empty()
        {
            last.truncate(self.columns.saturating_sub(3));
            last.push_str("...");
        }
        lines
    }
}

/// How the other cores were, behind the name of an operation.
fn others_in(state: StaleState, why: Option<&str>) -> String {
    match state {
        StaleState::Parked => "every other core parked".into(),
        _ if why == Some(BASELINE_BLOCKED) => "every other core parked".into(),
        _ => format!("stale cores in {state}"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
