//! The kernel's messages about a crash, as far as they are understood.

use super::{
    capture::Progress,
    fields::{CpuLine, Symbol},
};

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
        /// The CPU that found it, where printed.
        by: Option<u32>,
    },
    /// A fault or BUG in the kernel: the text of one of its first lines.
    Oops(&'a [u8]),
    /// An SError, on this CPU.
    SError(u32),
    /// An RCU stall: the CPUs that its own line names.
    RcuStall(Vec<u32>),
    /// One line of the list of stalled CPUs.
    RcuCpu(u32),
    /// Who found the stall, and how many CPUs the kernel has, where printed.
    RcuBy {
        /// The CPU that found it; none where it stalled itself.
        by: Option<u32>,
        /// The number of CPUs.
        cpus: Option<u32>,
    },
    /// A CPU waits for another to answer a function call.
    CsdWait {
        /// Who waits.
        cpu: u32,
        /// For whom.
        on: u32,
    },
    /// A CPU's workqueues make no progress.
    Workqueue(u32),
    /// A task that sleeps for too long.
    HungTask,
    /// This CPU asks these for backtraces.
    Asked(u32, &'a [u8]),
    /// A CPU says that it stops.
    StopTaken(u32),
    /// A CPU left, or came up with this MPIDR.
    Plugged {
        /// Which CPU.
        cpu: u32,
        /// Its MPIDR, if it came up.
        mpidr: Option<u64>,
    },
    /// Firmware's complaint of an exception or a panic of its own.
    FirmwarePanic(&'a [u8]),
    /// A register that firmware shows, or an MPIDR in an error record.
    FirmwareRegister(&'a [u8], u64),
    /// A line of an error record (RAS).
    HardwareError(&'a [u8]),
    /// The kernel's driver for NMIs through SDEI speaks.
    SdeiNmi(&'a [u8]),
    /// A crash asked for through sysrq.
    SysrqCrash,
    /// The panic, with its reason.
    Panic(&'a [u8]),
    /// The panic is moved from one CPU to another (`panic_force_cpu=`).
    Redirected(u32, u32),
    /// Moving the panic failed.
    NotRedirected,
    /// The panic ran to its end: no crash kernel was started. The seconds until
    /// the machine reboots, where printed.
    PanicEnd(Option<u32>),
    /// The panic's notifiers speak: after the place where a crash kernel is started.
    Notifiers,
    /// The stop SGI goes out.
    Stopping,
    /// The stop is tried again with an NMI, to these CPUs.
    Retry(&'a [u8]),
    /// It is tried once more with an NMI that firmware delivers.
    RetrySdei(&'a [u8]),
    /// CPUs did not stop; the list, empty where none is printed.
    FailedToStop(&'a [u8]),
    /// The jump into the crash kernel begins.
    CrashKernel,
    /// The warning about stale CPUs.
    StaleWarning,
    /// `machine_kexec` is past its work.
    Bye,
    /// A kernel's first line, with the MPIDR of the core that it boots on.
    BootOn(Option<u64>),
    /// Its version line.
    Boot(String),
    /// Proof that the kernel that boots is a capture kernel.
    CaptureSign,
    /// Proof that the kernel that boots is not: it reserves memory for one.
    PrimarySign,
    /// Firmware speaks: the machine was reset.
    Firmware,
    /// What shows how far a capture kernel came.
    Progress(Progress),
    /// The dump has been saved.
    VmcoreSaved,
    /// A part of a record in persistent storage begins.
    PstorePart,
    /// The `crash` utility's line about a CPU's task: pid, CPU, name.
    ToolTask(u32, u32, String),
    /// One of its frames.
    ToolFrame(Symbol),
    /// Its row with the program counter.
    ToolPc(Symbol),
    /// Its line about the kernel.
    ToolRelease(String),
    /// Its line about the panic.
    ToolPanic(&'a [u8]),
    /// Its line about the number of CPUs.
    ToolCpus(u32),
    /// A dump holds no registers of this CPU.
    NoRegisters(u32),
    /// A WARN's location line, with its CPU.
    Warn(u32),
    /// A dump is complete.
    EndTrace,
    /// A backtrace that this CPU was asked for.
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
    /// What another architecture prints.
    Foreign(&'static str),
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
                | Self::Foreign(_)
                | Self::ToolFrame(_)
                | Self::ToolPc(_)
        )
    }

    /// Is it a step of the path, or what begins it?
    pub fn is_step(&self) -> bool {
        matches!(
            self,
            Self::SoftLockup { .. }
                | Self::HardLockup { .. }
                | Self::Oops(_)
                | Self::SError(_)
                | Self::SysrqCrash
                | Self::Panic(_)
                | Self::Stopping
                | Self::Retry(_)
                | Self::RetrySdei(_)
                | Self::FailedToStop(_)
                | Self::CrashKernel
                | Self::StaleWarning
        )
    }

    /// Is it from firmware? Such a line has no stamp even in a log with stamps.
    pub fn is_firmwares(&self) -> bool {
        matches!(self, Self::FirmwarePanic(_) | Self::FirmwareRegister(..))
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
                | Self::Progress(_)
                | Self::SError(_)
                | Self::EndTrace
                | Self::CallTrace
                | Self::Fence
        )
    }
}
