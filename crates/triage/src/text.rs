//! The reading in words.

use std::io::{self, Write};

use stalecore_model::words;

use super::{
    cpus::CountSource,
    outcome::{Kind, Status},
    reading::{Head, Reading},
    stale::Other,
    step::Step,
};

/// The width at which running text is broken.
const WIDTH: usize = 80;

/// How many other CPUs are listed one by one.
const MAX_OTHERS: usize = 8;

/// Writes a crash in full.
///
/// # Errors
/// Those of `out`.
pub fn full(out: &mut impl Write, reading: &Reading) -> io::Result<()> {
    write!(out, "crash {}: ", reading.head.number)?;
    title(out, &reading.head)?;
    writeln!(out)?;
    facts(out, reading)?;
    writeln!(out)?;
    steps(out, reading)?;
    writeln!(out, "\nWhat this means")?;
    for finding in reading.findings.iter().filter(|f| f.id != "setting") {
        let support = finding.support.words();
        let text = match support.as_str() {
            "" => finding.text.clone(),
            support => format!("{} [{support}]", finding.text),
        };
        wrapped(out, "  - ", &text)?;
    }
    let mut settings = reading
        .findings
        .iter()
        .filter(|f| f.id == "setting")
        .peekable();
    if settings.peek().is_some() {
        writeln!(out, "\nTo see more next time")?;
        for setting in settings {
            wrapped(out, "  - ", &setting.text)?;
        }
    }
    match (&reading.command, &reading.no_command) {
        (Some(command), _) => {
            writeln!(out, "\nTo stage the same:\n{}", command.line())?;
            for assumption in &command.assumptions {
                wrapped(out, "  assumed: ", assumption)?;
            }
        }
        (None, Some(why)) => {
            writeln!(out)?;
            wrapped(out, "No command stages this: ", why)?;
        }
        (None, None) => {}
    }
    Ok(())
}

/// Writes a crash in one line.
///
/// # Errors
/// Those of `out`.
pub fn short(out: &mut impl Write, head: &Head) -> io::Result<()> {
    write!(
        out,
        "crash {} (line {}): ",
        head.number,
        head.line.unwrap_or(0)
    )?;
    title(out, head)?;
    match head.first_missing {
        Some(step) => writeln!(out, "; first missing: {}", name(head.kind, step)),
        None => writeln!(out, "; nothing missing"),
    }
}

fn title(out: &mut impl Write, head: &Head) -> io::Result<()> {
    out.write_all(head.kind.words().as_bytes())?;
    let task = |out: &mut dyn Write| match (&head.comm, head.pid) {
        (Some(comm), Some(pid)) => write!(out, " [{comm}:{pid}]"),
        _ => Ok(()),
    };
    if let Some(cpu) = head.stuck_cpu {
        write!(out, ": CPU {cpu} stuck")?;
        if let Some(seconds) = head.stuck_s {
            write!(out, " for {}", span(seconds))?;
        }
        task(out)?;
        if let Some(other) = head.cpu.filter(|c| *c != cpu) {
            write!(out, ", CPU {other} panicked")?;
        }
    } else if let Some(cpu) = head.cpu {
        write!(out, ": CPU {cpu}")?;
        task(out)?;
    }
    Ok(())
}

fn facts(out: &mut impl Write, reading: &Reading) -> io::Result<()> {
    let mut fact = |name: &str, value: &str| writeln!(out, "  {name:<9} {value}");
    let from = |name: &str| match reading.source(name) {
        Some(support) => format!(" [{}]", support.words()),
        None => String::new(),
    };
    if let Some(line) = reading.head.line {
        let time = reading
            .head
            .time
            .as_ref()
            .map_or(String::new(), |t| format!(", at {t}"));
        fact("begins", &format!("line {line}{time}"))?;
    }
    match &reading.kernel {
        Some(kernel) => {
            let era = kernel.era.map_or(String::new(), |e| format!(" (era {e})"));
            fact(
                "kernel",
                &format!("{}{era}{}", kernel.release, from("kernel")),
            )?;
        }
        None => fact("kernel", "not in the log")?,
    }
    let hardware = reading.hardware.as_deref().unwrap_or("not in the log");
    fact("hardware", &format!("{hardware}{}", from("hardware")))?;
    if let Some(cpus) = reading.cpus {
        let source = match cpus.source {
            CountSource::Boot => "",
            CountSource::RcuStall => " (the kernel's own count)",
            CountSource::FailedList => " (from the list of those that failed to stop)",
            CountSource::HighestSeen => " or more (the highest that the log mentions)",
        };
        fact("cpus", &format!("{}{source}{}", cpus.count, from("cpus")))?;
    }
    if let Some(cpu) = reading.head.cpu {
        fact("panicked", &format!("CPU {cpu}{}", from("cpu")))?;
    }
    if let Some(panic) = &reading.panic {
        fact("panic", panic)?;
    }
    if let Some(oops) = &reading.oops {
        fact("oops", oops)?;
    }
    if let Some(stack) = &reading.stack {
        let caller = stack
            .caller
            .as_ref()
            .map_or(String::new(), |c| format!(", from {c}"));
        fact("stack", &format!("{}{caller}", stack.pc))?;
    }
    if let Some(failed) = &reading.failed_to_stop {
        let list = if failed.list.is_empty() {
            "not listed"
        } else {
            &failed.list
        };
        fact("unstopped", &format!("{list}{}", from("failed_to_stop")))?;
    }
    for other in reading.others.iter().take(MAX_OTHERS) {
        fact("other", &words_of(other))?;
    }
    if reading.others.len() > MAX_OTHERS {
        fact(
            "other",
            &words::count(reading.others.len() - MAX_OTHERS, "CPU more", "CPUs more"),
        )?;
    }
    if let Some(stale) = &reading.stale {
        let cpus = if stale.cpus.len() == 1 { "CPU" } else { "CPUs" };
        fact(
            "stale",
            &format!("{cpus} {}{}", stale.cpus, from("stale.cpus")),
        )?;
        fact("state", &format!("{}{}", stale.state, from("stale.state")))?;
    }
    fact("outcome", reading.head.outcome.words())?;
    fact("signature", &reading.signature)
}

/// How long, as far as whole seconds tell.
fn span(seconds: u32) -> String {
    match seconds {
        0 => "less than a second".into(),
        seconds => format!("{seconds} s"),
    }
}

fn words_of(other: &Other) -> String {
    let mut words = format!("CPU {}", other.cpu);
    if other.complained {
        words.push_str(" stuck");
    }
    if let Some(seconds) = other.stuck_s {
        words.push_str(&format!(" for {}", span(seconds)));
    }
    if let (Some(comm), Some(pid)) = (&other.comm, other.pid) {
        words.push_str(&format!(" [{comm}:{pid}]"));
    }
    if let Some(stack) = &other.stack {
        words.push_str(&format!(" at {}", stack.pc));
    }
    words
}

fn steps(out: &mut impl Write, reading: &Reading) -> io::Result<()> {
    for step in &reading.steps {
        let status = match step.status {
            Status::Present => "present",
            Status::Missing => "MISSING",
            Status::NotExpected => "-",
            Status::BeforeLog => "cut off",
        };
        let at = match (step.line, &step.time) {
            (Some(line), Some(time)) => format!("line {line}, {time}"),
            (Some(line), None) => format!("line {line}"),
            _ => String::new(),
        };
        let name = name(reading.head.kind, step.step);
        let row = format!("  {status:<8} {name:<58} {at}");
        writeln!(out, "{}", row.trim_end())?;
    }
    let seen = |s: &Step| {
        reading
            .steps
            .iter()
            .any(|r| r.step == *s && r.status == Status::Present)
    };
    let last = match reading.head.last_present {
        // The warning is a detail of this step; both are named.
        Some(Step::StaleWarning) if seen(&Step::CrashKernel) => format!(
            "\"{}\" + {}",
            Step::CrashKernel.message(),
            Step::StaleWarning.message()
        ),
        Some(step) => format!("\"{}\"", name(reading.head.kind, step)),
        None => "none".into(),
    };
    writeln!(out, "\n  last step present: {last}")?;
    match reading.head.first_missing {
        Some(step) => writeln!(
            out,
            "  first missing:     \"{}\"",
            name(reading.head.kind, step)
        ),
        None => writeln!(out, "  first missing:     none"),
    }
}

/// A step by its message; the first by what began this crash.
fn name(kind: Kind, step: Step) -> &'static str {
    if step != Step::Crash {
        return step.message();
    }
    match kind {
        Kind::SoftLockup => "BUG: soft lockup",
        Kind::HardLockup => "Watchdog detected hard LOCKUP",
        Kind::Oops => "Internal error",
        Kind::Sysrq => "sysrq: Trigger a crash",
        Kind::SError => "SError Interrupt",
        Kind::RcuStall => "rcu: INFO: ... detected stall",
        Kind::Panic | Kind::HungTask | Kind::HardwareError | Kind::Firmware | Kind::Unknown => {
            step.message()
        }
    }
}

/// Writes running text under a prefix, broken at [`WIDTH`] columns.
fn wrapped(out: &mut impl Write, prefix: &str, text: &str) -> io::Result<()> {
    let indent = " ".repeat(prefix.len());
    let mut line = prefix.to_string();
    for word in text.split(' ') {
        if line.len() + word.len() > WIDTH && line.trim_end().len() > indent.len() {
            writeln!(out, "{}", line.trim_end())?;
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    writeln!(out, "{}", line.trim_end())
}
