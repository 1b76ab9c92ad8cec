//! Waits for the end of a run: by itself, by a deadline, or because somebody
//! asked for it.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::{
    interrupt,
    limits::Limits,
    session::Session,
    silence::{Held, Lookout, Sight},
};

/// How often deadlines and Ctrl-C are looked at.
const STEP: Duration = Duration::from_millis(50);

/// Why the watch ended.
#[derive(Debug)]
pub enum Stop {
    /// The console was closed.
    Closed,
    /// A saved log has no more.
    LogEnds,
    /// The image has written its last line, but the machine goes on.
    LastLine,
    /// The loader has gone back to the firmware, for this reason.
    GaveUp(String),
    /// Nothing came for this long.
    Silent(Duration),
    /// The run's deadline has passed.
    Deadline(Duration),
    /// Nothing came, and this operation has not returned.
    Held(Held),
    /// Somebody asked for the end.
    Interrupted,
    /// More came than any image would write.
    Flood,
}

/// What a console's reader passes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// This came.
    Bytes(Vec<u8>),
    /// The line was lost, and is being opened again; what comes next does not
    /// continue what came last.
    Cut,
    /// The line is back.
    Back,
}

/// Reads a console on a thread of its own. The channel is short, so that a
/// flood waits in the pipe and not in memory.
pub fn read(mut console: impl Read + Send + 'static) -> Receiver<Heard> {
    let (sender, receiver): (SyncSender<Heard>, _) = sync_channel(16);
    thread::spawn(move || {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            match console.read(&mut bytes) {
                Ok(0) => break,
                Ok(n) if sender.send(Heard::Bytes(bytes[..n].to_vec())).is_err() => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
    });
    receiver
}

/// Feeds the session until the run is over one way or another.
///
/// If nobody in the machine watches, `lookout` does whenever the console is quiet; it
/// also saves a core file when the image holds still for that. A board has none.
pub fn watch(
    console: &Receiver<Heard>,
    limits: Limits,
    session: &mut Session,
    mut lookout: Option<&mut Lookout<'_>>,
) -> Stop {
    let begin = Instant::now();
    let mut heard = begin;
    let mut looked = begin;
    loop {
        session.look_at_threads();
        match console.recv_timeout(STEP) {
            Ok(Heard::Bytes(bytes)) => {
                heard = Instant::now();
                session.take(&bytes);
            }
            Ok(Heard::Cut) => session.cut(),
            Ok(Heard::Back) => session.back(),
            Err(RecvTimeoutError::Timeout) => session.tick(),
            Err(RecvTimeoutError::Disconnected) => return Stop::Closed,
        }
        if interrupt::asked() {
            return Stop::Interrupted;
        }
        if session.flooded() {
            return Stop::Flood;
        }
        if session
            .last_line()
            .is_some_and(|at| at.elapsed() > limits.grace)
        {
            return Stop::LastLine;
        }
        if let Some(reason) = session.refusal() {
            return Stop::GaveUp(reason);
        }
        if let Some(lookout) = &mut lookout {
            if std::mem::take(&mut session.held) && lookout.save_core() {
                heard = Instant::now();
            }
            if let Some(pause) = limits.look
                && heard.max(looked).elapsed() >= pause
                && session.run.end.is_none()
            {
                looked = Instant::now();
                // A monitor that does not answer is reported at the end.
                match lookout.look(&session.run) {
                    // It may yet return, once the host runs its core.
                    Ok(Sight::Held(held)) if session.starved(&held.held_up()) => {}
                    Ok(Sight::Held(held)) => return Stop::Held(held),
                    Ok(Sight::Moving) => heard = looked,
                    Ok(Sight::Nothing) | Err(_) => {}
                }
            }
        }
        if begin.elapsed() > limits.total {
            return Stop::Deadline(limits.total);
        }
        let silence = if session.speaks() {
            limits.silence
        } else {
            limits.boot
        };
        if heard.elapsed() > silence {
            return Stop::Silent(silence);
        }
    }
}
