//! What it means that the kdump path ends where it does.

use stalecore_model::kdump::Kernel;

use super::{
    capture::{End, Stage},
    evidence::Support,
    findings::{Evidence, Findings},
    outcome::{Kind, Outcome},
    step::Step,
};

impl Findings {
    /// Where the path ends, and what can have ended it.
    pub fn ending(&mut self, e: &Evidence<'_>) {
        match Outcome::of(e.crash) {
            Outcome::DumpSaved => self.add(
                "path-complete",
                Support::read(e.crash.line_of(Step::VmcoreSaved)),
                "The kdump path was walked to its end: the dump was saved, so no operation on it \
                 was blocked.",
            ),
            Outcome::CaptureBoots => self.capture_boots(e),
            Outcome::UnidentifiedBoot => self.add(
                "boot-unidentified",
                Support::read(e.crash.boot.as_ref().map(|m| m.line)),
                "A kernel boots behind \"Bye!\". No line shows whether it is the capture kernel \
                 (which reserves its elfcorehdr) or the machine's own after a reset.",
            ),
            Outcome::SilentCapture => self.silent_capture(e),
            Outcome::StoppedBeforeBye => self.before_bye(e),
            Outcome::NoCrashKernel => self.no_crash_kernel(e),
            Outcome::StoppedInStop => self.in_stop(e),
            Outcome::StoppedAfterPanic => self.add(
                "nothing-behind-panic",
                Support::inferred(e.crash.line_of(Step::Panic)),
                "The panic's own trace is followed by the stop of the other CPUs; that line is \
                 missing. Nothing on this stretch maintains caches: the log was cut off, the \
                 console failed, or the machine was reset.",
            ),
            Outcome::NoPanic => self.no_panic(e),
        }
    }

    /// How far the capture kernel came, and what that leaves open.
    fn capture_boots(&mut self, e: &Evidence<'_>) {
        let capture = &e.crash.capture;
        let mut text = format!(
            "The jump worked: the capture kernel booted, and came as far as {}",
            capture.stage.words()
        );
        if let Some(percent) = capture.percent {
            text.push_str(&format!(" ({percent} % copied)"));
        }
        text.push_str(". ");
        text.push_str(&match capture.end {
            End::LogEnds => {
                let last = capture.last.as_ref().map_or(String::new(), |(mark, said)| {
                    let time = mark
                        .time
                        .as_ref()
                        .map_or(String::new(), |t| format!(" at {t}"));
                    format!(
                        " It is last heard{time}, in line {}: \"{said}\".",
                        mark.line
                    )
                });
                let beyond = match capture.stage {
                    Stage::KernelBoots => "that it reached user space or saved a dump",
                    _ => "that it saved a dump",
                };
                format!(
                    "The log ends there: it hung, or the log was cut off, or its console fell \
                     silent.{last} Nothing shows {beyond}; only a saved dump proves the path \
                     complete. Its own later broadcasts, or anything else in its way, may have \
                     hung."
                )
            }
            End::DumpFailed => "It says itself that the dump failed.".into(),
            End::Panicked => "Then it crashed itself: see the next crash.".into(),
            End::Left => "Then it switched the machine off or restarted it by itself. Whether it \
                          saved a dump, no line says that is known here."
                .into(),
            End::NextBoot => "The next thing heard is another boot: it was reset, or restarted \
                              the machine. Whether it saved a dump, the log does not say."
                .into(),
        });
        let lines = e.crash.line_of(Step::CaptureBoot).into_iter();
        let lines = lines
            .chain(capture.stage_line)
            .chain(capture.last.as_ref().map(|l| l.0.line));
        self.add("capture-boots", Support::inferred(lines), text);
    }

    fn before_bye(&mut self, e: &Evidence<'_>) {
        let steps = [Step::CrashKernel, Step::StaleWarning, Step::FailedToStop];
        let at = Support::inferred(steps.iter().filter_map(|s| e.crash.line_of(*s)));
        if e.crash.pstore {
            return;
        }
        let warned = e.crash.has(Step::StaleWarning);
        if e.crash.has(Step::FailedToStop) && !warned {
            self.add(
                "warning-missing",
                at,
                "CPUs failed to stop, so the stale warning had to come before any maintenance, \
                 and it is missing: look at the console and at where the log was cut, not at \
                 cache maintenance.",
            );
            return;
        }
        match e.era {
            Some(era) if !era.flushes_at_crash() => self.add(
                "no-maintenance-before-bye",
                at.clone(),
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
                    at.clone(),
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
        let at = Support::inferred(e.crash.line_of(Step::Bye));
        let file_end = "Files written from the crashed kernel's own buffer (vmcore-dmesg.txt, \
                        pstore) always end at \"Bye!\".";
        match e.era {
            Some(era) if !era.flushes_at_crash() => self.add(
                "silent-capture-first-broadcast",
                at,
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
                at,
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
                at,
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
        let then = match e.crash.reboots_in {
            Some(seconds) => format!(" The kernel reboots the machine after {seconds} s."),
            None => String::new(),
        };
        let lines = e
            .crash
            .panic_ended
            .into_iter()
            .chain(e.crash.lines.kdump_loaded);
        self.add(
            "no-crash-kernel",
            Support::read(lines),
            format!("The panic ran to its end and no crash kernel was started: {loaded}.{then}"),
        );
    }

    fn in_stop(&mut self, e: &Evidence<'_>) {
        let loaded = e.crash.kdump_loaded;
        let text = if loaded == Some(false) {
            "No crash kernel was loaded, so the path ends with the stop of the other CPUs; what \
             follows it, the panic's end, is not in the log."
        } else if e.crash.has(Step::FailedToStop) && loaded == Some(true) {
            "The wait for the other CPUs is over, and \"Starting crashdump kernel...\" does not \
             follow although one was loaded. No cache is maintained on this stretch: the log was \
             cut off, or the console failed."
        } else if e.crash.has(Step::FailedToStop) {
            "The wait for the other CPUs is over, and \"Starting crashdump kernel...\" does not \
             follow. No cache is maintained on this stretch: the log was cut off, no crash \
             kernel was loaded, or the console failed."
        } else {
            "The stop SGI went out; the next line has to come within about 1 s, whether the \
             other CPUs answer or not. No cache is maintained on this stretch: the log was cut \
             off, or the machine was reset."
        };
        let steps = [Step::StopSgi, Step::FailedToStop];
        let at = Support::inferred(steps.iter().filter_map(|s| e.crash.line_of(*s)));
        self.add("stopped-in-stop", at, text);
    }

    fn no_panic(&mut self, e: &Evidence<'_>) {
        let text = match e.kind {
            Kind::SoftLockup | Kind::HardLockup => {
                "A watchdog complained and no panic follows: the kernel was not told to panic \
                 (kernel.softlockup_panic, kernel.hardlockup_panic), or the log ends first."
            }
            Kind::RcuStall => {
                "RCU complained and no panic follows: the kernel was not told to panic \
                 (kernel.panic_on_rcu_stall), or the log ends first."
            }
            Kind::SError => {
                "An SError in the kernel always ends in a panic: the log ends before it."
            }
            Kind::Firmware => "The firmware failed; nothing is heard of the kernel.",
            _ => {
                "No panic and no crash kernel follow: the kernel was not told to panic on an \
                 oops, or the log ends first."
            }
        };
        self.add(
            "no-panic",
            Support::inferred(e.crash.line_of(Step::Crash)),
            text,
        );
    }
}
