//! What follows from a crash's log, and what does not, in sentences.

use serde::Serialize;
use stalecore_model::cpuset::MAX_CPUS;

use super::{
    cpus::{Cpus, Meaning},
    crash::Crash,
    era::{self, Era},
    outcome::{Kind, Outcome},
    stale::{Other, Stack},
    step::Step,
    stuck::Place,
};

/// One conclusion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// A stable name for tools.
    pub id: &'static str,
    /// The conclusion in words.
    pub text: String,
}

/// What the conclusions are drawn from.
pub struct Evidence<'a> {
    /// The crash.
    pub crash: &'a Crash,
    /// Its kind.
    pub kind: Kind,
    /// Its kernel's era.
    pub era: Option<Era>,
    /// Its CPUs.
    pub cpus: &'a Cpus,
    /// The stack of the crash itself.
    pub stack: Option<&'a Stack>,
    /// Other CPUs.
    pub others: &'a [Other],
}

/// Draws all conclusions, the one about where the sequence ends first.
pub fn of(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    found.foreign(evidence);
    found.ending(evidence);
    found.cuts(evidence);
    found.list(evidence);
    found.stacks(evidence);
    found.kernel(evidence);
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, id: &'static str, text: impl Into<String>) {
        self.0.push(Finding {
            id,
            text: text.into(),
        });
    }

    fn foreign(&mut self, e: &Evidence<'_>) {
        if is_foreign(e.crash) {
            self.add(
                "not-arm64",
                "This is not an arm64 kernel: it prints other steps on its way into a crash \
                 kernel, so missing steps mean nothing here.",
            );
        }
    }

    fn ending(&mut self, e: &Evidence<'_>) {
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
            Some(era) if !era.maintains_at_crash() => self.add(
                "no-maintenance-before-bye",
                "Kernels from 5.16 on did their cache maintenance when the crash kernel was \
                 loaded. At crash time machine_kexec only warns, prints \"Bye!\" and jumps, so a \
                 missing \"Bye!\" does not speak of a blocked cache operation: suspect the \
                 console, a reset, an SError, or a log that was cut off. A broadcast that does \
                 not return would show behind \"Bye!\", as a capture kernel that says nothing.",
            ),
            era => {
                let what = era.unwrap_or(Era::V4_18);
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
            Some(era) if !era.maintains_at_crash() => self.add(
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

    fn cuts(&mut self, e: &Evidence<'_>) {
        if e.crash.cut_line {
            self.add(
                "cut-in-line",
                "The log ends in the middle of a line: it was cut off, and its end is not the \
                 end of what the kernel did.",
            );
        }
        if e.crash.warning_unfinished() && !e.crash.has(Step::Bye) {
            self.add(
                "warning-unfinished",
                "The stale warning's own dump is not complete (no \"end trace\"): the log was cut \
                 off or the console failed while it was printed, before any maintenance.",
            );
        }
        if e.crash.failed.as_ref().is_some_and(|list| !list.whole) {
            self.add(
                "list-may-be-cut",
                "The line with the list of CPUs has no end: the list may have been longer.",
            );
        }
        if e.crash.reset && !e.crash.has(Step::CaptureBoot) {
            self.add(
                "reset",
                "The machine was reset afterwards: firmware or its ordinary kernel speaks next.",
            );
        }
    }

    fn list(&mut self, e: &Evidence<'_>) {
        let Some(meaning) = e.cpus.meaning else {
            if e.crash.has(Step::StaleWarning) {
                self.add(
                    "warning-without-list",
                    "The stale warning is there without a list of CPUs that failed to stop: the \
                     list was lost, or CPUs got stuck at boot, which warns too.",
                );
            }
            return;
        };
        let count = e.cpus.failed.map_or(0, |set| set.len());
        match meaning {
            Meaning::AtLeastOne => self.add(
                "list-at-least-one",
                format!(
                    "\"failed to stop\" names {count} CPUs, which does not mean that {count} are \
                     stuck. A kernel of this age prints the mask that it sent the SGI to, all \
                     CPUs but its own, and never takes out those that answered. It means: at \
                     least one did not answer within 1 s. Those that did answer went on into PSCI \
                     CPU_OFF, so the next step ran beside a mix of stale cores and cores in or \
                     past CPU_OFF."
                ),
            ),
            Meaning::StillOnline => {
                let retry = if e.crash.retry.is_some() {
                    "an SGI (1 s) and an NMI (10 ms)"
                } else {
                    "an SGI (1 s)"
                };
                self.add(
                    "list-still-online",
                    format!(
                        "\"failed to stop\" names exactly the {count} CPUs that were still up \
                         after {retry}; those that answered are not on it."
                    ),
                );
            }
            Meaning::OnlineWithSelf => self.add(
                "list-online-with-self",
                "\"failed to stop\" names the CPU that panicked too: this is the ordinary stop, \
                 not the one on the way into a crash kernel. It prints all CPUs still online; the \
                 others on the list are those that did not stop.",
            ),
            Meaning::NoList => self.add(
                "list-not-printed",
                "This kernel does not print which CPUs failed to stop: at least one.",
            ),
            Meaning::Unreadable => self.add(
                "list-unreadable",
                format!(
                    "The list of CPUs that failed to stop cannot be read: it is cut off, damaged, \
                     or names CPUs above {}. At least one CPU did not stop.",
                    MAX_CPUS - 1
                ),
            ),
            Meaning::Unclear => self.add(
                "list-unclear",
                "Kernels before 6.12 print the mask that the SGI was sent to, of which at least \
                 one CPU did not answer; later ones print exactly those still up. Which of the \
                 two this list is cannot be told: the version is unknown, or the list leaves out \
                 CPUs, which were offline or are a sign of the later stop code.",
            ),
        }
    }

    fn stacks(&mut self, e: &Evidence<'_>) {
        if let Some(stack) = e.stack
            && e.kind.is_lockup()
        {
            let cpu = stack
                .cpu
                .map_or("the CPU".into(), |cpu| format!("CPU {cpu}"));
            let mut text = format!("At {} {cpu} {}.", stack.pc, stack.why);
            if stack.cpu == e.cpus.crashed {
                let took = match e.kind {
                    Kind::HardLockup => "the watchdog's NMI",
                    _ => "its timer interrupt",
                };
                text.push_str(&format!(
                    " It still took {took}, and went on: this core is not stale. What the others \
                     are stuck in, its stack only suggests."
                ));
            }
            if stack.mixed {
                text.push_str(" Several CPUs printed at once: the registers may be another CPU's.");
            }
            self.add("stack", text);
        }
        let stuck: Vec<_> = e.others.iter().filter(|o| o.complained).collect();
        if e.kind == Kind::HardLockup && !stuck.is_empty() {
            self.add(
                "hard-lockup-elsewhere",
                "The CPU in a hard lockup takes no interrupts: it cannot answer the stop SGI, and \
                 another CPU panicked in its place.",
            );
        }
        if e.others.iter().any(|o| o.after_panic) {
            self.add(
                "alive-after-panic",
                "A watchdog complained behind the panic: that CPU had not stopped and still took \
                 interrupts.",
            );
        }
        let blocked = |o: &Other| {
            o.stack
                .as_ref()
                .is_some_and(|s| s.place == Place::Maintenance)
        };
        if e.others.iter().any(blocked) {
            self.add(
                "maintenance-elsewhere",
                "Another CPU was inside cache or TLB maintenance: it may have been blocked \
                 itself before the crash began.",
            );
        }
    }

    fn kernel(&mut self, e: &Evidence<'_>) {
        if e.crash.in_capture {
            self.add(
                "in-capture-kernel",
                "This crash is the capture kernel's own.",
            );
        }
        if e.crash.release.as_deref().is_some_and(era::is_vendor) {
            self.add(
                "vendor-kernel",
                "The version is a vendor's: changes of later kernels may have been brought into \
                 it. Compare with its source before relying on what its version says.",
            );
        }
    }
}

/// Was it another architecture's kernel?
pub fn is_foreign(crash: &Crash) -> bool {
    crash.foreign || crash.release.as_deref().is_some_and(era::is_foreign)
}
