//! What follows from a crash's log, and what does not, in sentences.

use serde::Serialize;
use stalecore_model::kdump::Kernel;

use super::{
    cpus::{CountSource, Cpus, Meaning},
    crash::Crash,
    era::{self, Build},
    evidence::Support,
    hung::Hung,
    outcome::Kind,
    stale::{Basis, Other, Stack, Stale},
    step::Step,
    stuck::Place,
};

/// If this many lines are there twice, it is the console that doubles them.
const DOUBLED: u32 = 3;

/// One conclusion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// A stable name for tools.
    pub id: &'static str,
    /// How it came about, and from which lines.
    #[serde(flatten)]
    pub support: Support,
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
    /// CPUs known to be stuck.
    pub hung: &'a [Hung],
    /// What is staged.
    pub stale: Option<&'a Stale>,
}

/// Draws all conclusions, the one about where the sequence ends first.
pub fn of(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    found.foreign(evidence);
    found.ending(evidence);
    found.cuts(evidence);
    found.list(evidence);
    found.redirected(evidence);
    found.unprinted(evidence);
    found.attribution(evidence);
    found.stacks(evidence);
    found.detectors(evidence);
    found.faults(evidence);
    found.firmware(evidence);
    found.registers(evidence);
    found.log_itself(evidence);
    found.kernel(evidence);
    found.settings(evidence);
    found.0
}

/// The conclusions so far.
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, id: &'static str, support: Support, text: impl Into<String>) {
        self.0.push(Finding {
            id,
            support,
            text: text.into(),
        });
    }

    fn foreign(&mut self, e: &Evidence<'_>) {
        if let Some(which) = foreign_arch(e.crash) {
            self.add(
                "not-arm64",
                Support::inferred(e.crash.lines.release),
                format!(
                    "This is not an arm64 kernel ({which}): it prints other steps on its way into \
                     a crash kernel, so missing steps mean nothing here."
                ),
            );
        }
    }

    fn cuts(&mut self, e: &Evidence<'_>) {
        let crash = e.crash;
        if crash.cut_line {
            self.add(
                "cut-in-line",
                Support::read([]),
                "The log ends in the middle of a line: it was cut off, and its end is not the \
                 end of what the kernel did.",
            );
        }
        if crash.warning_unfinished() && !crash.has(Step::Bye) {
            self.add(
                "warning-unfinished",
                Support::read(crash.line_of(Step::StaleWarning)),
                "The stale warning's own dump is not complete (no \"end trace\"): the log was cut \
                 off or the console failed while it was printed, before any maintenance.",
            );
        }
        if crash.failed.as_ref().is_some_and(|list| !list.whole) {
            self.add(
                "list-may-be-cut",
                Support::read(crash.line_of(Step::FailedToStop)),
                "The line with the list of CPUs has no end: the list may have been longer.",
            );
        }
        if crash.reset && !crash.has(Step::CaptureBoot) {
            self.add(
                "reset",
                Support::read(crash.next_boot),
                "The machine was reset afterwards: firmware or its ordinary kernel speaks next.",
            );
        }
    }

    fn stacks(&mut self, e: &Evidence<'_>) {
        if let Some(stack) = e.stack
            && (e.kind.is_lockup() || stack.place == Place::OtherCpus)
        {
            let cpu = stack
                .cpu
                .map_or("the CPU".into(), |cpu| format!("CPU {cpu}"));
            let mut text = format!("At {} {cpu} {}.", stack.pc, stack.why);
            let panicked = e.crash.has(Step::Panic);
            let line = stack.cpu.and_then(|cpu| e.crash.cpu_line(cpu, None));
            if stack.cpu == e.cpus.crashed && panicked {
                let took = match e.kind {
                    Kind::HardLockup => "the watchdog's NMI",
                    _ => "its timer interrupt",
                };
                text.push_str(&format!(
                    " It still took {took}, and went on: this core is not stale. What the others \
                     are stuck in, its stack only suggests."
                ));
            } else if e.kind == Kind::SoftLockup {
                text.push_str(
                    " It takes its timer interrupt: that is what found it. The other CPUs are not \
                     known to be stuck.",
                );
            }
            if stack.place == Place::OtherCpus {
                text.push_str(
                    " So at least one other CPU takes no interrupts; which one, and what it is \
                     in, this stack does not show.",
                );
            }
            if stack.mixed {
                text.push_str(" Several CPUs printed at once: the registers may be another CPU's.");
            }
            self.add("stack", Support::inferred(line), text);
        }
        let blocked = |o: &&Other| {
            o.stack
                .as_ref()
                .is_some_and(|s| s.place == Place::Maintenance)
        };
        if let Some(other) = e.others.iter().find(blocked) {
            self.add(
                "maintenance-elsewhere",
                Support::inferred(e.crash.cpu_line(other.cpu, None)),
                "Another CPU was inside cache or TLB maintenance: it may have been blocked \
                 itself before the crash began.",
            );
        }
    }

    /// What a vmcore of this crash lacks.
    fn registers(&mut self, e: &Evidence<'_>) {
        let missing = &e.crash.without_registers;
        if !missing.is_empty() {
            let list: Vec<_> = missing.iter().map(u32::to_string).collect();
            let (cpus, those, them) = match list.len() {
                1 => ("CPU", "that one", "it"),
                _ => ("CPUs", "those", "them"),
            };
            self.add(
                "vmcore-without-registers",
                Support::read([]),
                format!(
                    "The vmcore holds no registers of {cpus} {}: the handler that saves them never \
                     ran there, so {those} did not stop. A stack shown for {them} is a guess.",
                    list.join(", ")
                ),
            );
            return;
        }
        let stopped_not = e
            .stale
            .filter(|s| e.crash.has(Step::FailedToStop) && !matches!(s.basis, Basis::TookSgi));
        if let Some(stale) = stopped_not
            && e.crash.has(Step::CrashKernel)
        {
            let all = e.cpus.meaning == Some(Meaning::AtLeastOne)
                && stale.from == super::stale::From::WholeList;
            let which = match stale.cpus.len() {
                1 => format!("CPU {}", stale.cpus),
                _ if all => format!("at least one of CPUs {}", stale.cpus),
                _ => format!("CPUs {}", stale.cpus),
            };
            let open = match stale.cpus.len() {
                1 => "",
                _ if all => " crash tells on loading it which CPUs those are.",
                _ => "",
            };
            self.add(
                "vmcore-without-registers",
                Support::inferred(e.crash.line_of(Step::FailedToStop)),
                format!(
                    "A vmcore of this crash holds no registers of {which}: a CPU saves them in \
                     the handler of the stop, which did not run there.{open}"
                ),
            );
        }
    }

    /// What was noticed about the log as such.
    fn log_itself(&mut self, e: &Evidence<'_>) {
        if e.crash.doubled >= DOUBLED {
            self.add(
                "doubled",
                Support::read([]),
                "Every line stands twice: a boot console was kept beside the ordinary one \
                 (earlycon with keep_bootcon). Each was read once.",
            );
        }
        if e.crash.replayed {
            self.add(
                "replayed",
                Support::read([]),
                "The capture kernel printed this crash's own lines again (its vmcore-dmesg): they \
                 were not read as another crash.",
            );
        }
        if e.crash.pstore {
            self.add(
                "pstore",
                Support::read([]),
                "This is a record in persistent storage. It is taken when the kernel panics and \
                 ends there by itself: what came behind it is not in it.",
            );
        }
        if !e.cpus.offline.is_empty() {
            let said = match e.cpus.offline.len() {
                1 => format!(
                    "CPU {} was offline: no stop was sent there, and it is",
                    e.cpus.offline
                ),
                _ => format!(
                    "CPUs {} were offline: no stop was sent there, and they are",
                    e.cpus.offline
                ),
            };
            self.add(
                "offline",
                Support::read([]),
                format!("{said} no part of this."),
            );
        }
        if e.cpus
            .count
            .is_some_and(|c| c.source == CountSource::HighestSeen)
            && let Some(hint) = unbound_workers(e.crash)
        {
            self.add(
                "cpus-hint",
                Support::inferred([]),
                format!("The name kworker/u{hint} hints at about {} CPUs.", hint / 2),
            );
        }
    }

    fn kernel(&mut self, e: &Evidence<'_>) {
        if e.crash.in_capture {
            self.add(
                "in-capture-kernel",
                Support::inferred([]),
                "This crash is the capture kernel's own.",
            );
        }
        let Some(release) = e.crash.release.as_deref() else {
            return;
        };
        let line = Support::inferred(e.crash.lines.release);
        let builder = era::builder(release);
        match (builder.build, builder.distribution) {
            (Build::Commits, _) => {
                if let Some((tag, next)) = era::between(release) {
                    self.add(
                        "commits-behind-tag",
                        line,
                        format!(
                            "The kernel was built between {tag} and {next}: commits behind the tag."
                        ),
                    );
                }
            }
            (Build::Distribution, Some((name, note))) => {
                self.add(
                    "distribution",
                    line,
                    format!("The kernel's release is that of {name}: {note}."),
                );
            }
            (Build::Vendor, _) => self.add(
                "vendor-kernel",
                line,
                "The version is a vendor's: changes of later kernels may have been brought into \
                 it. Compare with its source before relying on what its version says.",
            ),
            _ => {}
        }
    }
}

/// The number in the name of an unbound worker: it grows with the CPUs.
fn unbound_workers(crash: &Crash) -> Option<u32> {
    let comms = crash
        .dumps
        .all
        .iter()
        .filter_map(|d| d.line.as_ref()?.comm.as_deref());
    let number = |comm: &str| {
        let rest = comm.strip_prefix("kworker/u")?;
        rest.split(':').next()?.parse().ok()
    };
    comms.filter_map(number).max()
}

/// Which other architecture's kernel it was, if any.
pub fn foreign_arch(crash: &Crash) -> Option<&'static str> {
    let by_release = || {
        let release = crash.release.as_deref()?;
        era::is_foreign(release).then_some("by its release")
    };
    crash.foreign.or_else(by_release)
}

/// Was it another architecture's kernel?
pub fn is_foreign(crash: &Crash) -> bool {
    foreign_arch(crash).is_some()
}
