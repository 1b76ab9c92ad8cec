//! `stalecore serial`: reads a board's serial line as `run` reads QEMU's, and
//! says what it means.

mod counters;
mod device;
mod port;
mod telnet;

use std::time::{Duration, Instant};

use anyhow::Context;
use stalecore_model::{
    exit::ExitCode,
    run::{Run, SerialLine},
    words,
};

use crate::run::{
    OutputArgs, conclude, interrupt,
    judge::Ending,
    limits::{LONGEST, Limits},
    outdir::OutDir,
    pace::Pace,
    progress::Progress,
    seconds,
    session::{self, Session},
    watch,
};
use crate::stderr;
use port::{Line, Port};

/// A server's firmware may be silent for minutes before it speaks.
const SILENCE: u32 = 600;

/// How long to keep listening after the last line: a board that stays on says no
/// more.
const GRACE: Duration = Duration::from_secs(1);

/// Read a board's serial line, give the verdict of what runs there
#[derive(clap::Args)]
pub struct Args {
    /// A serial device or pty, tcp:HOST:PORT, or telnet:HOST:PORT
    #[arg(value_name = "PORT")]
    port: Port,
    /// The device's speed in bits per second, 8N1 [default: 115200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(50..=4_000_000))]
    baud: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
    /// Ask for records that were lost on the way, once the run has ended: of an image that
    /// was booted with stalecore.ask=on
    #[arg(long)]
    ask: bool,
    /// Give up after this many seconds without a byte
    #[arg(long, value_name = "SECONDS", default_value_t = SILENCE, value_parser = seconds)]
    timeout: u32,
}

/// Reads the line until the image has ended, and gives the exit code.
///
/// # Errors
/// The line cannot be opened, or the results cannot be saved.
pub fn serial(args: &Args) -> anyhow::Result<ExitCode> {
    let line = Line::new(args.port.clone(), args.baud)?;
    let first = line.open().with_context(|| args.port.to_string())?;
    let out = OutDir::open(args.output.out.as_deref())?;
    let run = Run {
        machine_command: line.words(),
        host: format!("serial {}", args.port),
        ..session::begun()
    };
    out.save(&run)?;
    let progress = Progress::new(
        args.output.quiet,
        args.output.verbose,
        "waiting for the board",
        Pace::default(),
    );
    let mut session = Session::new(run, out.console(0)?, progress);
    if args.ask {
        let voice = line.voice();
        session.ask_by(move |request| voice.say(request));
    }
    interrupt::install()?;
    if !args.output.quiet {
        stderr::say(&format!(
            "reading {}; Ctrl-C ends it and keeps what came",
            args.port
        ));
    }
    let silence = Duration::from_secs(args.timeout.into());
    let limits = Limits {
        total: LONGEST,
        asked: true,
        silence,
        boot: silence,
        grace: GRACE,
        look: None,
    };
    let counters = line.counters();
    let begin = Instant::now();
    let stop = watch::watch(&line.read(first), limits, &mut session, None);
    session.finish();
    session.run.elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    session.run.emulated = is_emulated(&session.run);
    let line = SerialLine {
        garbled_bytes: session.garbled_bytes,
        lost_bytes: counters.lost(),
        damaged_bytes: counters.damaged(),
        cuts: session.cuts,
    };
    session.run.notes.extend(notes(&line, session.run.restarts));
    session.run.notes.extend(again(&session));
    session.run.serial = Some(line);
    let ending = Ending::of(stop, &mut session);
    conclude::conclude(session, &ending, None, &out, &args.output)
}

/// QEMU's machines name themselves; they do under KVM as well, where this errs on the
/// side of claiming too little. None where the machine's record was lost.
pub fn is_emulated(run: &Run) -> Option<bool> {
    let model = &run.machine.as_ref()?.model;
    Some(model == "linux,dummy-virt" || model.starts_with("QEMU"))
}

/// What happened on the line, where anything did.
pub fn notes(line: &SerialLine, restarts: u32) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |count: u64, one: &str, many: &str, text: &str| {
        if count > 0 {
            let count = words::count(count as usize, one, many);
            notes.push(format!("host: {count} {text}"));
        }
    };
    note(
        line.garbled_bytes,
        "byte of the serial line was",
        "bytes of the serial line were",
        "garbled",
    );
    note(
        line.lost_bytes.unwrap_or(0),
        "byte or more was",
        "bytes or more were",
        "lost in this host's UART",
    );
    note(
        line.damaged_bytes.unwrap_or(0),
        "byte",
        "bytes",
        "came with a wrong stop or parity bit",
    );
    note(
        line.cuts,
        "time",
        "times",
        "the line was lost and sought again",
    );
    note(
        restarts.into(),
        "time",
        "times",
        "the board began again; each case counts as it last ran",
    );
    notes
}

/// What was sent again, or could have been.
fn again(session: &Session) -> Option<String> {
    match (session.mended(), session.run.lost_records()) {
        (0, 0) => None,
        (0, _) if session.offered => {
            Some("host: the image offered to send what was lost again; serial --ask asks".into())
        }
        (0, _) => None,
        (n, _) => Some(format!(
            "host: {} lost on the way, and came when {} asked for",
            words::count(n, "record was", "records were"),
            words::with(n, "it was", "they were"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_noted() {
        let mut line = SerialLine {
            garbled_bytes: 0,
            lost_bytes: None,
            damaged_bytes: Some(0),
            cuts: 0,
        };
        assert!(notes(&line, 0).is_empty());
        (line.lost_bytes, line.cuts) = (Some(3), 2);
        let notes = notes(&line, 1).join("; ");
        for part in [
            "3 bytes or more were lost",
            "2 times the line",
            "1 time the board",
        ] {
            assert!(notes.contains(part), "{notes}");
        }
    }
}
