//! The report: one record per line, as a KTAP diagnostic; what must outlive a reset goes
//! to the flight recorder as well.

pub mod again;
pub mod screen;
pub mod recorder;

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use stalecore_model::{
    record::{Absent, Hold, Note, Record, Seal},
    recorder::Trial,
};

use crate::hal::{
    clock,
    console::{self, println},
    watchdog,
};

/// Is the image to wait for a debugger at the moments that are worth a look?
static PAUSES: AtomicBool = AtomicBool::new(false);

/// How long the image waits for a debugger. The clock stands while an
/// emulator has stopped the machine.
const PAUSE_MS: u64 = 5000;

/// How long a run that goes on may say nothing.
const QUIET_MS: u64 = 5000;

/// How many records this boot has written. One core at a time writes records, so
/// the console has them in the order of their numbers.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// CNTVCT_EL0 when something was last said.
static SAID: AtomicU64 = AtomicU64::new(0);

/// Says that this case goes on, if nothing has been said for a while, so that a slow
/// machine can be told from a silent one at the console. To be called only where
/// something has moved.
pub fn running(case: u32) {
    now_and_then(case, "goes on");
}

/// The same for a case that does not go on, and is waited for on purpose.
pub fn waiting(case: u32) {
    now_and_then(case, "is waited for");
}

fn now_and_then(case: u32, what: &str) {
    let said = SAID.load(Ordering::Relaxed);
    if clock::ms_since(said) >= QUIET_MS {
        println!("# case {case} {what}");
        SAID.store(clock::now(), Ordering::Relaxed);
    }
}

/// Writes a record.
pub fn record(record: &Record) {
    watchdog::refresh();
    SAID.store(clock::now(), Ordering::Relaxed);
    match record.to_json() {
        Ok(json) => {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
            let seal = Seal::new(json.as_bytes(), number);
            println!("# {json}{seal}");
            // After the console: whatever is kept has been printed.
            note_if_full(recorder::keep(record, &json, seal));
        }
        // Its reasons are not those of a record: there is no room for their words.
        Err(_) => println!("# a record could not be written"),
    }
    // Last of all: whatever becomes of that, the record is out.
    screen::show(record);
}

/// Writes a note for a person.
pub fn note(text: String) {
    record(&Record::Note(Note { text }));
}

/// Reports why cores have no role, those with the same reason together.
pub fn absent(cores: impl Iterator<Item = Absent>) {
    let mut records: Vec<Absent> = Vec::new();
    for core in cores {
        match records.iter_mut().find(|record| record.why == core.why) {
            Some(record) => record.cpus = record.cpus.union(&core.cpus),
            None => records.push(core),
        }
    }
    for absent in records {
        record(&Record::Absent(absent));
    }
}

/// A boxed record, for the large ones.
pub fn boxed<T>(kind: impl Fn(Box<T>) -> Record, value: T) {
    record(&kind(Box::new(value)));
}

/// Keeps a trial of a search for culprits in the flight recorder.
pub fn keep_trial(trial: &Trial) {
    note_if_full(recorder::keep_trial(trial));
}

/// Says what is about to be done, where that may not return: on the console for whoever
/// watches, and in the flight recorder for the next boot.
pub fn about_to(text: &str) {
    println!("# {text}");
    console::flush();
    note_if_full(recorder::keep_step(text));
}

fn note_if_full(room: Result<(), recorder::Full>) {
    if let Err(full) = room {
        note(full.to_string());
    }
}

/// From now on [`pause_for_debugger`] pauses, if that is asked for.
pub fn allow_pause(asked: bool) {
    PAUSES.store(asked, Ordering::Relaxed);
}

/// Waits for a debugger where [`allow_pause`] said so, the first time only.
pub fn pause_for_debugger(why: &str) {
    if !PAUSES.swap(false, Ordering::Relaxed) {
        return;
    }
    record(&Record::Hold(Hold {
        ms: PAUSE_MS,
        why: why.into(),
    }));
    clock::wait_ms(PAUSE_MS, || {
        watchdog::refresh();
        false
    });
}
