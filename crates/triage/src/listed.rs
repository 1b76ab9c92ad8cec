//! What the list of CPUs that failed to stop means, and where it contradicts the
//! rest of the log.

use stalecore_model::{cpuset::MAX_CPUS, kdump::Kernel};

use super::{
    cpus::Meaning,
    evidence::Support,
    findings::{Evidence, Findings},
    step::Step,
};

impl Findings {
    /// What the list, or its absence, proves.
    pub fn list(&mut self, e: &Evidence<'_>) {
        let line = e.crash.line_of(Step::FailedToStop);
        let Some(meaning) = e.cpus.meaning else {
            if e.crash.has(Step::StaleWarning) {
                self.add(
                    "warning-without-list",
                    Support::inferred(e.crash.line_of(Step::StaleWarning)),
                    "The stale warning is there without a list of CPUs that failed to stop: the \
                     list was lost, or CPUs got stuck at boot, or the kernel runs protected KVM, \
                     which both warn too.",
                );
            }
            return;
        };
        let list = e.cpus.failed.unwrap_or_default();
        let count = list.len();
        let names = |n: usize| {
            if n == 1 {
                "1 CPU".into()
            } else {
                format!("{n} CPUs")
            }
        };
        match meaning {
            Meaning::AtLeastOne if count == 1 => self.add(
                "list-still-online",
                Support::inferred(line),
                format!(
                    "\"failed to stop\" names 1 CPU, the only other one: CPU {list} did not \
                     answer the SGI within 1 s."
                ),
            ),
            Meaning::AtLeastOne => self.add(
                "list-at-least-one",
                Support::inferred(line),
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
                let mut after = vec!["an SGI (1 s)"];
                if e.crash.retry.is_some() {
                    after.push("an NMI (10 ms)");
                }
                if e.crash.retry_sdei.is_some() {
                    after.push("an NMI through firmware (SDEI, 100 ms)");
                }
                let unasked =
                    e.crash.retry_sdei.is_none() && e.era.is_some_and(Kernel::asks_by_firmware);
                let unasked = if unasked {
                    " From 7.3 on a kernel asks them once more through firmware; without that line \
                     it was built without it (CONFIG_ARM_SDEI_NMI), or its firmware has no SDEI."
                } else {
                    ""
                };
                self.add(
                    "list-still-online",
                    Support::read(line),
                    format!(
                        "\"failed to stop\" names exactly what was still up after {}: {} ({list}); \
                         CPUs that answered are not on it.{unasked}",
                        after.join(" and "),
                        names(count)
                    ),
                );
            }
            Meaning::OnlineWithSelf if e.cpus.refuted.is_none() => self.add(
                "list-online-with-self",
                Support::inferred(line),
                "\"failed to stop\" names the CPU that panicked too: this is the ordinary stop, \
                 not the one on the way into a crash kernel. It prints all CPUs still online; the \
                 others on the list are those that did not stop.",
            ),
            Meaning::OnlineWithSelf => {}
            Meaning::NoList => self.add(
                "list-not-printed",
                Support::read(line),
                "This kernel does not print which CPUs failed to stop: at least one.",
            ),
            Meaning::Unreadable => self.add(
                "list-unreadable",
                Support::read(line),
                format!(
                    "The list of CPUs that failed to stop cannot be read: it is cut off, damaged, \
                     or names CPUs above {}. At least one CPU did not stop.",
                    MAX_CPUS - 1
                ),
            ),
            Meaning::Unclear => self.add(
                "list-unclear",
                Support::inferred(line),
                "Kernels before 6.12 print the mask that the SGI was sent to, of which at least \
                 one CPU did not answer; later ones print exactly those still up. Which of the \
                 two this list is cannot be told: the version is unknown, or the list leaves out \
                 CPUs, which were offline or are a sign of the later stop code.",
            ),
        }
    }

    /// Which CPU took over a panic, and what happened to the one that handed it over.
    pub fn redirected(&mut self, e: &Evidence<'_>) {
        let Some((from, to, line)) = e.crash.redirected else {
            return;
        };
        self.add(
            "panic-redirected",
            Support::read([line]),
            format!(
                "CPU {from} panicked and handed over to CPU {to} (panic_force_cpu=), which went \
                 down the kdump path. CPU {from} parks itself with interrupts masked and counts \
                 as offline, so that no list names it; it is not turned off."
            ),
        );
    }

    /// A path that was walked although none of it was printed.
    pub fn unprinted(&mut self, e: &Evidence<'_>) {
        let Some((cpu, line)) = e.crash.unprinted() else {
            return;
        };
        self.add(
            "path-unprinted",
            Support::inferred([line]),
            format!(
                "No line of the path into the crash kernel was printed, and its capture kernel \
                 boots all the same: another CPU held the console. It boots on CPU {cpu}, so that \
                 is the one that went down the path; which CPUs did not stop, nothing tells."
            ),
        );
    }

    /// Where the log refutes what it seems to say.
    pub fn attribution(&mut self, e: &Evidence<'_>) {
        let Some(named) = e.cpus.refuted else {
            return;
        };
        let lines = e
            .crash
            .line_of(Step::FailedToStop)
            .into_iter()
            .chain(e.crash.cpu_line(named, None));
        let list = e.cpus.failed.unwrap_or_default();
        let on_it = list.contains(named as usize);
        let text = if on_it {
            format!(
                "The log names CPU {named} as the one that panicked, and the list names it among \
                 those that it could not stop: the stop code leaves out its own CPU, so CPU \
                 {named} is not the one that panicked. Which one is, the log does not tell."
            )
        } else {
            format!(
                "The log names CPU {named}, and the list leaves it out. The ordinary stop lists \
                 all CPUs still online, the panicking one among them, so CPU {named} had stopped \
                 and is not the one that panicked. That is one of {list}, and the others of them \
                 did not stop; which is which, the log does not tell."
            )
        };
        self.add("attribution-refuted", Support::inferred(lines), text);
    }
}
