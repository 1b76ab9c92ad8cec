//! Standard output: for machines, and for whoever closes the pipe early.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes text to standard output. It is no error if the reader has seen enough
/// (`| head`).
///
/// # Errors
/// Any other failure, as on a full disk.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}
