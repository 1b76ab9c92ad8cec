//! The report: one record a line on standard output, as the image writes it.

use std::{
    fmt,
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use stalecore_model::record::{Note, Record, Seal};

/// How many records have been written.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// When something was last said.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// How long nothing is said of a run that goes on.
const QUIET: Duration = Duration::from_secs(5);

/// Says that this case goes on, if nothing has been said for a while.
pub fn running(case: usize) {
    let said = SAID.lock().ok().and_then(|said| *said);
    if said.is_none_or(|said| said.elapsed() > QUIET) {
        text(format_args!("# case {case} goes on\n"));
    }
}

/// Writes text; where nobody reads any more, nobody misses it.
pub fn text(text: fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(text);
    let _ = out.flush();
    if let Ok(mut said) = SAID.lock() {
        *said = Some(Instant::now());
    }
}

/// Writes a record.
pub fn record(record: &Record) {
    match record.to_json() {
        Ok(json) => {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
            let seal = Seal::new(json.as_bytes(), number);
            text(format_args!("# {json}{seal}\n"));
        }
        Err(error) => text(format_args!("# a record could not be written: {error}\n")),
    }
}

/// Writes a note for a person.
pub fn note(text: String) {
    record(&Record::Note(Note { text }));
}
