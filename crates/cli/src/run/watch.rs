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

/// Of the time that passes so much counts in any case, whatever the machine has lost.
const COUNTS: u32 = 10;

/// A moment, and how much time the machine had lost by then to what else the host runs.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    lacked: Duration,
}

impl Moment {
    fn now(session: &Session) -> Self {
        Self {
            at: Instant::now(),
            lacked: session.lacked(),
        }
    }

    /// How much time the machine has had since, as deadlines of ours count it: on a host
    /// that gives it a fiftieth of a CPU it has not hung because it is slow.
    fn had(&self, session: &Session) -> Duration {
        had(self.at.elapsed(), session.lacked() - self.lacked)
    }
}

fn had(passed: Duration, lacked: Duration) -> Duration {
    passed.saturating_sub(lacked).max(passed / COUNTS)
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
    let begin = Moment::now(session);
    let mut heard = begin;
    let mut looked = begin.at;
    // What somebody has asked for is by the clock on the wall.
    let since = |moment: &Moment, session: &Session| match limits.asked {
        true => moment.at.elapsed(),
        false => moment.had(session),
    };
    loop {
        match console.recv_timeout(STEP) {
            Ok(Heard::Bytes(bytes)) => {
                heard = Moment::now(session);
                session.take(&bytes);
            }
            Ok(Heard::Cut) => session.cut(),
            Ok(Heard::Back) => session.back(),
            Err(RecvTimeoutError::Timeout) => session.tick(),
            Err(RecvTimeoutError::Disconnected) => return Stop::Closed,
        }
        // Behind the wait, which is longer than asked for where the host is busy.
        session.look_at_threads();
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
                heard = Moment::now(session);
            }
            if let Some(pause) = limits.look
                && heard.at.max(looked).elapsed() >= pause
                && session.run.end.is_none()
            {
                looked = Instant::now();
                // A monitor that does not answer is reported at the end.
                match lookout.look(&session.run) {
                    // It may yet return, once the host runs its core.
                    Ok(Sight::Held(held)) if session.starved(&held.held_up()) => {}
                    Ok(Sight::Held(held)) => return Stop::Held(held),
                    Ok(Sight::Moving) => heard = Moment::now(session),
                    Ok(Sight::Nothing) | Err(_) => {}
                }
            }
        }
        if since(&begin, session) > limits.total {
            return Stop::Deadline(begin.at.elapsed());
        }
        let silence = if session.speaks() {
            limits.silence
        } else {
            limits.boot
        };
        if since(&heard, session) > silence {
            return Stop::Silent(heard.at.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::run::{progress::Progress, session::begun, threads::Threads};

    #[test]
    fn time_that_the_machine_has_lost_does_not_count_but_a_tenth_of_all_does() {
        let s = Duration::from_secs;
        assert_eq!(had(s(100), s(0)), s(100));
        assert_eq!(had(s(100), s(60)), s(40));
        assert_eq!(had(s(100), s(99)), s(10));
        assert_eq!(had(s(100), s(101)), s(10));
    }

    /// How long a machine that says nothing is waited for, and what is noted of it: its
    /// emulator's first thread, and that of its only CPU where that is there, are in these
    /// states of the kernel's.
    fn silent(states: &str, asked: bool) -> (Duration, bool) {
        let dir = tempfile::tempdir().unwrap();
        for (state, (tid, name)) in states.chars().zip([(11, "qemu"), (12, "CPU 0/TCG")]) {
            let task = dir.path().join(tid.to_string());
            fs::create_dir(&task).unwrap();
            fs::write(task.join("comm"), format!("{name}\n")).unwrap();
            fs::write(task.join("schedstat"), "1000000 2000000 3\n").unwrap();
            let stat = format!("{tid} ({name}) {state} 1 2");
            fs::write(task.join("stat"), stat).unwrap();
        }
        let log = tempfile::tempfile().unwrap();
        let mut session = Session::new(begun(), log, Progress::silent());
        session.threads = Some(Threads::within(dir.path().into(), 11, 1));
        let silence = Duration::from_millis(200);
        let limits = Limits {
            total: Duration::from_secs(60),
            asked,
            silence,
            boot: silence,
            grace: silence,
            look: None,
        };
        let (_console, heard) = sync_channel(1);
        match watch(&heard, limits, &mut session, None) {
            Stop::Silent(time) => (time, session.lacked() > time / 2),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_that_the_host_does_not_run_is_waited_for_longer_and_not_for_ever() {
        let waits = Duration::from_millis(1500);
        for (states, asked, longer, lacks, what) in [
            ("SR", false, true, true, "ready"),
            ("R", false, true, true, "no CPU runs yet"),
            ("SS", false, false, false, "asleep"),
            ("SR", true, false, true, "that was asked for"),
        ] {
            let (time, lacked) = silent(states, asked);
            assert_eq!((time > waits, lacked), (longer, lacks), "{what}: {time:?}");
        }
    }
}
