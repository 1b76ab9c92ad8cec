//! Which setting would show, next time, what is missing in this log.

use super::{
    capture::{End, Stage},
    crash::Crash,
    evidence::Support,
    findings::{Evidence, Findings},
    hung::Detector,
    outcome::{Kind, Outcome},
    stale::Basis,
    step::Step,
};

impl Findings {
    /// Adds a finding for each such setting.
    pub fn settings(&mut self, e: &Evidence<'_>) {
        let crash = e.crash;
        let unknown = e
            .stale
            .is_some_and(|s| s.basis != Basis::StaleCore && s.basis != Basis::TookSgi);
        let stale = crash.has(Step::FailedToStop) || !e.hung.is_empty();
        if unknown && stale {
            self.stacks_of_others(e);
        }
        self.console(crash);
        if crash.lines.release.is_none() && crash.release.is_none() {
            self.setting(
                "The kernel's version is in every dump; a log from its first line on, or \
                 /proc/version beside it, names it.",
            );
        }
        let lockup = matches!(e.kind, Kind::SoftLockup | Kind::HardLockup | Kind::RcuStall);
        if lockup && Outcome::of(crash) == Outcome::NoPanic {
            let name = match e.kind {
                Kind::SoftLockup => "kernel.softlockup_panic",
                Kind::HardLockup => "kernel.hardlockup_panic",
                _ => "kernel.panic_on_rcu_stall",
            };
            self.setting(format!("{name}=1 makes a crash, and so a dump, of it."));
        }
    }

    fn stacks_of_others(&mut self, e: &Evidence<'_>) {
        let name = match e.kind {
            Kind::SoftLockup => "kernel.softlockup_all_cpu_backtrace=1",
            Kind::HardLockup => "kernel.hardlockup_all_cpu_backtrace=1",
            _ => "kernel.panic_print=0x40 (all CPUs' backtraces; crash_kexec_post_notifiers too)",
        };
        self.setting(format!(
            "{name} prints what the other CPUs are in. CPUs with interrupts masked answer only \
             where that goes by NMI: irqchip.gicv3_pseudo_nmi=1 (CONFIG_ARM64_PSEUDO_NMI)."
        ));
        if e.kind == Kind::Sysrq && e.hung.iter().all(|h| h.detector == Detector::Soft) {
            self.setting(
                "The hard-lockup detector (kernel.nmi_watchdog=1, or the buddy detector) names a \
                 CPU that takes no interrupts before it fails to stop.",
            );
        }
    }

    fn console(&mut self, crash: &Crash) {
        let outcome = Outcome::of(crash);
        let silent = outcome == Outcome::SilentCapture;
        let hung = outcome == Outcome::CaptureBoots
            && crash.capture.end == End::LogEnds
            && crash.capture.stage == Stage::KernelBoots;
        if silent && !crash.reset || hung {
            self.setting(
                "earlycon keep_bootcon in the capture kernel's arguments \
                 (KDUMP_COMMANDLINE_APPEND) shows how far it comes; so does no quiet in them. \
                 no_console_suspend keeps a console that power management would switch off.",
            );
        }
    }

    fn setting(&mut self, text: impl Into<String>) {
        self.add("setting", Support::inferred([]), text);
    }
}
