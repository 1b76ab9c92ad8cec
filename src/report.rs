//! The report: one record a line, as a diagnostic of KTAP.

use alloc::{boxed::Box, string::String};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use stalecore_model::record::{Hold, Note, Record};

use crate::{
    arch, board,
    clock::{self, Deadline},
    println, recorder, watchdog,
};

/// How long the image holds still for a debugger. The clock stands while an
/// emulator has stopped the machine.
const HOLD_MS: u64 = 5000;

/// How long nothing is said of a run that goes on.
const QUIET_MS: u64 = 5000;

/// CNTVCT_EL0 when something was last said.
static SAID: AtomicU64 = AtomicU64::new(0);

/// Says that this case goes on, if nothing has been said for a while, so that
/// whoever waits at the console tells a slow machine from a silent one. To be
/// called only where something has moved.
pub fn running(case: u32) {
    let said = SAID.load(Ordering::Relaxed);
    if clock::ms_since(said) >= QUIET_MS {
        println!("# case {case} goes on");
        SAID.store(arch::cntvct(), Ordering::Relaxed);
    }
}

/// Writes a record.
pub fn record(record: &Record) {
    watchdog::refresh();
    SAID.store(arch::cntvct(), Ordering::Relaxed);
    match record.to_json() {
        Ok(json) => {
            println!("# {json}");
            // Behind the console: what was kept has been told.
            recorder::keep(record, &json);
        }
        Err(error) => println!("# a record could not be written: {error}"),
    }
}

/// Writes a note for a person.
pub fn note(text: String) {
    record(&Record::Note(Note { text }));
}

/// A boxed record, for the large ones.
pub fn boxed<T>(kind: impl Fn(Box<T>) -> Record, value: T) {
    record(&kind(Box::new(value)));
}

/// Holds still where the options ask for it, the first time only.
pub fn hold_still(why: &str) {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !board::get().options.hold || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    record(&Record::Hold(Hold {
        ms: HOLD_MS,
        why: why.into(),
    }));
    let deadline = Deadline::after_ms(HOLD_MS);
    while !deadline.has_passed() {
        watchdog::refresh();
        arch::pause();
    }
}
