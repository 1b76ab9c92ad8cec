//! What follows from a crash's log, and what does not, in sentences.

use serde::Serialize;
use stalecore_model::{cpuset::MAX_CPUS, kdump::Kernel};

use super::{
    cpus::{Cpus, Meaning},
    crash::Crash,
    era,
    outcome::Kind,
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
    pub era: Option<Kernel>,
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

/// The conclusions so far.
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, id: &'static str, text: impl Into<String>) {
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
        let list = e.cpus.failed.unwrap_or_default();
        let count = list.len();
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
                        "\"failed to stop\" names exactly what was still up after {retry}: CPUs \
                         {list}; CPUs that answered are not on it."
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
