//! The table: rows are operations, columns stale states, worst first by what is certain; a
//! cell is the median and the slow-down, or the interval of that where it is too noisy to
//! say, or the verdict.

use std::{cmp::Reverse, collections::BTreeMap};

use stalecore_model::{
    glossary::{LineState, StaleState, Subject, Verdict},
    options::Milli,
    record::{CaseRecord, Machine},
    rounds::Found,
    run::Run,
};

use super::figures;

/// Between two columns.
const GAP: usize = 2;

/// How bad a case certainly is; worse is greater.
fn badness(case: &CaseRecord, machine: Option<&Machine>) -> (usize, bool, Milli) {
    const FROM_BEST: [Verdict; 7] = [
        Verdict::Skipped,
        Verdict::Completed,
        Verdict::Inconclusive,
        Verdict::Slowed,
        Verdict::Faulted,
        Verdict::Incoherent,
        Verdict::Blocked,
    ];
    let rank = FROM_BEST.iter().position(|v| *v == case.verdict);
    let interval = figures::interval(case, machine);
    let least = interval.map(|(low, _)| low);
    let least = least.or_else(|| figures::slowdown(case, machine));
    let late = case.was_late().is_some();
    (rank.unwrap_or(0), late, least.unwrap_or(0))
}

/// The worst of some cases.
pub fn worst<'a>(
    cases: impl IntoIterator<Item = &'a CaseRecord>,
    machine: Option<&Machine>,
) -> Option<&'a CaseRecord> {
    // The first of equals, so that the order of the plan is kept.
    cases
        .into_iter()
        .min_by_key(|c| Reverse(badness(c, machine)))
}

/// One column: its states, and its cell in each row.
struct Column {
    heading: [String; 2],
    cells: Vec<String>,
    width: usize,
}

impl Column {
    fn new(heading: [String; 2], cells: Vec<String>) -> Self {
        let width = heading
            .iter()
            .chain(&cells)
            .map(|t| t.chars().count())
            .max();
        Self {
            heading,
            cells,
            width: width.unwrap_or(0),
        }
    }
}

/// The cases by row and state, both with the worst first.
struct Grid<'a> {
    run: &'a Run,
    machine: Option<&'a Machine>,
    rows: Vec<(Subject, LineState)>,
    states: Vec<StaleState>,
    cases: BTreeMap<(Subject, LineState, StaleState), &'a CaseRecord>,
}

impl<'a> Grid<'a> {
    fn new(run: &'a Run) -> Self {
        let (cases, machine) = (&run.cases, run.machine.as_ref());
        let bad = |wanted: &dyn Fn(&CaseRecord) -> bool| {
            let cases = cases.iter().filter(|c| wanted(c));
            Reverse(cases.map(|c| badness(c, machine)).max())
        };
        let mut rows: Vec<(Subject, LineState)> = Vec::new();
        let mut states: Vec<StaleState> = Vec::new();
        for case in cases {
            if !rows.contains(&(case.op, case.line)) {
                rows.push((case.op, case.line));
            }
            if !states.contains(&case.state) {
                states.push(case.state);
            }
        }
        rows.sort_by_key(|(op, line)| bad(&|c| c.op == *op && c.line == *line));
        states.sort_by_key(|state| bad(&|c| c.state == *state));
        Self {
            run,
            machine,
            rows,
            states,
            cases: cases.iter().map(|c| ((c.op, c.line, c.state), c)).collect(),
        }
    }

    fn labels(&self) -> Vec<String> {
        let several = |op| self.rows.iter().filter(|(o, _)| *o == op).count() > 1;
        let label = |(op, line): &(Subject, LineState)| match several(*op) {
            true => format!("{op}/{line}"),
            false => op.to_string(),
        };
        self.rows.iter().map(label).collect()
    }

    /// The column of some states: for each row, their worst case.
    fn column(&self, states: &[StaleState]) -> Column {
        let cells = self.rows.iter().map(|(op, line)| {
            let cases = states
                .iter()
                .filter_map(|s| self.cases.get(&(*op, *line, *s)));
            worst(cases.copied(), self.machine)
                .map_or_else(|| "-".to_string(), |case| self.cell(case))
        });
        let heading = match states {
            [state] => wrap(state.name()),
            _ => ["worst of".to_string(), format!("{} others", states.len())],
        };
        Column::new(heading, cells.collect())
    }

    fn cell(&self, case: &CaseRecord) -> String {
        let mark = match case.verdict {
            Verdict::Completed => match self.run.found(case) {
                Some(Found::Noisy) => "?",
                Some(Found::Earlier) => "<",
                _ => "",
            },
            Verdict::Slowed => "!",
            verdict => return verdict.to_string(),
        };
        let median = self.machine.and_then(|m| figures::median(case, m));
        let factor = figures::slowdown(case, self.machine);
        if median.is_none() && factor.is_none() {
            // Nothing was timed.
            return case.verdict.to_string();
        }
        let median = median.map_or("?".to_string(), figures::time);
        let factor = match (mark, figures::interval(case, self.machine)) {
            ("?", Some((low, high))) => figures::between(low, high),
            ("!", Some((low, high))) => {
                let between = figures::between(low, high);
                let factor = self.factor(factor.unwrap_or(low), true);
                format!("{factor} ({})", between.trim_start_matches('×'))
            }
            _ => factor.map_or("?".to_string(), |factor| self.factor(factor, mark == "!")),
        };
        let late = if case.was_late().is_some() { "*" } else { "" };
        format!("{median} {factor}{mark}{late}")
    }

    /// A slow-down; one that is marked is not shown as if it were the threshold.
    fn factor(&self, factor: Milli, marked: bool) -> String {
        let short = figures::factor(factor);
        let threshold = self.run.plan.as_ref().map(|plan| plan.threshold);
        match threshold {
            Some(threshold) if marked && short == figures::factor(threshold) => {
                format!("×{:.3}", f64::from(factor) / 1000.0)
            }
            _ => short,
        }
    }
}

/// A heading on two lines, cut at the hyphen that makes it narrowest.
fn wrap(name: &str) -> [String; 2] {
    let cut = name
        .match_indices('-')
        .map(|(at, _)| at + 1)
        .min_by_key(|at| (*at).max(name.len() - at));
    let (first, second) = name.split_at(cut.filter(|_| name.len() > 9).unwrap_or(0));
    [first.to_string(), second.to_string()]
}

/// Draws the table, at most `width` columns wide. Where not every state fits,
/// the best ones share a column, or, with `all_states`, go into further blocks.
/// Without cases it is empty.
pub fn table(run: &Run, width: usize, all_states: bool) -> String {
    let grid = Grid::new(run);
    let labels = grid.labels();
    let Some(label) = labels.iter().map(String::len).max() else {
        return String::new();
    };
    let room = width.saturating_sub(label);
    let mut text = String::new();
    let mut rest = grid.states.as_slice();
    while !rest.is_empty() {
        let mut columns: Vec<_> = rest.iter().map(|s| grid.column(&[*s])).collect();
        let fits = how_many(&columns, room);
        let mut taken = fits.max(1);
        if fits < rest.len() && !all_states {
            // One column less at a time, until the shared one fits beside them.
            let shared = loop {
                let shared = grid.column(&rest[taken..]);
                if taken == 0 || used(&columns[..taken]) + GAP + shared.width <= room {
                    break shared;
                }
                taken -= 1;
            };
            columns.truncate(taken);
            columns.push(shared);
            let names: Vec<_> = rest[taken..].iter().map(|s| s.name()).collect();
            draw(&mut text, &labels, label, &columns);
            text += &fold(
                &format!("{} others: {}", names.len(), names.join(", ")),
                width,
            );
            break;
        }
        columns.truncate(taken);
        if !text.is_empty() {
            text.push('\n');
        }
        draw(&mut text, &labels, label, &columns);
        rest = &rest[taken..];
    }
    let timed = |c: &CaseRecord| figures::slowdown(c, run.machine.as_ref()).is_some();
    if run.cases.iter().any(timed) {
        text += &fold(&footnote(run), width);
    }
    text
}

fn used(columns: &[Column]) -> usize {
    columns.iter().map(|c| GAP + c.width).sum()
}

fn how_many(columns: &[Column], room: usize) -> usize {
    (0..=columns.len())
        .rev()
        .find(|n| used(&columns[..*n]) <= room)
        .unwrap_or(0)
}

fn draw(text: &mut String, labels: &[String], label: usize, columns: &[Column]) {
    let mut line = |first: &str, cell: &dyn Fn(&Column) -> String| {
        let mut line = format!("{first:label$}");
        for column in columns {
            line += &format!("{:>1$}", cell(column), GAP + column.width);
        }
        *text += line.trim_end();
        text.push('\n');
    };
    for part in 0..2 {
        if columns.iter().any(|c| !c.heading[part].is_empty()) {
            line("", &|c| c.heading[part].clone());
        }
    }
    for (row, name) in labels.iter().enumerate() {
        line(name, &|c| c.cells[row].clone());
    }
}

fn footnote(run: &Run) -> String {
    let mut text =
        "Median of one operation with its DSB, and how many times its baseline".to_string();
    if let Some(plan) = &run.plan {
        text += &format!(" (! slowed: more than {}", figures::factor(plan.threshold));
        let slowed = |case: &CaseRecord| case.verdict == Verdict::Slowed && case.rounds.is_some();
        if run.cases.iter().any(slowed) {
            text += ", with the interval over rounds";
        }
        let any = |wanted| run.cases.iter().any(|case| run.found(case) == Some(wanted));
        if any(Found::Noisy) {
            text += "; ? perhaps so: too noisy to say, so it is the interval that is told";
        }
        if any(Found::Earlier) {
            text += "; < earlier by as much";
        }
        if !run.late().is_empty() {
            text += "; * a single sample was late";
        }
        text.push(')');
    }
    if !run.boots.is_empty() {
        text += ", the median over boots";
    } else if run.cases.iter().any(|case| case.rounds.is_some()) {
        text += ", the median over rounds, or where those show nothing the larger of the \
                 medians' ratios with the DSB and without";
    }
    if let Some(machine) = &run.machine
        && let Some(empty) = machine.empty.quantile(500)
    {
        let empty = figures::nanoseconds(empty, machine);
        text += &format!(
            "; the empty timed block takes {} and is not subtracted",
            figures::time(empty)
        );
    }
    text + "."
}

/// Breaks a line at its spaces; each part is indented like the line.
pub fn fold(line: &str, width: usize) -> String {
    let text = line.trim_start_matches(' ');
    let indent = " ".repeat(line.len() - text.len());
    let (mut folded, mut column) = (indent.clone(), indent.len());
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent.len() {
            if column + 1 + length > width {
                folded = folded + "\n" + &indent;
                column = indent.len();
            } else {
                folded.push(' ');
                column += 1;
            }
        }
        folded += word;
        column += length;
    }
    folded + "\n"
}

#[cfg(test)]
mod tests;
