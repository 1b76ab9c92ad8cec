//! Waits for the end of a run: by itself, by a deadline, or because somebody
//! asked for it.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::{
    core_file::CoreFile,
    interrupt,
    limits::Limits,
    session::Session,
    silence::{Held, Lookout, Sight},
};

/// How long QEMU may take to end after the image's last line.
const GRACE: Duration = Duration::from_secs(5);

/// How often deadlines and Ctrl-C are looked at.
const STEP: Duration = Duration::from_millis(100);

/// Why the watch ended.
#[derive(Debug)]
pub enum Stop {
    /// The console was closed.
    Closed,
    /// The image has written its last line, and the machine goes on.
    LastLine,
    /// Nothing came for this long.
    Silent(Duration),
    /// The run's deadline passed.
    Deadline(Duration),
    /// Nothing came, and this operation has not returned.
    Held(Held),
    /// Somebody asked for the end.
    Interrupted,
    /// More came than any image writes.
    Flood,
    /// The console's log could not be written.
    Log(io::Error),
}

/// Reads a console on a thread of its own. The channel is short, so that a
/// flood waits in the pipe and not in memory.
pub fn read(mut console: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver): (SyncSender<Vec<u8>>, _) = sync_channel(16);
    thread::spawn(move || {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            match console.read(&mut bytes) {
                Ok(0) => break,
                Ok(n) if sender.send(bytes[..n].to_vec()).is_err() => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
    });
    receiver
}

/// Feeds the session until the run is over one way or another.
///
/// Where nobody in the machine watches, `lookout` does once the console is
/// quiet. A core file is saved when the image holds still for that.
pub fn watch(
    console: &Receiver<Vec<u8>>,
    limits: Limits,
    session: &mut Session,
    lookout: &mut Lookout<'_>,
    mut core: Option<&mut CoreFile>,
) -> Stop {
    let begin = Instant::now();
    let mut heard = begin;
    let mut looked = begin;
    loop {
        match console.recv_timeout(STEP) {
            Ok(bytes) => {
                heard = Instant::now();
                if let Err(error) = session.take(&bytes) {
                    return Stop::Log(error);
                }
            }
            Err(RecvTimeoutError::Timeout) => session.tick(),
            Err(RecvTimeoutError::Disconnected) => return Stop::Closed,
        }
        if interrupt::asked() {
            return Stop::Interrupted;
        }
        if session.flooded() {
            return Stop::Flood;
        }
        if session.exit.is_some_and(|(_, at)| at.elapsed() > GRACE) {
            return Stop::LastLine;
        }
        if std::mem::take(&mut session.held)
            && let Some(core) = &mut core
        {
            lookout.save_core(core);
            heard = Instant::now();
        }
        if let Some(pause) = limits.look
            && heard.max(looked).elapsed() >= pause
            && session.run.end.is_none()
        {
            looked = Instant::now();
            // A monitor that does not answer is told of at the end.
            match lookout.look(&session.run) {
                Ok(Sight::Held(held)) => return Stop::Held(held),
                Ok(Sight::Moving) => heard = looked,
                Ok(Sight::Nothing) | Err(_) => {}
            }
        }
        if begin.elapsed() > limits.total {
            return Stop::Deadline(limits.total);
        }
        if heard.elapsed() > limits.silence {
            return Stop::Silent(limits.silence);
        }
    }
}
