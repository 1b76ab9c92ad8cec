//! Decides which crash a message belongs to.

use super::{
    crash::{Crash, Trigger},
    message::Message,
    prefix::Stamp,
    step::Step,
};

/// How far the kernel's clock may run backwards between lines of one boot,
/// in microseconds: lines of several CPUs come a little out of order.
const DISORDER: u64 = 5_000_000;

/// How long after a complaint without a panic it is over, in microseconds: a
/// watchdog that still sees its CPU stuck repeats itself sooner.
const OVER: u64 = 120_000_000;

/// For how long after a fault that only killed its task there may be lines that
/// belong to it, in microseconds.
const AFTERMATH: u64 = 1_000_000;

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It belongs to the crash under way.
    Yes,
    /// It begins another crash.
    New,
    /// It begins another crash, to which late complaints belong too.
    Split,
    /// It may belong to a crash of which nothing was seen so far.
    Pend,
    /// The crash under way is told again.
    Replay,
    /// It belongs to nothing.
    Ignore,
}

impl Fit {
    /// Fits a message to the crash under way, if there is one; `fence` is the
    /// number of the quotation that the message stands in.
    pub fn of(
        crash: Option<&Crash>,
        message: &Message<'_>,
        stamp: &Stamp<'_>,
        fence: Option<u64>,
    ) -> Self {
        let role = Role::of(message);
        let new_if = |begins: bool| if begins { Self::New } else { Self::Ignore };
        let Some(crash) = crash else {
            return match role {
                Role::Detail => Self::Pend,
                role => new_if(role.opens()),
            };
        };
        if message.is_firmwares() {
            return if crash.boot.is_none() {
                Self::Yes
            } else {
                Self::Ignore
            };
        }
        if crash.boot.is_some() && crash.knows(stamp.micros) {
            return Self::Replay;
        }
        // User space speaks without the kernel's stamps.
        if role == Role::Step(Step::VmcoreSaved) && crash.boot.is_some() {
            return Self::of_step(crash, Step::VmcoreSaved);
        }
        if crash.tool && role == Role::Detail {
            return Self::Yes;
        }
        if crash.logged != stamp.logged && !crash.tool {
            // Text without a stamp after lines with one is quoted text; it is a log
            // of its own if it is in a quotation of its own and begins like one.
            let own = fence.is_some() && fence != crash.quoted && role.begins();
            return new_if(own || stamp.logged && role.opens());
        }
        let saved = role == Role::Step(Step::VmcoreSaved);
        let earlier = |now: u64, latest: u64| now.saturating_add(DISORDER) < latest;
        let backwards = stamp
            .micros
            .zip(crash.latest)
            .is_some_and(|(now, latest)| earlier(now, latest));
        if (backwards || crash.boot.is_some()) && !saved {
            return new_if(role.opens());
        }
        let gap = stamp
            .micros
            .zip(crash.latest)
            .map(|(now, latest)| now.saturating_sub(latest));
        match role {
            Role::Complaint | Role::Step(_) if is_over(crash, message, gap) => new_if(role.opens()),
            Role::Detail => Self::Yes,
            Role::Complaint => Self::of_complaint(crash, message),
            Role::Step(step) => Self::of_step(crash, step),
        }
    }

    fn of_complaint(crash: &Crash, message: &Message<'_>) -> Self {
        match message {
            // The CPU that panicked takes no more timer interrupts.
            Message::SoftLockup { cpu, .. } if crash.panic_cpu() == Some(*cpu) => Self::New,
            Message::Oops(_) | Message::SError(_) | Message::SysrqCrash
                if crash.has(Step::CrashKernel) =>
            {
                Self::New
            }
            _ => Self::Yes,
        }
    }

    /// A crash takes each step once, in order.
    fn of_step(crash: &Crash, step: Step) -> Self {
        let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye);
        let again = match step {
            // The `crash` utility reports the panic, and so does the log that it shows.
            Step::Panic if crash.tool && !crash.has(Step::StopSgi) => false,
            Step::Panic => {
                crash.has(Step::Panic) || crash.has(Step::StopSgi) || crash.has(Step::CrashKernel)
            }
            Step::StopSgi | Step::RetryNmi | Step::FailedToStop | Step::CrashKernel => started,
            Step::StaleWarning => crash.has(Step::StaleWarning) || crash.has(Step::Bye),
            Step::Bye if crash.has(Step::Bye) => return Self::Ignore,
            Step::VmcoreSaved if !started => return Self::Ignore,
            _ => false,
        };
        if again { Self::Split } else { Self::Yes }
    }
}

/// If only complaints were seen of the crash under way: is it over when this message
/// comes so long after it?
fn is_over(crash: &Crash, message: &Message<'_>, gap: Option<u64>) -> bool {
    if crash.last_step() != Some(Step::Crash) {
        return false;
    }
    let all = |which: fn(Trigger) -> bool| crash.complaints.iter().all(|c| which(c.trigger));
    let survived = all(|t| t == Trigger::Oops) && crash.dumps.all.iter().any(|d| d.closed);
    let elsewhere = matches!(
        message,
        Message::SoftLockup { .. } | Message::HardLockup { .. } | Message::RcuStall(_)
    );
    if survived && (elsewhere || matches!(message, Message::SysrqCrash)) {
        return gap.is_none_or(|gap| gap > AFTERMATH);
    }
    all(|t| matches!(t, Trigger::Soft | Trigger::Oops)) && gap.is_some_and(|gap| gap > OVER)
}

/// The role that a message plays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Complaint,
    Step(Step),
    Detail,
}

impl Role {
    fn of(message: &Message<'_>) -> Self {
        match message {
            Message::SoftLockup { .. }
            | Message::HardLockup { .. }
            | Message::Oops(_)
            | Message::SError(_)
            | Message::RcuStall(_)
            | Message::FirmwarePanic(_)
            | Message::SysrqCrash => Self::Complaint,
            Message::Panic(_) | Message::ToolPanic(_) => Self::Step(Step::Panic),
            Message::Stopping => Self::Step(Step::StopSgi),
            Message::Retry(_) | Message::RetrySdei(_) => Self::Step(Step::RetryNmi),
            Message::FailedToStop(_) => Self::Step(Step::FailedToStop),
            Message::CrashKernel => Self::Step(Step::CrashKernel),
            Message::StaleWarning => Self::Step(Step::StaleWarning),
            Message::Bye => Self::Step(Step::Bye),
            Message::VmcoreSaved => Self::Step(Step::VmcoreSaved),
            _ => Self::Detail,
        }
    }

    /// Is it how a crash begins?
    fn begins(self) -> bool {
        matches!(self, Self::Complaint | Self::Step(Step::Panic))
    }

    /// Does it show a crash, even if the log begins here? A "Bye!" alone is an
    /// ordinary kexec.
    fn opens(self) -> bool {
        match self {
            Self::Complaint => true,
            Self::Step(step) => !matches!(step, Step::Bye | Step::VmcoreSaved),
            Self::Detail => false,
        }
    }
}
