//! What detectors prove about the CPUs that they name, in sentences, and what else the
//! log says about CPUs that did not take part.

use super::{
    evidence::Support,
    findings::{Evidence, Findings},
    firmware,
    hung::{Detector, Hung},
    stale::{self, Basis},
    step::Step,
};

impl Findings {
    /// What is proven about each CPU that is stuck.
    pub fn detectors(&mut self, e: &Evidence<'_>) {
        for hung in e.hung.iter().take(MAX_SAID) {
            let own = e.cpus.crashed == Some(hung.cpu);
            match hung.waits_for {
                Some(other) => self.waits(hung, other),
                None if own => self.own(hung),
                None => self.other(hung, e),
            }
        }
        for (cpu, line) in e.crash.stalls.workqueues.iter().take(MAX_SAID) {
            self.add(
                "workqueue-lockup",
                Support::read([*line]),
                format!(
                    "The workers of CPU {cpu}'s workqueue made no progress: the CPU is busy, or \
                     does not schedule. It does not show whether it takes interrupts."
                ),
            );
        }
        self.rcu(e);
        for (cpu, on, line) in e.crash.stalls.waits.iter().take(MAX_SAID) {
            self.add(
                "csd-wait",
                Support::read([*line]),
                format!(
                    "CPU {cpu} waits for CPU {on} to run a function call: CPU {on} does not take \
                     that interrupt. CPU {cpu} is the victim."
                ),
            );
        }
    }

    /// The CPU that panicked, seen by its own watchdog.
    fn own(&mut self, hung: &Hung) {
        let text = match hung.detector {
            Detector::HardSdei => format!(
                "CPU {} was found by its own event through firmware (SDEI) and panicked in it: it \
                 takes that event although it takes no ordinary interrupts, and it went on down \
                 the kdump path itself.",
                hung.cpu
            ),
            Detector::HardNmi | Detector::Hard | Detector::HardBuddy | Detector::Unanswered => {
                format!(
                    "CPU {} was found by its own watchdog and panicked in that NMI: it went on \
                     down the kdump path itself, and is not stale.",
                    hung.cpu
                )
            }
            _ => return,
        };
        self.add("hard-lockup-own", hung.support.clone(), text);
    }

    fn other(&mut self, hung: &Hung, e: &Evidence<'_>) {
        let cpu = hung.cpu;
        let after = if hung.after_panic {
            " The complaint came behind the panic: it had not stopped."
        } else {
            ""
        };
        match hung.detector {
            Detector::HardNmi | Detector::HardSdei | Detector::Hard if hung.after_panic => {
                self.add(
                    "alive-after-panic",
                    hung.support.clone(),
                    format!(
                        "CPU {cpu}'s watchdog complained behind the panic: it had not stopped. It \
                         takes the watchdog's NMI or SDEI event, and no ordinary interrupts, so \
                         it cannot take the stop SGI."
                    ),
                );
            }
            Detector::HardNmi | Detector::HardSdei | Detector::HardBuddy | Detector::Hard => {
                let found = match hung.detector {
                    Detector::HardBuddy => "another CPU saw that its timer interrupt does not come",
                    Detector::HardSdei => "its event through firmware (SDEI) found it",
                    Detector::HardNmi => "its own NMI found it",
                    _ => "the hard-lockup detector found it",
                };
                let panicked = match e.cpus.crashed {
                    Some(other) if e.crash.has(Step::Panic) => {
                        format!(" CPU {other} panicked, not this one.")
                    }
                    _ => String::new(),
                };
                self.add(
                    "hard-lockup-elsewhere",
                    hung.support.clone(),
                    format!(
                        "CPU {cpu} takes no interrupts ({found}): it cannot take the stop SGI.\
                         {panicked}{after}"
                    ),
                );
            }
            Detector::Unanswered => self.add(
                "no-backtrace",
                hung.support.clone(),
                format!(
                    "CPU {cpu} gave no backtrace when it was asked for one (the kernel waits up \
                     to 10 s): it takes no interrupts."
                ),
            ),
            Detector::Soft if hung.after_panic => self.add(
                "alive-after-panic",
                hung.support.clone(),
                format!(
                    "CPU {cpu}'s own timer interrupt complained behind the panic: the CPU had not \
                     stopped, and took interrupts."
                ),
            ),
            Detector::Soft => self.add(
                "soft-lockup-elsewhere",
                hung.support.clone(),
                format!(
                    "CPU {cpu} was stuck, but its own timer interrupt found it: it takes \
                     interrupts, and with them the stop SGI."
                ),
            ),
            Detector::Rcu | Detector::Csd => {}
        }
    }

    fn waits(&mut self, hung: &Hung, other: u32) {
        self.add(
            "held-up",
            hung.support.clone(),
            format!(
                "CPU {} is not the cause: it had found CPU {other}, and waited with interrupts \
                 masked for that CPU's backtrace (up to 10 s) when it was found itself. The cause \
                 is CPU {other}.",
                hung.cpu
            ),
        );
    }

    fn rcu(&mut self, e: &Evidence<'_>) {
        let stalls = &e.crash.stalls;
        if stalls.rcu.is_empty() {
            return;
        }
        let list: Vec<_> = stalls.rcu.iter().map(|(cpu, _)| cpu.to_string()).collect();
        let plural = if list.len() == 1 { "CPU" } else { "CPUs" };
        let by = match stalls.detector {
            Some(by) => format!(", found by CPU {by}"),
            None if stalls.itself => {
                ", which found it itself and so takes its timer interrupt".into()
            }
            None => String::new(),
        };
        let lines = stalls.rcu.iter().map(|(_, line)| *line).chain(stalls.line);
        self.add(
            "rcu-stall",
            Support::read(lines),
            format!(
                "RCU waits for {plural} {}{by}. That proves no progress in scheduling, not that \
                 interrupts are masked.",
                list.join(", ")
            ),
        );
        let listed = |cpu: u32| e.cpus.failed.is_some_and(|set| set.contains(cpu as usize));
        let exact = e.stale.is_some_and(|s| s.from == stale::From::List);
        for (cpu, line) in &stalls.rcu {
            if exact && !listed(*cpu) && e.cpus.crashed != Some(*cpu) {
                self.add(
                    "stalled-but-stopped",
                    Support::inferred(
                        [*line]
                            .into_iter()
                            .chain(e.crash.line_of(Step::FailedToStop)),
                    ),
                    format!(
                        "CPU {cpu} was stalled, and stopped all the same: it is not on the list."
                    ),
                );
            }
        }
    }

    /// Several CPUs that faulted at once.
    pub fn faults(&mut self, e: &Evidence<'_>) {
        let waiters = stale::die_lock_waiters(e.crash);
        if waiters == 0 {
            return;
        }
        let faults = e
            .crash
            .complaints
            .iter()
            .flat_map(|c| c.faults.iter().map(|(line, _)| *line));
        let holder = e
            .cpus
            .crashed
            .map_or("one".into(), |cpu| format!("CPU {cpu}"));
        let them = match e.stale {
            Some(s) if s.basis == Basis::DieLock && s.cpus.len() == waiters => match waiters {
                1 => format!("the one left on the list, CPU {}, is that one", s.cpus),
                _ => format!("those left on the list, CPUs {}, are those", s.cpus),
            },
            _ if waiters == 1 => "which CPU, the log does not say".into(),
            _ => "which CPUs, the log does not say".into(),
        };
        self.add(
            "die-lock",
            Support::inferred(faults),
            format!(
                "{} faults were announced before one oops began: several CPUs faulted at once. \
                 {holder} holds the lock of the oops and panics; {} for it with interrupts masked \
                 and cannot take the stop SGI: {them}.",
                waiters + 1,
                if waiters == 1 {
                    "another one waits".to_string()
                } else {
                    format!("{waiters} others wait")
                },
            ),
        );
    }

    /// What firmware said about itself, and error records.
    pub fn firmware(&mut self, e: &Evidence<'_>) {
        for el3 in &e.crash.firmware.el3 {
            let core = match el3.mpidr {
                Some(mpidr) => match firmware::cpu_of(mpidr, &e.crash.mpidrs) {
                    Some(cpu) => format!("CPU {cpu} (MPIDR {mpidr:#x})"),
                    None => format!("the core with MPIDR {mpidr:#x}"),
                },
                None => "a core".into(),
            };
            let registers: Vec<_> = [("esr_el3", el3.esr), ("elr_el3", el3.elr)]
                .into_iter()
                .filter_map(|(name, value)| Some(format!("{name} {:#x}", value?)))
                .collect();
            let registers = if registers.is_empty() {
                String::new()
            } else {
                format!(" ({})", registers.join(", "))
            };
            let line_of = |step| e.crash.line_of(step);
            let stopping = line_of(Step::StopSgi).is_some_and(|line| line < el3.mark.line)
                && line_of(Step::CrashKernel).is_none_or(|line| line > el3.mark.line);
            let when = if stopping {
                " while the other CPUs were being stopped (into PSCI CPU_OFF)"
            } else {
                ""
            };
            self.add(
                "firmware-exception",
                Support::read([el3.mark.line]),
                format!(
                    "The firmware failed in EL3 on {core}{when}: \"{}\"{registers}. That core is \
                     dead in EL3, although it need not be on the list of those that failed to \
                     stop, and it may hold the firmware's locks, so further PSCI calls may hang.",
                    el3.text
                ),
            );
        }
        if let Some((_, line)) = e.crash.firmware.records.first() {
            let said: Vec<_> = e
                .crash
                .firmware
                .records
                .iter()
                .take(3)
                .map(|(t, _)| t.as_str())
                .collect();
            let core =
                e.crash.firmware.record_mpidr.map_or(
                    String::new(),
                    |mpidr| match firmware::cpu_of(mpidr, &e.crash.mpidrs) {
                        Some(cpu) => format!(" It names CPU {cpu} (MPIDR {mpidr:#x})."),
                        None => format!(" It names the core with MPIDR {mpidr:#x}."),
                    },
                );
            self.add(
                "hardware-error",
                Support::read([*line]),
                format!(
                    "The firmware reported a hardware error: {}.{core}",
                    said.join("; ")
                ),
            );
        }
        let asked = e
            .crash
            .retry_sdei
            .as_ref()
            .filter(|_| !e.crash.has(Step::FailedToStop));
        if let Some(list) = asked {
            let one = list.text.bytes().all(|b| b.is_ascii_digit());
            self.add(
                "stopped-by-firmware",
                Support::inferred([list.line]),
                format!(
                    "{} took no interrupt, and stopped when firmware delivered one (SDEI): {}.",
                    if one {
                        format!("CPU {}", list.text)
                    } else {
                        format!("CPUs {}", list.text)
                    },
                    if one {
                        "it ran with interrupts masked. It is parked inside that event for ever, \
                         not turned off as the others are"
                    } else {
                        "they ran with interrupts masked. They are parked inside that event for \
                         ever, not turned off as the others are"
                    },
                ),
            );
        }
        for (text, line) in e
            .crash
            .sdei
            .iter()
            .filter(|(t, _)| t.contains("failed"))
            .take(3)
        {
            self.add(
                "sdei-nmi-failed",
                Support::read([*line]),
                format!(
                    "The NMI through firmware failed: \"{text}\". It is no proof that the CPU \
                     would have taken it."
                ),
            );
        }
    }
}

/// How many CPUs are listed one by one.
const MAX_SAID: usize = 8;
