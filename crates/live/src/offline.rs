//! CPUs taken offline, and who puts them back: a process of its own, which learns of the
//! end of the harness, however that comes about, by the end of a pipe.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use stalecore_model::cpuset::CpuSet;

use crate::os::{self, Side};

/// How long a CPU may take to go or to come.
const PATIENCE: Duration = Duration::from_secs(5);

fn file(cpu: usize) -> PathBuf {
    format!("/sys/devices/system/cpu/cpu{cpu}/online").into()
}

/// Is a CPU online? One that cannot go has no file, and is.
fn is_online(cpu: usize) -> bool {
    fs::read_to_string(file(cpu)).map_or(true, |text| text.trim() != "0")
}

/// Takes a CPU offline, or puts it back, and sees that it is.
///
/// # Errors
/// Linux says no, or it does not happen.
fn set(cpu: usize, online: bool) -> Result<(), String> {
    let name = file(cpu).display().to_string();
    if is_online(cpu) == online {
        return Ok(());
    }
    fs::write(file(cpu), if online { "1" } else { "0" })
        .map_err(|error| format!("{name}: {error}"))?;
    let begun = Instant::now();
    while is_online(cpu) != online {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{name} does not change"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What tells the keeper, on the harness's side.
pub struct Tell {
    pipe: File,
}

impl Tell {
    /// Takes a CPU offline; the keeper knows of it before.
    ///
    /// # Errors
    /// As [`set`].
    pub fn off(&mut self, cpu: usize) -> Result<(), String> {
        let told = writeln!(self.pipe, "off {cpu}");
        told.map_err(|error| format!("who puts CPU {cpu} back is gone: {error}"))?;
        set(cpu, false)
    }

    /// Puts a CPU back.
    ///
    /// # Errors
    /// As [`set`].
    pub fn on(&mut self, cpu: usize) -> Result<(), String> {
        set(cpu, true)?;
        // The keeper may try once more for nothing.
        let _ = writeln!(self.pipe, "on {cpu}");
        Ok(())
    }
}

/// Starts the keeper; its process, and what tells it.
///
/// # Errors
/// No process can be had.
pub fn start() -> io::Result<(i32, Tell)> {
    let (read, write) = os::pipe()?;
    match os::fork()? {
        Side::Parent(child) => Ok((child, Tell { pipe: write })),
        Side::Child => {
            drop(write);
            // Who kills the command's group does not mean this.
            os::own_session();
            os::leave(keep(read))
        }
    }
}

/// Waits until nobody is left who could put CPUs back, and does.
fn keep(pipe: File) -> i32 {
    let off = wanted(BufReader::new(pipe));
    let failed = off.iter().filter(|cpu| set(*cpu, true).is_err()).count();
    i32::from(failed > 0)
}

/// The CPUs that are off when nothing more is told.
fn wanted(lines: impl BufRead) -> CpuSet {
    let mut off = CpuSet::EMPTY;
    for line in lines.lines().map_while(Result::ok) {
        let (what, cpu) = line.split_once(' ').unwrap_or_default();
        match (what, cpu.parse::<usize>()) {
            ("off", Ok(cpu)) => drop(off.insert(cpu)),
            ("on", Ok(cpu)) => off.remove(cpu),
            _ => {}
        }
    }
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_at_the_end_is_put_back() {
        let told = "off 3\noff 5\non 3\nnonsense\noff x\noff 7\n";
        assert_eq!(wanted(told.as_bytes()).to_string(), "5,7");
    }
}
