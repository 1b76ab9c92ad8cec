//! The report: one record a line, as a diagnostic of KTAP.

use alloc::{boxed::Box, string::String};
use stalecore_model::record::{Note, Record};

use crate::println;

/// Writes a record.
pub fn record(record: &Record) {
    match record.to_json() {
        Ok(json) => println!("# {json}"),
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
