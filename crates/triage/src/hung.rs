//! Which CPUs are known not to make progress, who found that, and what it proves:
//! each detector proves something different.

use serde::Serialize;
use stalecore_model::cpuset::CpuSet;

use super::{
    crash::{Crash, Trigger},
    evidence::Support,
    step::Step,
};

/// How a CPU is known to be stuck.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Its own timer interrupt found that its tasks do not run: it takes
    /// interrupts.
    Soft,
    /// Its own perf event, an NMI, found that its timer interrupt does not come.
    HardNmi,
    /// Its own event through firmware (SDEI) found that.
    HardSdei,
    /// Another CPU found that its timer interrupt does not come.
    HardBuddy,
    /// The hard-lockup detector; the log does not say by which means.
    Hard,
    /// RCU: it has not passed a quiescent state.
    Rcu,
    /// It did not answer a request for a backtrace.
    Unanswered,
    /// It did not answer another CPU's function call.
    Csd,
}

impl Detector {
    /// Does it show that the CPU takes no ordinary interrupts?
    pub const fn masked(self) -> bool {
        !matches!(self, Self::Soft | Self::Rcu)
    }
}

/// One CPU that is known to be stuck.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Hung {
    /// Which CPU.
    pub cpu: u32,
    /// How that is known.
    pub detector: Detector,
    /// It takes no ordinary interrupts, so it cannot take the stop SGI.
    pub masked: bool,
    /// The complaint came after the panic: the CPU had not stopped.
    pub after_panic: bool,
    /// The complaint came after the request to stop.
    pub after_stop: bool,
    /// It only waits for this CPU, with interrupts masked.
    pub waits_for: Option<u32>,
    /// The lines that say so.
    pub support: Support,
}

/// Functions in the panic's trace that show by which means a hard lockup was
/// found.
const MEANS: [(&str, Detector); 5] = [
    ("sdei_watchdog_callback", Detector::HardSdei),
    ("__sdei_asm_handler", Detector::HardSdei),
    ("sdei_nmi", Detector::HardSdei),
    ("watchdog_overflow_callback", Detector::HardNmi),
    ("watchdog_buddy_check_hardlockup", Detector::HardBuddy),
];

/// Every CPU that the log shows stuck, in order.
pub fn of(crash: &Crash) -> Vec<Hung> {
    let mut found = Vec::new();
    watchdogs(crash, &mut found);
    for (cpu, line) in &crash.stalls.rcu {
        add(&mut found, *cpu, Detector::Rcu, [*line]);
    }
    for (cpu, line) in crash.stalls.unanswered() {
        add(&mut found, cpu, Detector::Unanswered, [line]);
    }
    for (_, on, line) in &crash.stalls.waits {
        add(&mut found, *on, Detector::Csd, [*line]);
    }
    found.sort_by_key(|h| h.cpu);
    found
}

fn watchdogs(crash: &Crash, found: &mut Vec<Hung>) {
    let panic = crash.line_of(Step::Panic);
    let stop = crash.line_of(Step::StopSgi);
    let means = MEANS
        .iter()
        .find(|(name, _)| crash.dumps.all.iter().any(|d| d.passes(&[name])))
        .map(|(_, detector)| *detector);
    for complaint in &crash.complaints {
        let Some(cpu) = complaint.cpu else { continue };
        let detector = match complaint.trigger {
            Trigger::Soft => Detector::Soft,
            Trigger::Hard if complaint.by.is_some_and(|by| by != cpu) => Detector::HardBuddy,
            Trigger::Hard => means.unwrap_or(Detector::Hard),
            _ => continue,
        };
        let line = complaint.mark.line;
        add(found, cpu, detector, [line]);
        // Whoever asks for a backtrace waits up to 10 s, with interrupts masked.
        let asked = crash.complaints.iter().find(|earlier| {
            complaint.trigger == Trigger::Hard
                && earlier.trigger == Trigger::Hard
                && earlier.mark.line < line
                && earlier.by == Some(cpu)
        });
        if let Some(known) = found.iter_mut().find(|h| h.cpu == cpu) {
            known.after_panic |= panic.is_some_and(|panic| line > panic);
            known.after_stop |= stop.is_some_and(|stop| line > stop);
            known.waits_for = asked.and_then(|c| c.cpu).or(known.waits_for);
        }
    }
}

/// Adds a CPU, or more evidence about it.
fn add(found: &mut Vec<Hung>, cpu: u32, detector: Detector, lines: impl IntoIterator<Item = u64>) {
    let lines = lines.into_iter();
    match found.iter_mut().find(|h| h.cpu == cpu) {
        Some(known) => {
            let all = known.support.lines.iter().copied().chain(lines);
            known.support = Support::read(all);
            if detector.masked() && !known.masked {
                known.detector = detector;
                known.masked = true;
            }
        }
        None => found.push(Hung {
            cpu,
            detector,
            masked: detector.masked(),
            after_panic: false,
            after_stop: false,
            waits_for: None,
            support: Support::read(lines),
        }),
    }
}

/// The CPUs that the log shows to be stuck without interrupts, or stalled, except
/// the one that panicked and those that said that they stop.
pub fn stale(hung: &[Hung], crash: &Crash, crashed: Option<u32>) -> CpuSet {
    let without = crash.without_registers.iter().copied();
    let busy = crash
        .dumps
        .all
        .iter()
        .filter(|d| crash.tool && d.busy())
        .filter_map(|d| d.cpu);
    let by_tool: CpuSet = without
        .chain(busy)
        .filter(|cpu| Some(*cpu) != crashed)
        .map(|cpu| cpu as usize)
        .filter(|cpu| *cpu < stalecore_model::cpuset::MAX_CPUS)
        .collect();
    let shown: CpuSet = hung
        .iter()
        .filter(|h| h.detector != Detector::Soft || h.after_stop)
        .filter(|h| Some(h.cpu) != crashed && !crash.said_stopping.contains(&h.cpu))
        .map(|h| h.cpu as usize)
        .filter(|cpu| *cpu < stalecore_model::cpuset::MAX_CPUS)
        .collect();
    shown.union(&by_tool)
}
