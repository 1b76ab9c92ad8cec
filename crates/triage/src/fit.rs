//! Decides which crash a message belongs to.

use super::{crash::Crash, message::Message, prefix::Stamp, step::Step};

/// How far the kernel's clock may run backwards between lines of one boot,
/// in microseconds: lines of several CPUs come a little out of order.
const DISORDER: u64 = 5_000_000;

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It belongs to the crash under way.
    Yes,
    /// It begins another crash.
    New,
    /// It begins another crash, to which late complaints belong too.
    Split,
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
            return new_if(role.opens());
        };
        if crash.logged != stamp.logged {
            // Text without a stamp behind lines with one is quoted text; a log
            // of its own if it stands in a quotation of its own and begins
            // like one.
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
        match role {
            Role::Detail => Self::Yes,
            Role::Complaint => Self::of_complaint(crash, message),
            Role::Step(step) => Self::of_step(crash, step),
        }
    }

    fn of_complaint(crash: &Crash, message: &Message<'_>) -> Self {
        match message {
            // The CPU that panicked takes no more timer interrupts.
            Message::SoftLockup { cpu, .. } if crash.panic_cpu() == Some(*cpu) => Self::New,
            Message::Oops(_) | Message::SysrqCrash if crash.has(Step::CrashKernel) => Self::New,
            _ => Self::Yes,
        }
    }

    /// A crash takes each step once, in order.
    fn of_step(crash: &Crash, step: Step) -> Self {
        let started = crash.has(Step::CrashKernel) || crash.has(Step::Bye);
        let again = match step {
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
            | Message::SysrqCrash => Self::Complaint,
            Message::Panic(_) => Self::Step(Step::Panic),
            Message::Stopping => Self::Step(Step::StopSgi),
            Message::Retry(_) => Self::Step(Step::RetryNmi),
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
