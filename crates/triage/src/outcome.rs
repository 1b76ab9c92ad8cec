//! What a crash was, how far it came, and which of the steps are there.

use serde::Serialize;

use super::{
    crash::{Complaint, Crash, Trigger},
    step::Step,
};

/// What kind of crash it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A soft lockup.
    SoftLockup,
    /// A hard lockup.
    HardLockup,
    /// A fault or BUG.
    Oops,
    /// An SError.
    #[serde(rename = "serror")]
    SError,
    /// An RCU stall.
    RcuStall,
    /// A task that slept for too long.
    HungTask,
    /// A hardware error that firmware reported.
    HardwareError,
    /// An exception or panic of the firmware's own.
    Firmware,
    /// Asked for through sysrq.
    Sysrq,
    /// A panic for another reason.
    Panic,
    /// The log begins after the first lines of the crash.
    Unknown,
}

impl Kind {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::SoftLockup => "soft lockup",
            Self::HardLockup => "hard lockup",
            Self::Oops => "oops",
            Self::SError => "SError",
            Self::RcuStall => "RCU stall",
            Self::HungTask => "hung task",
            Self::HardwareError => "hardware error",
            Self::Firmware => "exception in the firmware",
            Self::Sysrq => "crash asked for through sysrq",
            Self::Panic => "panic",
            Self::Unknown => "crash whose beginning is not in the log",
        }
    }

    /// Is a CPU stuck in this kind of crash?
    pub const fn is_lockup(self) -> bool {
        matches!(self, Self::SoftLockup | Self::HardLockup)
    }

    /// The kind by what the log says, and the complaint that the crash began with.
    pub fn of(crash: &Crash) -> (Self, Option<&Complaint>) {
        let by_text = crash.panic.as_ref().and_then(|(text, _)| by_text(text));
        let sysrq = latest(crash, Trigger::Sysrq);
        match by_text {
            Some(Self::SoftLockup) => (Self::SoftLockup, latest(crash, Trigger::Soft)),
            Some(Self::HardLockup) => (Self::HardLockup, hard(crash)),
            Some(Self::RcuStall) => (Self::RcuStall, latest(crash, Trigger::Rcu)),
            Some(Self::SError) => (Self::SError, latest(crash, Trigger::SError)),
            // Up to 4.20 sysrq crashed the kernel by a fault of its own.
            Some(Self::Oops) if sysrq.is_some() => (Self::Sysrq, sysrq),
            Some(Self::Oops) => {
                let serror = latest(crash, Trigger::SError);
                match latest(crash, Trigger::Oops) {
                    None if serror.is_some() => (Self::SError, serror),
                    oops => (Self::Oops, oops),
                }
            }
            Some(Self::Sysrq) => (Self::Sysrq, sysrq),
            Some(kind) => (kind, None),
            None => Self::without_text(crash, sysrq),
        }
    }

    fn without_text<'a>(
        crash: &'a Crash,
        sysrq: Option<&'a Complaint>,
    ) -> (Self, Option<&'a Complaint>) {
        let cut = crash.panic.as_ref().is_none_or(|(_, whole)| !whole);
        if !cut {
            return (Self::Panic, None);
        }
        if sysrq.is_some() {
            return (Self::Sysrq, sysrq);
        }
        let newest = [Trigger::Soft, Trigger::Oops, Trigger::SError, Trigger::Rcu]
            .into_iter()
            .filter_map(|trigger| latest(crash, trigger))
            .chain(hard(crash))
            .max_by_key(|c| c.mark.line);
        let kind = match newest.map(|c| c.trigger) {
            Some(Trigger::Soft) => Self::SoftLockup,
            Some(Trigger::Hard) => Self::HardLockup,
            Some(Trigger::SError) => Self::SError,
            Some(Trigger::Rcu) => Self::RcuStall,
            Some(_) => Self::Oops,
            None if crash.panic.is_some() => Self::Panic,
            None if crash.steps.iter().all(Option::is_none) && !crash.firmware.el3.is_empty() => {
                Self::Firmware
            }
            None => Self::Unknown,
        };
        (kind, newest)
    }
}

/// Complaints of a kind up to the panic.
fn before_panic(
    crash: &Crash,
    trigger: Trigger,
) -> impl DoubleEndedIterator<Item = &Complaint> + Clone {
    let panic = crash.line_of(Step::Panic);
    crash
        .complaints
        .iter()
        .filter(move |c| c.trigger == trigger && panic.is_none_or(|line| c.mark.line <= line))
}

/// The latest complaint of a kind; if there is a choice, on the CPU that panicked.
fn latest(crash: &Crash, trigger: Trigger) -> Option<&Complaint> {
    let mut fitting = before_panic(crash, trigger).rev();
    let cpu = crash.panic_cpu();
    let own = fitting.clone().find(|c| cpu.is_some() && c.cpu == cpu);
    own.or_else(|| fitting.next())
}

/// The hard lockup that the others follow from: the panicking CPU's own, else
/// the one whose finder was not itself found later; the earliest of several.
fn hard(crash: &Crash) -> Option<&Complaint> {
    let mut all = before_panic(crash, Trigger::Hard);
    let cpu = crash.panic_cpu();
    let own = all.clone().find(|c| cpu.is_some() && c.cpu == cpu);
    own.or_else(|| all.next())
}

/// What the panic's own words say.
fn by_text(text: &str) -> Option<Kind> {
    let has = |word: &str| text.contains(word);
    if has("softlockup: hung tasks") {
        Some(Kind::SoftLockup)
    } else if has("Hard LOCKUP") || has("hard LOCKUP") {
        Some(Kind::HardLockup)
    } else if has("sysrq triggered crash") {
        Some(Kind::Sysrq)
    } else if text.starts_with("RCU Stall") {
        Some(Kind::RcuStall)
    } else if has("SError Interrupt") {
        Some(Kind::SError)
    } else if has("hung_task: blocked tasks") {
        Some(Kind::HungTask)
    } else if has("Fatal hardware error") {
        Some(Kind::HardwareError)
    } else if has("Fatal exception") || text.starts_with("Oops") {
        Some(Kind::Oops)
    } else {
        None
    }
}

/// How far the kdump path came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The capture kernel saved the dump.
    DumpSaved,
    /// The capture kernel boots.
    CaptureBoots,
    /// A kernel boots after "Bye!", and nothing shows which.
    UnidentifiedBoot,
    /// "Bye!" and then nothing, or a reset.
    SilentCapture,
    /// The crash kernel was being started; no "Bye!".
    StoppedBeforeBye,
    /// The panic ran to its end without a crash kernel.
    NoCrashKernel,
    /// Nothing after the stop SGI.
    StoppedInStop,
    /// Nothing after the panic.
    StoppedAfterPanic,
    /// A complaint without a panic.
    NoPanic,
}

impl Outcome {
    /// What the steps say.
    pub fn of(crash: &Crash) -> Self {
        let has = |step| crash.has(step);
        if has(Step::VmcoreSaved) {
            Self::DumpSaved
        } else if has(Step::CaptureBoot) {
            Self::CaptureBoots
        } else if has(Step::Bye) && crash.boot.is_some() && !crash.reset {
            Self::UnidentifiedBoot
        } else if has(Step::Bye) {
            Self::SilentCapture
        } else if has(Step::CrashKernel) || has(Step::StaleWarning) {
            Self::StoppedBeforeBye
        } else if crash.panic_ended.is_some() {
            Self::NoCrashKernel
        } else if has(Step::StopSgi) || has(Step::FailedToStop) || has(Step::RetryNmi) {
            Self::StoppedInStop
        } else if has(Step::Panic) {
            Self::StoppedAfterPanic
        } else {
            Self::NoPanic
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::DumpSaved => "the capture kernel booted and saved the dump",
            Self::CaptureBoots => "the capture kernel booted",
            Self::UnidentifiedBoot => "a kernel boots behind \"Bye!\", nothing shows which",
            Self::SilentCapture => "the jump was made; nothing is heard of the capture kernel",
            Self::StoppedBeforeBye => "ends while the crash kernel is being started",
            Self::NoCrashKernel => "the panic ended without a crash kernel being started",
            Self::StoppedInStop => "ends while the other CPUs are being stopped",
            Self::StoppedAfterPanic => "ends behind the panic",
            Self::NoPanic => "no panic follows",
        }
    }
}

/// Is a step there, and if not, should it be?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// In the log.
    Present,
    /// Expected and not in the log.
    Missing,
    /// Not printed on this path, or only when something goes wrong.
    NotExpected,
    /// The log begins after it.
    BeforeLog,
}

/// The status of a step.
pub fn status(crash: &Crash, kind: Kind, one_cpu: bool, step: Step) -> Status {
    if crash.has(step) {
        return Status::Present;
    }
    let first = Step::ALL.into_iter().find(|s| crash.has(*s));
    let last = crash.last_step();
    let faulted = |c: &Complaint| c.trigger == Trigger::Oops;
    match step {
        Step::Crash if matches!(kind, Kind::Panic | Kind::HungTask | Kind::HardwareError) => {
            Status::NotExpected
        }
        // A fault with a crash kernel loaded goes there without a panic line.
        Step::Panic if last > Some(step) && crash.complaints.iter().any(faulted) => {
            Status::NotExpected
        }
        Step::StopSgi if one_cpu => Status::NotExpected,
        Step::RetryNmi | Step::FailedToStop | Step::VmcoreSaved => Status::NotExpected,
        Step::StaleWarning if !crash.has(Step::FailedToStop) => Status::NotExpected,
        _ if first > Some(step) => Status::BeforeLog,
        _ => Status::Missing,
    }
}
