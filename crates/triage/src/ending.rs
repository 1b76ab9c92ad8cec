//! What it means that the kdump path ends where it does.

use stalecore_model::kdump::Kernel;

use super::{
    findings::{Evidence, Findings},
    outcome::{Kind, Outcome},
    step::Step,
};

impl Findings {
    /// Where the path ends, and what can have ended it.
    pub fn ending(&mut self, e: &Evidence<'_>) {
        match Outcome::of(e.crash) {
            Outcome::DumpSaved | Outcome::CaptureBoots => self.add(
                "path-complete",
                "The kdump path was walked to its end: no operation on it was blocked.",
            ),
            Outcome::UnidentifiedBoot => self.add(
                "boot-unidentified",
                "A kernel boots behind \"Bye!\". No line shows whether it is the capture kernel \
                 (which reserves its elfcorehdr) or the machine's own after a reset.",
            ),
            Outcome::SilentCapture => self.silent_capture(e),
            Outcome::StoppedBeforeBye => self.before_bye(e),
            Outcome::NoCrashKernel => self.no_crash_kernel(e),
            Outcome::StoppedInStop => self.in_stop(e),
            Outcome::StoppedAfterPanic => self.add(
                "nothing-behind-panic",
                "The panic's own trace is followed by the stop of the other CPUs; that line is \
                 missing. Nothing on this stretch maintains caches: the log was cut off, the \
                 console failed, or the machine was reset.",
            ),
            Outcome::NoPanic => self.no_panic(e),
        }
    }

    fn before_bye(&mut self, e: &Evidence<'_>) {
        let warned = e.crash.has(Step::StaleWarning);
        if e.crash.has(Step::FailedToStop) && !warned {
            self.add(
                "warning-missing",
                "CPUs failed to stop, so the stale warning had to come before any maintenance, \
                 and it is missing: look at the console and at where the log was cut, not at \
                 cache maintenance.",
            );
            return;
        }
        match e.era {
            Some(era) if !era.flushes_at_crash() => self.add(
                "no-maintenance-before-bye",
                "Kernels from 5.16 on did their cache maintenance when the crash kernel was \
                 loaded. At crash time machine_kexec only warns, prints \"Bye!\" and jumps, so a \
                 missing \"Bye!\" does not speak of a blocked cache operation: suspect the \
                 console, a reset, an SError, or a log that was cut off. A broadcast that does \
                 not return would show behind \"Bye!\", as a capture kernel that says nothing.",
            ),
            era => {
                let what = era.unwrap_or(Kernel::V4_18);
                let unless = if era.is_none() {
                    " if this kernel is older than 5.16 (from then on there is none)"
                } else {
                    ""
                };
                self.add(
                    "stopped-before-bye",
                    format!(
                        "Between the last line present and \"Bye!\" machine_kexec copies the \
                         relocation code and maintains caches{unless}: {}. A broadcast operation \
                         that a stale core does not answer ends the log exactly here. So does a \
                         log that was cut off, or a console that fell silent: which instruction \
                         did not return, and that one did not, needs a trace (kprobes on these \
                         routines, or the program counter read from outside).",
                        what.maintenance()
                    ),
                );
            }
        }
    }

    fn silent_capture(&mut self, e: &Evidence<'_>) {
        let file_end = "Files written from the crashed kernel's own buffer (vmcore-dmesg.txt, \
                        pstore) always end at \"Bye!\".";
        match e.era {
            Some(era) if !era.flushes_at_crash() => self.add(
                "silent-capture-first-broadcast",
                format!(
                    "This kernel maintains no caches at crash time, so the first broadcast \
                     operations after the crash are the capture kernel's own, early in its boot: \
                     ic ialluis while it patches itself, tlbi vaale1is for its fixmap. A core \
                     that does not answer blocks it there, before it has a console. A capture \
                     kernel can be silent for other reasons: earlycon in its arguments tells. \
                     {file_end}"
                ),
            ),
            Some(era) => self.add(
                "silent-capture-after-maintenance",
                format!(
                    "\"Bye!\" is there, so the maintenance of machine_kexec returned: {}. At \
                     that moment no core blocked it. The capture kernel's own first broadcasts \
                     (ic ialluis, tlbi vaale1is) come next; earlycon in its arguments tells how \
                     far it comes. {file_end}",
                    era.maintenance()
                ),
            ),
            None => self.add(
                "silent-capture",
                format!(
                    "\"Bye!\" is there and nothing is heard of the capture kernel. Its first \
                     broadcasts (ic ialluis, tlbi vaale1is) come before its console; earlycon in \
                     its arguments tells how far it comes. {file_end}"
                ),
            ),
        }
    }

    fn no_crash_kernel(&mut self, e: &Evidence<'_>) {
        let loaded = match e.crash.kdump_loaded {
            Some(false) => "the log shows that none was loaded",
            Some(true) => {
                "one was loaded, so the kernel refused it or another panic handler came first"
            }
            None => "the log does not show whether one was loaded",
        };
        self.add(
            "no-crash-kernel",
            format!("The panic ran to its end and no crash kernel was started: {loaded}."),
        );
    }

    fn in_stop(&mut self, e: &Evidence<'_>) {
        let text = if e.crash.has(Step::FailedToStop) {
            "The wait for the other CPUs is over, and \"Starting crashdump kernel...\" does not \
             follow. No cache is maintained on this stretch: the log was cut off, no crash \
             kernel was loaded, or the console failed."
        } else {
            "The stop SGI went out; the next line has to come within about 1 s, whether the \
             other CPUs answer or not. No cache is maintained on this stretch: the log was cut \
             off, or the machine was reset."
        };
        self.add("stopped-in-stop", text);
    }

    fn no_panic(&mut self, e: &Evidence<'_>) {
        let text = match e.kind {
            Kind::SoftLockup | Kind::HardLockup => {
                "A watchdog complained and no panic follows: the kernel was not told to panic \
                 (kernel.softlockup_panic, kernel.hardlockup_panic), or the log ends first."
            }
            _ => {
                "No panic and no crash kernel follow: the kernel was not told to panic on an \
                 oops, or the log ends first."
            }
        };
        self.add("no-panic", text);
    }
}
