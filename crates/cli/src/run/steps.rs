//! The crash path as a table: each step that was begun, when, and on which core;
//! the last one is where it ended.

use stalecore_model::{kdump::KdumpRecord, run::Run, words};

use super::{figures, table::fold};

/// The most steps that are shown; a crash path has about twenty.
const STEPS: usize = 200;

/// Draws the table, at most `width` columns wide; empty where no crash path was
/// walked.
pub fn steps(run: &Run, width: usize) -> String {
    let shown: Vec<_> = run.kdump.iter().take(STEPS).map(row).collect();
    let Some(first) = shown.iter().map(|[at, ..]| at.chars().count()).max() else {
        return String::new();
    };
    let second = shown
        .iter()
        .map(|[_, cpu, _]| cpu.len())
        .max()
        .unwrap_or(0)
        .max(3);
    let mut text = format!("{:>first$}  {:second$}  step\n", "at", "CPU");
    let indent = first + second + 4;
    for [at, cpu, step] in &shown {
        // A long step continues under its beginning.
        let folded = fold(&format!("{:indent$}{step}", ""), width.max(indent + 20));
        let pad = first - at.chars().count();
        text += &format!("{:pad$}{at}  {cpu:second$}  {}", "", folded.trim_start());
    }
    text
}

/// When, which core, what.
fn row(record: &KdumpRecord) -> [String; 3] {
    let mut step = record.step.about().to_string();
    if let Some(cpus) = record.cpus.as_ref().filter(|cpus| !cpus.is_empty()) {
        step += &format!(": {}", words::cpus(cpus));
    }
    if let Some(detail) = &record.detail {
        step += &format!(
            ": {}",
            stalecore_model::console::printable(detail.as_bytes())
        );
    }
    [
        figures::time(record.at_ms as f64 * 1e6),
        record.cpu.to_string(),
        step,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::{cpuset::CpuSet, kdump::Step};

    #[test]
    fn each_step_is_a_line() {
        let step = |step, at_ms, cpus, detail: Option<&str>| KdumpRecord {
            step,
            at_ms,
            cpu: 3,
            cpus,
            detail: detail.map(str::to_string),
        };
        let run = Run {
            kdump: vec![
                step(Step::Panic, 1200, None, None),
                step(
                    Step::FailedToStop,
                    2210,
                    CpuSet::parse("0-2,4-6").ok(),
                    None,
                ),
                step(Step::Warn, 2211, Some(CpuSet::EMPTY), None),
                step(
                    Step::Report,
                    3000,
                    None,
                    Some("one\u{1b}[2J two three four five six"),
                ),
            ],
            ..Run::default()
        };
        assert_eq!(
            steps(&run, 50),
            "   at  CPU  step\n\
             1.20s  3    panic\n\
             2.21s  3    cores that did not stop: CPUs 0-2,4-6\n\
             2.21s  3    warning that cores may be stale\n\
             3.00s  3    saying what each core was doing:\n            \
             one\u{fffd}[2J two three four five six\n"
        );
        assert_eq!(steps(&Run::default(), 80), "");
    }
}
