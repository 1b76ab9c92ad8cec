//! The steps of the kdump path, in the order in which the kernel prints them.

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(usize)]
pub enum Step {
    /// The lockup, fault or request that began it.
    Crash,
    /// The panic.
    Panic,
    /// The stop SGI to all other CPUs.
    StopSgi,
    /// From 6.12 on: the stop tried again with an NMI.
    RetryNmi,
    /// The list of CPUs that did not stop.
    FailedToStop,
    /// `machine_crash_shutdown` is done.
    CrashKernel,
    /// The WARN about stale CPUs.
    StaleWarning,
    /// `machine_kexec` is past its cache maintenance, if any.
    Bye,
    /// The capture kernel boots.
    CaptureBoot,
    /// Its user space has saved the dump.
    VmcoreSaved,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 10] = [
        Self::Crash,
        Self::Panic,
        Self::StopSgi,
        Self::RetryNmi,
        Self::FailedToStop,
        Self::CrashKernel,
        Self::StaleWarning,
        Self::Bye,
        Self::CaptureBoot,
        Self::VmcoreSaved,
    ];

    /// What the kernel prints.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Crash => "the first complaint",
            Self::Panic => "Kernel panic - not syncing",
            Self::StopSgi => "SMP: stopping secondary CPUs",
            Self::RetryNmi => "SMP: retry stop with NMI for CPUs ...",
            Self::FailedToStop => "SMP: failed to stop secondary CPUs ...",
            Self::CrashKernel => "Starting crashdump kernel...",
            Self::StaleWarning => "WARNING: Some CPUs may be stale, kdump will be unreliable.",
            Self::Bye => "Bye!",
            Self::CaptureBoot => "the capture kernel boots",
            Self::VmcoreSaved => "saving vmcore complete",
        }
    }
}
