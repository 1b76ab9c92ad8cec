//! A child process that never survives us, whether we return, panic, are
//! interrupted by Ctrl-C or are killed.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal,
};

/// A running child in a process group of its own. Dropping it kills the group.
pub struct Child {
    child: std::process::Child,
}

impl Child {
    /// Starts a program with an empty standard input, and gives its two outputs.
    /// Must be called on a thread that outlives the child: the kernel kills the
    /// child when that thread ends.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn start(
        program: &Path,
        arguments: &[OsString],
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        die_with_us(&mut command);
        let mut child = command.spawn()?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let child = Self { child };
        let (stdout, stderr) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((child, stdout, stderr))
    }

    /// Its process number.
    pub fn number(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; `None` if it is still running after `limit`.
    ///
    /// # Errors
    /// Those of `waitpid`.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            let status = self.child.try_wait()?;
            if status.is_some() || Instant::now() >= end {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if there is nothing left to kill.
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Has the kernel kill the child when we are gone, for whatever reason.
#[expect(
    unsafe_code,
    reason = "what runs between fork and exec is unsafe to choose"
)]
fn die_with_us(command: &mut Command) {
    let us = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have died before the kernel was asked.
        if getppid() == Some(us) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(
                rustix::io::Errno::SRCH.raw_os_error(),
            ))
        }
    };
    // SAFETY: `ask` makes two system calls that are async-signal-safe, and
    // neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(ask);
    }
}
