//! The kernel's messages about a crash, as far as they are understood.

use super::fields::{CpuLine, Symbol};

/// One message, without its prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// The soft-lockup watchdog's complaint.
    SoftLockup {
        /// The stuck CPU.
        cpu: u32,
        /// For how many seconds.
        stuck_s: u32,
        /// The task on it, name and pid.
        task: Option<(String, u32)>,
    },
    /// The hard-lockup watchdog's complaint; no number where it is cut off.
    HardLockup {
        /// The stuck CPU.
        cpu: Option<u32>,
    },
    /// A fault or BUG in the kernel: the text of one of its first lines.
    Oops(&'a [u8]),
    /// A crash asked for through sysrq.
    SysrqCrash,
    /// The panic, with its reason.
    Panic(&'a [u8]),
    /// The panic ran to its end: no crash kernel was started.
    PanicEnd,
    /// The stop SGI goes out.
    Stopping,
    /// The stop is tried again with an NMI, to these CPUs.
    Retry(&'a [u8]),
    /// CPUs did not stop; the list, empty where none is printed.
    FailedToStop(&'a [u8]),
    /// The jump into the crash kernel begins.
    CrashKernel,
    /// The warning about stale CPUs.
    StaleWarning,
    /// `machine_kexec` is past its work.
    Bye,
    /// A kernel's first line, or its version line.
    Boot(Option<String>),
    /// Proof that the kernel that boots is a capture kernel.
    CaptureSign,
    /// Proof that the kernel that boots is not: it reserves memory for one.
    PrimarySign,
    /// Firmware speaks: the machine was reset.
    Firmware,
    /// The capture kernel's user space has saved the dump.
    VmcoreSaved,
    /// A WARN's location line, with its CPU.
    Warn(u32),
    /// A dump is complete.
    EndTrace,
    /// A backtrace asked of this CPU.
    Backtrace(u32),
    /// Who was running.
    Cpu(CpuLine),
    /// The machine.
    Hardware(String),
    /// The program counter; `None` in user space or without a symbol.
    Pc(Option<Symbol>),
    /// The link register.
    Lr(Option<Symbol>),
    /// A stack trace begins.
    CallTrace,
    /// One frame of it.
    Frame(&'a [u8]),
    /// The number of CPUs that came up at boot.
    CpusUp(u32),
    /// Registers of another architecture.
    Foreign,
    /// A line of Markdown that opens or closes a quotation.
    Fence,
}

impl Message<'_> {
    /// Is it one of the many lines of registers and traces? They may be left
    /// out, so nothing but a dump's content may depend on them.
    pub fn is_bulk(&self) -> bool {
        matches!(
            self,
            Self::Hardware(_)
                | Self::Pc(_)
                | Self::Lr(_)
                | Self::CallTrace
                | Self::Frame(_)
                | Self::EndTrace
                | Self::Foreign
        )
    }

    /// Can the message be whole although its line has no end?
    pub fn ends_itself(&self) -> bool {
        matches!(
            self,
            Self::SoftLockup { .. }
                | Self::SysrqCrash
                | Self::Stopping
                | Self::CrashKernel
                | Self::StaleWarning
                | Self::Bye
                | Self::VmcoreSaved
                | Self::EndTrace
                | Self::CallTrace
                | Self::Fence
        )
    }
}
